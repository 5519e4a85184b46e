#!/usr/bin/env python3
"""Runs schemathesis over the OpenAPI document of a real engine, on a scratch root with harmless rules.

    .ci/schemathesis.py PATH/TO/homeostat [EXAMPLES]

Every check that schemathesis has is on. What it finds is an error. It needs Python 3.10 and the network once, to install
schemathesis into an environment of its own below target/ (SCHEMATHESIS=/path/to/st takes one that is there)."""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

VERSION = "4.32.5"
RULES = """
checks:
  - name: weights
    about: The weights are there.
    tags: [data]
    trigger: { every: 1h }
    probe: { json: { file: data/weights.json } }
    let: { keys: 'if missing { 0 } else { doc.keys().len() }' }
    threshold: { critical: keys > 5, warning: missing }
    message: 'weights ${if missing { "missing" } else { "there" }}'
    remediation: { when: [warning], steps: [ { restore_file: { file: data/weights.json, from: rules/defaults/weights.json } } ] }
  - name: backup
    about: The backup says when it is done.
    trigger: { every: 1h }
    probe: { heartbeat: { name: nightly } }
    threshold: { warning: age_s == () || age_s > 90000 }
    needs: [weights]
investigations:
  - name: session
    checks: [weights, backup]
    journal: logs/session.jsonl
"""


def tool() -> str:
    """The program schemathesis, installed if need be."""
    given = os.environ.get("SCHEMATHESIS")
    if given:
        return given
    place = Path(__file__).resolve().parent.parent / "target" / "schemathesis"
    program = place / "bin" / "st"
    if not program.exists():
        venv.create(place, with_pip=True, clear=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", f"schemathesis=={VERSION}"]
        subprocess.run(pip, check=True)
    return str(program)


def scratch(root: Path) -> None:
    for name in ["rules/defaults", "data", "state", "logs"]:
        (root / name).mkdir(parents=True)
    (root / "rules/room.yaml").write_text(RULES)
    (root / "rules/defaults/weights.json").write_text('{"a": 1}\n')
    (root / "data/weights.json").write_text('{"a": 1}\n')


def main() -> int:
    homeostat = Path(sys.argv[1]).resolve()
    examples = sys.argv[2] if len(sys.argv) > 2 else "25"
    st = tool()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        scratch(root)
        command = [homeostat, "--root", root, "run", "--json", "--listen", "127.0.0.1:0"]
        with open(root / "logs/engine.log", "wb") as log:
            engine = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            ready = json.loads(engine.stdout.readline())
            address = ready["listen"]
            # Its lines must not fill the pipe.
            drain = subprocess.Popen(["cat"], stdin=engine.stdout, stdout=subprocess.DEVNULL)
            token = (root / "state/homeostat/token").read_text().strip()
            settings = root / "schemathesis.toml"
            settings.write_text(SETTINGS)
            run = [
                st, "--config-file", settings, "run", f"{address}/api/openapi.json",
                "--header", f"Authorization: Bearer {token}",
                "--checks", "all",
                "--exclude-path", "/api/stream",  # it does not end; tests/room.rs reads it
                "--max-examples", examples,
                "--rate-limit", "80/s",
                "--request-timeout", "20",
                "--seed", "1",
                "--generation-database", ":memory:",
                "--no-color",
            ]
            found = subprocess.run(run, cwd=root).returncode
            if engine.poll() is not None:
                print("the engine ended", file=sys.stderr)
                print((root / "logs/engine.log").read_text()[-4000:], file=sys.stderr)
                return 1
            return found
        finally:
            engine.terminate()
            engine.wait(30)
            engine.stdout.close()
            drain.wait(10)


SETTINGS = """
# A name that no rule has is answered 404, a state that does not allow it 409: both are as good as 2xx for data that is
# well-formed. 422 is how a rule set is refused.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "422", "429"]
"""

if __name__ == "__main__":
    sys.exit(main())
