#!/usr/bin/env python3
"""A real Prometheus scrapes /metrics of a running engine, and a `prometheus` probe of that engine asks it back.

Usage: prometheus.py HOMEOSTAT

Both run on loopback, on free ports, below a directory of their own that is removed at the end.
"""

import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

BOUND = 30

RULES = """\
checks:
  - name: weights
    about: The weights exist.
    trigger: { every: 1s }
    probe: { file: { file: data/w.json } }
    threshold: { critical: missing }
    message: 'missing is ${missing}'
    remediation:
      steps: [ { write_file: { file: data/w.json, body: '{}' } } ]
  - name: lock
    about: Nobody holds the "lock".
    trigger: { every: 1s }
    probe: { file: { file: data/lock } }
    threshold: { warning: exists }
    message: 'exists is ${exists}'
  - name: scraped
    about: Prometheus has our word.
    trigger: { every: 1s }
    probe: { prometheus: { url: 'URL', query: 'count(homeostat_check_status{check="weights"} == 1)' } }
    enough: value != ()
    threshold: { critical: value != 1 }
    message: '${value.fixed(0)} status'
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url, headers=None):
    request = urllib.request.Request(url, headers=headers or {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers.get("content-type", ""), answer.read().decode()


def wait(what, question):
    """Asks until the answer is good, for a bounded time."""
    end = time.monotonic() + BOUND
    last = None
    while time.monotonic() < end:
        try:
            last = question()
            if last:
                return last
        except (OSError, urllib.error.URLError, ValueError, KeyError, IndexError) as error:
            last = error
        time.sleep(0.2)
    raise SystemExit(f"prometheus: {what} did not come: {last}")


def main():
    homeostat = pathlib.Path(sys.argv[1]).resolve()
    root = pathlib.Path(tempfile.mkdtemp(prefix="homeostat-prometheus-"))
    running = []
    try:
        ours, theirs = free_port(), free_port()
        for name in ("rules", "data", "tsdb"):
            (root / name).mkdir()
        url = f"http://127.0.0.1:{theirs}"
        (root / "rules" / "a.yaml").write_text(RULES.replace("URL", url))
        (root / "prometheus.yml").write_text(
            "global: { scrape_interval: 1s, scrape_timeout: 1s }\n"
            "scrape_configs:\n"
            f"  - {{ job_name: homeostat, static_configs: [ {{ targets: ['127.0.0.1:{ours}'] }} ] }}\n"
        )
        engine = subprocess.Popen(
            [homeostat, "run", "--listen", f"127.0.0.1:{ours}"],
            cwd=root,
            stdout=(root / "engine.out").open("w"),
            stderr=subprocess.STDOUT,
        )
        running.append(engine)
        wait("the engine", lambda: get(f"http://127.0.0.1:{ours}/healthz"))
        wait(
            "a verified repair",
            lambda: "verified" in get(f"http://127.0.0.1:{ours}/metrics")[1],
        )

        kind, text = get(f"http://127.0.0.1:{ours}/metrics", {"Accept": "text/plain"})
        assert kind.startswith("text/plain"), kind
        linted = subprocess.run(
            ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False
        )
        said = (linted.stdout + linted.stderr).strip()
        assert linted.returncode == 0 and not said, f"promtool: {said}"
        open_kind, open_text = get(
            f"http://127.0.0.1:{ours}/metrics",
            {"Accept": "application/openmetrics-text; version=1.0.0"},
        )
        assert open_kind.startswith("application/openmetrics-text"), open_kind
        assert open_text.endswith("# EOF\n"), open_text[-40:]

        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={root}/prometheus.yml",
                f"--storage.tsdb.path={root}/tsdb",
                f"--web.listen-address=127.0.0.1:{theirs}",
            ],
            stdout=(root / "prometheus.out").open("w"),
            stderr=subprocess.STDOUT,
        )
        running.append(server)

        def query(text):
            asked = urllib.parse.urlencode({"query": text})
            answer = json.loads(get(f"{url}/api/v1/query?{asked}")[1])
            return answer["data"]["result"]

        def value(text):
            found = query(text)
            return float(found[0]["value"][1]) if found else None

        wait("a scrape", lambda: value('up{job="homeostat"}') == 1)
        wait(
            "the status of a check",
            lambda: value('homeostat_check_status{check="weights",status="OK"}') == 1,
        )
        repaired = value('sum(homeostat_repairs_total{outcome="verified"})')
        assert repaired is not None and repaired >= 1, repaired
        (root / "data" / "lock").write_text("")
        wait(
            "a change",
            lambda: value('homeostat_check_status{check="lock",status="WARNING"}') == 1
            and value('homeostat_check_status{check="lock",status="OK"}') == 0,
        )
        targets = json.loads(get(f"{url}/api/v1/targets")[1])["data"]["activeTargets"]
        assert [it["health"] for it in targets] == ["up"] and not targets[0]["lastError"], targets

        def asked_back():
            status = subprocess.run(
                [homeostat, "status", "--json", "scraped"], cwd=root, capture_output=True, check=True
            )
            check = json.loads(status.stdout)["checks"][0]
            if check["status"] != "OK" or check["message"] != "1 status":
                raise ValueError(f"{check['status']} {check['message']}")
            return check

        wait("the probe's answer", asked_back)
        families = sum(line.startswith("# TYPE") for line in text.splitlines())
        print(f"prometheus: {families} families scraped, promtool has nothing to say, the probe asked back")
    except BaseException:
        for name in ("engine.out", "prometheus.out"):
            if (root / name).exists():
                print(f"--- {name}\n{(root / name).read_text()[-4000:]}", file=sys.stderr)
        raise
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
