#!/usr/bin/env python3
"""How the operator's room bears ten thousand checks and two hundred streams.

    .ci/room.py PATH/TO/homeostat [--checks N] [--streams N] [--seconds N]

Reports, and fails where a promise is broken: the overview answers in less than 50 ms (median), the streams cost the engine
less than 5 % of a core, every stream hears every change, and no slot is missed because of them."""

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FILES = 100  # rule files
EVERY = 30  # seconds between the slots of a check


def scratch(root: Path, checks: int) -> None:
    for name in ["rules", "data", "state", "logs"]:
        (root / name).mkdir(parents=True)
    (root / "data/there").write_text("x\n")
    for at in range(FILES):
        lines = ["checks:"]
        for n in range(at, checks, FILES):
            lines += [
                f"  - name: check_{n:05}",
                f"    about: Number {n} of many.",
                f"    tags: [layer_{n % 12}]",
                f"    trigger: {{ every: {EVERY}s }}",
                "    probe: { file: { file: data/there } }",
                "    value: size",
                "    threshold: { critical: { above: 1000 }, warning: { above: 100 } }",
                "    message: 'size ${size}'",
            ]
        (root / f"rules/many_{at:03}.yaml").write_text("\n".join(lines) + "\n")
    (root / "rules/switch.yaml").write_text(
        "checks:\n  - name: switch\n    trigger: { every: 1h, events: [ { file: data/switch } ] }\n"
        "    probe: { file: { file: data/switch } }\n    threshold: { critical: exists }\n    message: 'is ${exists}'\n"
    )


class Engine:
    def __init__(self, homeostat: Path, root: Path):
        command = [homeostat, "--root", root, "run", "--json", "--listen", "127.0.0.1:0"]
        self.log = open(root / "logs/engine.log", "wb")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        self.ready = json.loads(self.process.stdout.readline())
        self.port = int(self.ready["listen"].rsplit(":", 1)[1])
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self) -> None:
        while self.process.stdout.read1(65536):
            pass

    def get(self, path: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        began = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        took = time.perf_counter() - began
        connection.close()
        assert response.status == 200, (path, response.status, body[:200])
        return json.loads(body), took

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


class Stream:
    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(b"GET /api/stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        self.bytes = 0
        self.changes = 0
        self.ended = False

    def read(self) -> None:
        data = self.socket.recv(1 << 16)
        self.ended = not data
        self.bytes += len(data)
        self.changes += data.count(b"event: change\n")


def listen(streams, over) -> None:
    """One thread reads all streams: theirs is the cost of the engine, not of this script."""
    import selectors

    selector = selectors.DefaultSelector()
    for stream in streams:
        selector.register(stream.socket, selectors.EVENT_READ, stream)
    while not over.is_set():
        for key, _ in selector.select(0.2):
            key.data.read()
            if key.data.ended:
                selector.unregister(key.fileobj)


def spent(engine: Engine, seconds: float, during=lambda: None):
    """Share of a core over some seconds, and slots missed in them."""
    before, missed = engine.cpu(), engine.get("/api/overview?limit=0")[0]["missed_slots"]
    began = time.monotonic()
    during()
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    took = time.monotonic() - began
    cpu = engine.cpu() - before
    return cpu / took, engine.get("/api/overview?limit=0")[0]["missed_slots"] - missed


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("homeostat", type=Path)
    parser.add_argument("--checks", type=int, default=10_000)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=EVERY)
    told = parser.parse_args()
    broken = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        scratch(root, told.checks)
        engine = Engine(told.homeostat.resolve(), root)
        try:
            limit = time.monotonic() + 180
            while engine.get("/api/overview?limit=0")[0]["counts"]["UNKNOWN"] > 0:
                assert time.monotonic() < limit, "not every check was looked at in time"
                time.sleep(0.5)
            for path in ["/api/overview", "/api/overview?limit=1000", "/api/overview?search=check_0999&limit=50"]:
                times = sorted(engine.get(path)[1] * 1000 for _ in range(60))
                median = statistics.median(times)
                print(f"{path}: median {median:.1f} ms, 95 % {times[56]:.1f} ms, longest {times[-1]:.1f} ms")
                if median >= 50:
                    broken.append(f"{path} takes {median:.1f} ms")
            scrape = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
            began = time.perf_counter()
            scrape.request("GET", "/metrics")
            text = scrape.getresponse().read()
            print(f"/metrics: {(time.perf_counter() - began) * 1000:.0f} ms, {len(text) / 1e6:.1f} MB")
            alone, missed = spent(engine, told.seconds)
            print(f"alone: {alone * 100:.1f} % of a core, {missed} slots missed, {engine.memory():.0f} MiB")
            streams = [Stream(engine.port) for _ in range(told.streams)]
            over = threading.Event()
            reader = threading.Thread(target=listen, args=(streams, over))
            reader.start()
            turns = 10

            def turn() -> None:
                for at in range(turns):
                    switch = root / "data/switch"
                    switch.unlink() if switch.exists() else switch.write_text("x")
                    time.sleep(told.seconds / (turns + 2))

            beside, missed_beside = spent(engine, told.seconds, turn)
            over.set()
            reader.join()
            share = (beside - alone) * 100
            print(f"with {told.streams} streams: {beside * 100:.1f} % of a core ({share:+.1f} points), {missed_beside} slots missed, "
                  f"{engine.memory():.0f} MiB, {sum(it.bytes for it in streams) / told.seconds / 1e6:.2f} MB/s, "
                  f"changes heard {min(it.changes for it in streams)} to {max(it.changes for it in streams)} of {turns}")
            if share >= 5:
                broken.append(f"the streams cost {share:.1f} % of a core")
            if missed_beside > missed:
                broken.append(f"{missed_beside} slots were missed, {missed} without streams")
            if any(it.ended or it.changes < turns for it in streams):
                broken.append("a stream missed a change")
        finally:
            engine.stop()
    for why in broken:
        print(f"broken: {why}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
