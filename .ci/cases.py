#!/usr/bin/env python3
"""cases.py HOMEOSTAT DIR    judge recorded states of the bot with the shipped rules

DIR holds `cases/` (states with known verdicts, laid out by its `lay_out.py`) and `recorded/` (files of the real bot).
Every state is laid out in a directory of its own and judged by `dry-run --at`; nothing is repaired. What differs from
the known verdict is printed as a table, with a count last; exit 1 if anything differs. Without DIR there is nothing
to judge, and that is said. `-m` also lists messages that differ from those of the bot's present monitoring (they are
compared, not asserted)."""
import http.server, json, os, shutil, subprocess, sys, tempfile, threading, time
from pathlib import Path

RULES = Path(__file__).resolve().parent.parent / "rules"

# The check here, and the names under which the verdicts know it. Where two of the bot's layers judge the same thing
# and disagree, the first is right.
CHECKS = {
    "weights_file": ["critical.weights_file", "sre.composite_weights"],
    "entry_thresholds": ["critical.entry_thresholds", "sre.entry_thresholds"],
    "freshness_killing_scores": ["critical.freshness_killing_scores", "sre.freshness_scores"],
    "zero_trades": ["critical.zero_trades_scores"],
    "cache_lock": ["sre.cache_lock"],
    "uw_daemon_liveness": ["supervisor.uw_daemon_liveness"],
    "uw_cache_freshness": ["supervisor.uw_cache_freshness"],
    "enrich_signal_fields": ["critical.enrich_signal_fields"],
    "adaptive_weights_killing_scores": ["critical.adaptive_weights_killing_scores"],
    "uw_parser_integrity": ["sre.uw_parser_integrity"],
    "alpaca_latency": ["sre.alpaca_latency"],
    "position_tracking": ["supervisor.position_tracking"],
    "alpaca_connectivity": ["supervisor.alpaca_connectivity"],
    "trade_execution_cadence": ["supervisor.trade_execution_cadence"],
    "performance_metrics": ["supervisor.performance_metrics"],
}
# An investigation: its overall status is the worst of its checks.
SESSIONS = {"supervisor.critical_trading_health": ["weights_file", "entry_thresholds", "enrich_signal_fields",
            "freshness_killing_scores", "adaptive_weights_killing_scores", "zero_trades"]}
WORDS = {"OK": "OK", "HEALTHY": "OK", "WARNING": "WARNING", "CRITICAL": "CRITICAL", "FAIL": "CRITICAL",
         "ERROR": "UNKNOWN", "UNKNOWN": "UNKNOWN"}
UNHEALTHY = {"uw_daemon_liveness": "CRITICAL", "position_tracking": "CRITICAL", "alpaca_connectivity": "CRITICAL"}
WORST = ["OK", "WARNING", "UNKNOWN", "CRITICAL"]

# What the recorded files must give. NEITHER: UNKNOWN, or OK for want of data; never an outage, never plainly healthy.
NEITHER = "UNKNOWN or no data"
RECORDED = [
    ("the live weights of 2026-02-01", {"data/uw_weights.json": "data/uw_weights.json"}, {"weights_file": "OK"}),
    ("scores of 2026-01-08, low but not crushed by freshness",
     {"data/uw_attribution.jsonl": "2026-01-08/data/uw_attribution.jsonl"}, {"freshness_killing_scores": "OK"}),
    ("cycles of a closed market", {"logs/run.jsonl": "live_run_cycles/logs/run.jsonl",
     "data/uw_attribution.jsonl": "2026-01-08/data/uw_attribution.jsonl"}, {"zero_trades": NEITHER}),
    ("records of a later format", {"logs/run.jsonl": "archive_20260423/logs/run.jsonl",
     "data/uw_attribution.jsonl": "archive_20260423/logs/uw_attribution.jsonl"},
     {"zero_trades": NEITHER, "freshness_killing_scores": NEITHER}),
    ("cycles of a later format beside known signals", {"logs/run.jsonl": "archive_20260423/logs/run.jsonl",
     "data/uw_attribution.jsonl": "2026-01-08/data/uw_attribution.jsonl"}, {"zero_trades": NEITHER}),
]
RECORDED_AT = 1767904980  # just after the scores of 2026-01-08


class Broker(http.server.BaseHTTPRequestHandler):
    """The broker of a state, on loopback: answers as its `alpaca` says."""
    alpaca = {}

    def do_GET(self):
        alpaca, account = self.alpaca, self.path == "/v2/account"
        latency = alpaca.get("latency_ms", 0)  # the way here and back takes a while too
        time.sleep(max(0, latency - (40 if latency < 500 else 0)) / 1000)
        failed = alpaca.get("error") or account and alpaca.get("account_error")
        if failed:
            return self.answer(500, {"message": str(failed)})
        if account:
            return self.answer(200, {"status": "ACTIVE", "equity": alpaca.get("equity", "51234.5")})
        self.answer(200, [{"symbol": symbol, "qty": "1"} for symbol in alpaca.get("positions", [])])

    def answer(self, code, body):
        body = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def judge(homeostat, root, at, alpaca=None):
    """The verdicts of one dry run, by check; or the error text."""
    shutil.copyfile(RULES.parent / "homeostat.yaml", Path(root) / "homeostat.yaml")
    command = [homeostat, "--root", root, "--rules", RULES, "--set", "bot_code=src", "--json", "dry-run", "--at", str(at)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ALPACA_")}
    server = None
    if alpaca is not None:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Of", (Broker,), {"alpaca": alpaca}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment |= {"ALPACA_BASE_URL": f"http://127.0.0.1:{server.server_port}", "ALPACA_KEY": "key-of-the-case",
                        "ALPACA_SECRET": "secret-of-the-case"}
    try:
        ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, env=environment)
    finally:
        if server is not None:
            server.shutdown()
    try:
        return {check["name"]: check for check in json.loads(ran.stdout)["checks"]}
    except (ValueError, KeyError, TypeError):
        return f"exit {ran.returncode}: {(ran.stderr or ran.stdout).strip()[:300]}"


def known(expected, check):
    """The verdict that is right for this check, and the message of the present monitoring where its verdict stands."""
    for name in CHECKS[check]:
        for source in ("right", "today"):
            word = expected.get(source, {}).get(name)
            if word is None:
                continue
            status = UNHEALTHY.get(check, "WARNING") if word == "UNHEALTHY" else WORDS.get(word, word)
            message = expected.get("messages", {}).get(name) if source == "today" else None
            return status, message
    return None, None


def fits(verdict, wanted):
    """Whether the verdict of a recorded file is one of those that are right for it."""
    if wanted == NEITHER:
        without = verdict["status"] == "OK" and verdict.get("no_data") is True
        return verdict["status"] == "UNKNOWN" or without
    return verdict["status"] == wanted


def main(argv):
    messages = "-m" in argv
    argv = [word for word in argv if word != "-m"]
    if len(argv) != 2:
        sys.exit(__doc__)
    homeostat, shared = Path(argv[0]).resolve(), Path(argv[1])
    if not (shared / "cases").is_dir():
        print(f"no cases at {shared}: nothing to judge")
        return 0
    rows, told, compared, states = [], [], 0, 0
    for case in sorted(path for path in (shared / "cases").iterdir() if (path / "meta.json").is_file()):
        states += 1
        meta = json.loads((case / "meta.json").read_text())
        now = meta["now"]
        expected = json.loads((case / "expected.json").read_text())
        with tempfile.TemporaryDirectory() as root:
            subprocess.run([sys.executable, shared / "cases/lay_out.py", case, root], check=True)
            verdicts = judge(homeostat, root, now, meta.get("alpaca", {}))
        for session, members in SESSIONS.items():
            word = expected.get("right", {}).get(session) or expected.get("today", {}).get(session)
            if word is None or isinstance(verdicts, str):
                continue
            # What is right for a session was told before what is right for its checks: those count.
            corrected = any(name in expected.get("right", {}) for member in members for name in CHECKS[member])
            wanted = WORDS.get(word, word)
            if corrected:
                wanted = max((known(expected, member)[0] for member in members), key=WORST.index)
            compared += 1
            worst = max((verdicts[name]["status"] for name in members), key=WORST.index)
            if worst != wanted:
                rows.append((case.name, session, wanted, worst, ""))
        for check in CHECKS:
            wanted, message = known(expected, check)
            if wanted is None:
                continue
            compared += 1
            if isinstance(verdicts, str) or check not in verdicts:
                rows.append((case.name, check, wanted, "-", verdicts if isinstance(verdicts, str) else "not judged"))
                continue
            verdict = verdicts[check]
            if verdict["status"] != wanted:
                rows.append((case.name, check, wanted, verdict["status"], verdict["message"]))
            elif message and message != verdict["message"]:
                told.append((case.name, check, message, verdict["message"]))
    if (shared / "recorded").is_dir():
        for title, files, wanted in RECORDED:
            states += 1
            with tempfile.TemporaryDirectory() as root:
                for directory in ("data", "state", "logs"):
                    (Path(root) / directory).mkdir()
                for to, source in files.items():
                    shutil.copyfile(shared / "recorded" / source, Path(root) / to)
                verdicts = judge(homeostat, root, RECORDED_AT)
            for check, status in wanted.items():
                compared += 1
                if isinstance(verdicts, str):
                    rows.append((title, check, status, "-", verdicts))
                elif not fits(verdicts[check], status):
                    rows.append((title, check, status, verdicts[check]["status"], verdicts[check]["message"]))
    table(("state", "check", "right", "judged", "message"), rows)
    if messages:
        table(("state", "check", "present message", "message here"), told)
    print(f"{compared} verdicts over {states} states: {compared - len(rows)} agree, {len(rows)} differ")
    return 1 if rows else 0


def table(head, rows):
    if not rows:
        return
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
