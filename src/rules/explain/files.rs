//! Files and programs that rules name, and the rule files themselves.

use super::Explanation;

pub const ALL: &[Explanation] = &[
    Explanation {
        code: "missing-script",
        text: "The rule names a script that is not there. Scripts stand below rules/scripts/ and end with `.rhai`; they are \
               part of the rules, and loaded with them.",
        bad: "probe: { script: { file: rules/scripts/lagg.rhai } }",
        good: "",
    },
    Explanation {
        code: "unused-script",
        text: "A script stands below rules/scripts/ that no rule names. It is not compiled, so its mistakes are not found.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "script-facts",
        text: "The facts of a script are read off its text, so that what reads them is checked at load: every place where it \
               ends is a map written out, `#{ lag_s: lag, worst: name }`, with the same names.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "root-lost",
        text: "The rules are right, but the root could not be opened, so nobody can tell what their steps may do. The rules that ran before run on. See that the root is where it was, then reload.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "forbidden-path",
        text: "Steps write below `data`, `state` and `logs` of the root and nowhere else, by plain relative paths, and never to \
               the engine's own files.",
        bad: "remediation: [ { remove_file: { file: /etc/passwd } } ]",
        good: "remediation: [ { remove_file: { file: data/x.json } } ]",
    },
    Explanation {
        code: "reserved-file",
        text: "The engine writes this file itself, as a journal or a published file; a step that wrote it too would destroy it.",
        bad: "journal: logs/extra.jsonl\nremediation: [ { remove_file: { file: logs/extra.jsonl } } ]",
        good: "journal: logs/extra.jsonl\nremediation: [ { remove_file: { file: data/extra.json } } ]",
    },
    Explanation {
        code: "conflict",
        text: "Two checks leave different things in one file: each would undo what the other did.",
        bad: "checks:\n  - name: a\n    about: A.\n    probe: { file: { file: data/x } }\n    threshold: { critical: missing }\n    remediation: [ { write_file: { file: data/x, body: one } } ]\n  - name: b\n    about: B.\n    probe: { file: { file: data/x } }\n    threshold: { critical: missing }\n    remediation: [ { write_file: { file: data/x, body: two } } ]\n",
        good: "checks:\n  - name: a\n    about: A.\n    probe: { file: { file: data/x } }\n    threshold: { critical: missing }\n    remediation: [ { write_file: { file: data/x, body: one } } ]\n  - name: b\n    about: B.\n    probe: { file: { file: data/y } }\n    threshold: { critical: missing }\n    remediation: [ { write_file: { file: data/y, body: two } } ]\n",
    },
    Explanation {
        code: "missing-body",
        text: "The file that the step restores from is not below `defaults/` of the rules directory.",
        bad: "remediation: [ { restore_file: { file: data/x.json, from: rules/defaults/x.json } } ]",
        good: "remediation: [ { write_file: { file: data/x.json, body: '{}' } } ]",
    },
    Explanation {
        code: "forbidden-program",
        text: "The engine starts only programs that `homeostat.yaml` at the root allows, by their absolute path and arguments; \
               a rule cannot widen that.",
        bad: "remediation: [ { run_command: { argv: [/bin/true] } } ]",
        good: "remediation: [ { run_checks: [steady] } ]",
    },
    Explanation {
        code: "forbidden-signal",
        text: "The engine signals only processes whose command line `homeostat.yaml` at the root allows under `signal`; a rule \
               cannot widen that.",
        bad: "remediation: [ { signal_process: { name: bot, signal: HUP } } ]",
        good: "remediation: [ { run_checks: [steady] } ]",
    },
    Explanation {
        code: "forbidden-unit",
        text: "The engine restarts only units of systemd that `homeostat.yaml` at the root allows under `units`, by their whole \
               name; a rule cannot widen that.",
        bad: "remediation: [ { restart_unit: trading-bot.service } ]",
        good: "remediation: [ { run_checks: [steady] } ]",
    },
    Explanation {
        code: "not-allowed",
        text: "Probes read below the root and what `homeostat.yaml` allows under `read`, and start only what it allows under \
               `run`.",
        bad: "probe: { file: { file: /etc/passwd } }",
        good: "probe: { file: { file: data/x.json } }",
    },
    Explanation {
        code: "bad-pattern",
        text: "The regular expression cannot be parsed.",
        bad: "probe: { text: { file: data/x.txt, patterns: { errors: '(ERROR' } } }",
        good: "probe: { text: { file: data/x.txt, patterns: { errors: 'ERROR' } } }",
    },
    Explanation {
        code: "unreadable",
        text: "A rule file is there and cannot be read: a link that leads nowhere, missing permission, something that is no \
               regular file. A rule set is never loaded in part.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "not-utf8",
        text: "Rule files are UTF-8.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "too-many-files",
        text: "A rules directory holds at most 20,000 files.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "too-many-bytes",
        text: "The files of a rules directory hold at most 64 MiB together.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "no-rules",
        text: "There is no rule file, or no check in any: an engine that watches nothing would look healthy.",
        bad: "",
        good: "",
    },
];
