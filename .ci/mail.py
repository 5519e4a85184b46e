#!/usr/bin/env python3
"""mail.py BINARY: mail of an incident arrives at an SMTP server of somebody else's making.

Starts aiosmtpd (installed once into an environment below target/) on a free port of loopback. The server is down when the
incident opens and the engine is killed while the notice waits; the opening arrives all the same, once, and the end of the
incident comes in the same thread."""

import email
import email.policy
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

VERSION = "1.4.6"
BOUND = 60

RULES = """notifiers:
  ops:
    email: { to: [ops@example.net], from: homeostat@example.net, server: 'smtp://127.0.0.1:PORT' }
    for: all
    after: 0s
checks:
  - name: lock
    about: Nobody holds the lock.
    trigger: { every: 1s, splay: false }
    probe: { file: { file: data/lock } }
    threshold: { critical: exists }
    message: 'the lock is ${if exists { "held" } else { "free" }} – ü'
"""

SERVER = """
import sys, time
from aiosmtpd.controller import Controller

class Keep:
    at = 0
    async def handle_DATA(self, server, session, envelope):
        Keep.at += 1
        with open(f"{sys.argv[2]}/{Keep.at:03}.part", "wb") as file:
            file.write(envelope.content)
        import os
        os.rename(f"{sys.argv[2]}/{Keep.at:03}.part", f"{sys.argv[2]}/{Keep.at:03}.eml")
        return "250 kept"

Controller(Keep(), hostname="127.0.0.1", port=int(sys.argv[1])).start()
print("ready", flush=True)
while True:
    time.sleep(3600)
"""


def python() -> str:
    """An interpreter that has aiosmtpd."""
    place = Path(__file__).resolve().parent.parent / "target" / "aiosmtpd"
    program = place / "bin" / "python"
    done = place / "installed"
    if not done.exists():
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([program, "-m", "pip", "install", "-q", f"aiosmtpd=={VERSION}"], check=True)
        done.touch()
    return str(program)


def free_port() -> int:
    import socket

    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def until(what, look):
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"mail: no {what}")


def main() -> None:
    homeostat, interpreter = os.path.abspath(sys.argv[1]), python()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        for below in ["rules", "data", "state", "logs", "post"]:
            (root / below).mkdir()
        port = free_port()
        (root / "rules/a.yaml").write_text(RULES.replace("PORT", str(port)))
        (root / "server.py").write_text(SERVER)
        running = []

        def start():
            log = open(root / "logs/engine.log", "ab")
            engine = subprocess.Popen([homeostat, "--root", root, "run", "--listen", "none"], stdout=log, stderr=log)
            running.append(engine)
            return engine

        def notices():
            said = subprocess.run([homeostat, "--root", root, "notify", "--json"], capture_output=True, check=False)
            return json.loads(said.stdout or b"{}").get("recent", [])

        def mails():
            files = sorted((root / "post").glob("*.eml"))
            return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]

        try:
            engine = start()
            (root / "data/lock").touch()
            until("notice that waits", lambda: any(it["state"] == "waiting" and it["tries"] > 0 for it in notices()))
            engine.send_signal(signal.SIGKILL)
            engine.wait()
            server = subprocess.Popen([interpreter, root / "server.py", str(port), root / "post"], stdout=subprocess.PIPE)
            running.append(server)
            assert server.stdout.readline() == b"ready\n"
            start()
            opened = until("opening", mails)[0]
            (root / "data/lock").unlink()
            both = until("end", lambda: len(mails()) > 1 and mails())
            assert len(both) == 2, [mail["Subject"] for mail in both]
            resolved = both[1]
            text = opened.get_body(("plain",)).get_content()
            assert opened["To"] == "ops@example.net" and "CRITICAL" in opened["Subject"], opened.items()
            assert "the lock is held – ü" in text, text
            thread = opened["References"]
            assert thread and resolved["References"] == thread, (opened.items(), resolved.items())
            print(f"mail: {opened['Subject']!r}, then {resolved['Subject']!r} in its thread, over a kill")
        except BaseException:
            print((root / "logs/engine.log").read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            for process in reversed(running):
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(20)
                    except subprocess.TimeoutExpired:
                        process.kill()


if __name__ == "__main__":
    main()
