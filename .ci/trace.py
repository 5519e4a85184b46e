#!/usr/bin/env python3
"""trace.py BINARY: a dry run under a system-call trace.

Lays out broken states of the shipped rules' files, runs `dry-run` under strace, and demands that nothing was written,
renamed, removed, started or connected to (but where probes look: whether a bot answers), that the tree is the same to the byte afterwards, and that the `check` that
follows decides what the dry run said it would."""
import hashlib, json, os, re, shutil, subprocess, sys, tempfile
from pathlib import Path

BINARY = os.path.abspath(sys.argv[1])
PROJECT = Path(__file__).resolve().parent.parent
CALLS = ("openat,open,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,"
         "symlinkat,truncate,ftruncate,chmod,fchmod,fchmodat,chown,fchown,utimensat,execve,execveat,connect,bind,"
         "mknod,mknodat,setxattr,fallocate,memfd_create,pwrite64,pwritev,sendto,sendmsg")


# Where probes of the shipped rules look: a dry run looks as well.
LOOKED_AT = r'sin_port=htons\(8090\), sin_addr=inet_addr\("127\.0\.0\.1"\)'


def tree(root):
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(root))] = (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        else:
            found[str(path.relative_to(root))] = "directory"
    return found


def offences(trace):
    bad = []
    for line in trace.splitlines():
        call = re.match(r"(?:\d+ +)?(\w+)\((.*)$", line)
        if not call or "resumed" in line and "(" not in line:
            continue
        name, rest = call.groups()
        if name in ("open", "openat"):
            if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE", rest) and '"/dev/null"' not in rest:
                bad.append(line)
        elif name == "connect" and re.search(LOOKED_AT, rest):
            continue
        elif name == "execve":
            if BINARY not in rest:
                bad.append(line)
        else:
            bad.append(line)
    return bad


def locks(root):
    for name in ("data", "state"):
        (root / name).mkdir(exist_ok=True)
        lock = root / name / "uw_flow_cache.json.lock"
        lock.write_text("1")
        os.utime(lock, (1, 1))


def scores(root):
    with open(root / "data/uw_attribution.jsonl", "w") as log:
        for n in range(30):
            log.write(json.dumps({"ts": 1767717000 + n, "score": 0.1, "decision": "rejected"}) + "\n")


ONE_BY_ONE = {
    "weights missing": lambda root: (root / "data/uw_weights.json").unlink(),
    "thresholds high": lambda root: (root / "data/entry_thresholds.json").write_text('{"base": 3.5, "canary": 3.8, "champion": 4.2}'),
    "stale locks": locks,
    "scores crushed": scores,
}
STATES = {
    "healthy": lambda root: None,
    "weights corrupt": lambda root: (root / "data/uw_weights.json").write_text('{"options_flow": 2.'),
    **ONE_BY_ONE,
    "everything at once": lambda root: [change(root) for change in ONE_BY_ONE.values()],
}


def run(root, *args):
    command = [BINARY, "--root", str(root), "--rules", str(PROJECT / "rules"), "--json", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def main():
    failures, done = [], 0
    for before_check in (False, True):
        for name, change in STATES.items():
            with tempfile.TemporaryDirectory() as place:
                root = Path(place) / "root"
                root.mkdir()
                for part in ("data", "logs", "state"):
                    if (PROJECT / part).is_dir():
                        shutil.copytree(PROJECT / part, root / part, ignore=shutil.ignore_patterns("homeostat"))
                if (PROJECT / "homeostat.yaml").exists():
                    shutil.copy(PROJECT / "homeostat.yaml", root)
                if before_check:
                    run(root, "check", "--no-fix")  # leaves a store behind
                change(root)
                before = tree(root)
                log = Path(place) / "trace"
                traced = subprocess.run(
                    ["strace", "-f", "-qq", "-s", "200", "-e", f"trace={CALLS}", "-o", str(log), BINARY, "--root", str(root),
                     "--rules", str(PROJECT / "rules"), "--json", "dry-run"],
                    capture_output=True, text=True, timeout=300)
                what = f"{name}{' beside a store' if before_check else ''}"
                for line in offences(log.read_text()):
                    failures.append(f"{what}: {line[:200]}")
                if tree(root) != before:
                    failures.append(f"{what}: the tree has changed")
                dry = json.loads(traced.stdout)
                checked = json.loads(run(root, "check", "--wait", "5s").stdout)
                would = {c["name"]: (c["remediation"]["decision"], [s["kind"] for s in c["remediation"]["steps"]]) for c in dry["checks"]}
                did = {c["name"]: (c["remediation"]["decision"], [s["kind"] for s in c["remediation"]["steps"]]) for c in checked["checks"]}
                for check in would:
                    said, meant = would[check], did.get(check)
                    same = {"would": ("repaired", "failed"), "held": ("held",), "none": ("none",)}.get(said[0], ())
                    if meant is None or meant[0] not in same or (said[0] == "would" and said[1] != meant[1]):
                        failures.append(f"{what}: {check}: the dry run said {said}, check did {meant}")
                done += 1
    for failure in failures:
        print("FAILED", failure)
    print(f"{done - len({f.split(':')[0] for f in failures})} passed, {len({f.split(':')[0] for f in failures})} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
