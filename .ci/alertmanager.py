#!/usr/bin/env python3
"""alertmanager.py BINARY: a real Alertmanager receives what fires and what is over.

Starts Debian's prometheus-alertmanager on a free port of loopback with a storage of its own, and behind it a receiver of
webhooks. An incident must arrive as an alert, become another one when it gets worse, live through a kill of the engine and
be resolved by the same labels."""
import http.server, json, os, signal, socket, subprocess, sys, tempfile, threading, time, urllib.request
from pathlib import Path

BINARY = os.path.abspath(sys.argv[1])
ALERTMANAGER = "/usr/bin/prometheus-alertmanager"
BOUND = 60

RULES = """notifiers:
  am:
    alertmanager: { url: 'http://127.0.0.1:%d', labels: { team: trading } }
    for: all
    when: [warning, critical]
    after: 0s
checks:
  - name: lock
    about: Nobody holds the lock.
    trigger: { every: 1s, splay: false }
    probe: { text: { file: data/lock, patterns: { bad: bad } } }
    threshold: { critical: exists && counts.bad > 0, warning: exists }
    message: 'the lock is ${if exists { "held" } else { "free" }}'
"""

ROUTES = """route: { receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }
receivers:
  - name: hook
    webhook_configs: [ { url: 'http://127.0.0.1:%d/', send_resolved: true } ]
"""


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Receiver(http.server.BaseHTTPRequestHandler):
    heard = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in body["alerts"]:
            Receiver.heard.append((alert["status"], alert["labels"]["severity"], alert["labels"]["alertname"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def until(what, look):
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        try:
            found = look()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"alertmanager: waited {BOUND} s in vain for {what}; heard {Receiver.heard}")


def active(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/alerts?active=true", timeout=5) as answer:
        return sorted(alert["labels"]["severity"] for alert in json.load(answer))


def start(root):
    return subprocess.Popen([BINARY, "--root", str(root), "run", "--listen", "none"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    if not os.path.exists(ALERTMANAGER):
        sys.exit("alertmanager: prometheus-alertmanager is not installed")
    port = free_port()
    hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        root = place / "root"
        for name in ("rules", "data", "state", "logs"):
            (root / name).mkdir(parents=True)
        (root / "rules/a.yaml").write_text(RULES % port)
        (place / "am.yml").write_text(ROUTES % hook.server_port)
        manager = subprocess.Popen(
            [ALERTMANAGER, f"--config.file={place}/am.yml", f"--storage.path={place}/am",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        engine = None
        try:
            until("Alertmanager", lambda: active(port) == [])
            engine = start(root)
            (root / "data/lock").write_text("held\n")
            until("a warning", lambda: active(port) == ["warning"])
            (root / "data/lock").write_text("bad\n")
            until("it to get worse", lambda: active(port) == ["critical"])
            engine.send_signal(signal.SIGKILL)
            engine.wait()
            engine = start(root)
            (root / "data/lock").unlink()
            until("its end", lambda: active(port) == [])
            until("all of it", lambda: ("resolved", "critical", "lock") in Receiver.heard)
            for wanted in (("firing", "warning", "lock"), ("resolved", "warning", "lock"), ("firing", "critical", "lock")):
                if wanted not in Receiver.heard:
                    sys.exit(f"alertmanager: {wanted} was not heard: {Receiver.heard}")
            print(f"alertmanager: {Receiver.heard}")
        finally:
            for it in (engine, manager):
                if it and it.poll() is None:
                    it.terminate()
                    it.wait()
            hook.shutdown()


main()
