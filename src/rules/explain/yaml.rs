//! What YAML refuses, or would read otherwise than meant.

use super::Explanation;

pub const ALL: &[Explanation] = &[
    Explanation {
        code: "yaml-syntax",
        text: "The file is not YAML as far as both parsers that read it are concerned. Most often an expression holds a \
               character that means something to YAML, like `: `, `@`, `|` or a quote at its start: put the whole text in \
               single quotes, and double a single quote inside them.",
        bad: "message: entries: ${len}",
        good: "message: 'entries: ${len}'",
    },
    Explanation {
        code: "yaml-tag",
        text: "A word that starts with `!` is a tag to YAML: it would be dropped, and the expression with it, so the check \
               would never be bad.",
        bad: "threshold: { critical: !valid }",
        good: "threshold: { critical: '!valid' }",
    },
    Explanation {
        code: "yaml-alias",
        text: "A word that starts with `&` is an anchor to YAML, one that starts with `*` an alias. Neither is part of the \
               rule language: what rules share stands under `vars` or `defaults`.",
        bad: "message: &note Here is a note",
        good: "message: '&note Here is a note'",
    },
    Explanation {
        code: "yaml-merge",
        text: "The merge key `<<` is not part of the rule language: what the checks of a file share stands under `defaults`.",
        bad: "checks:\n  - <<: { name: extra }\n",
        good: "defaults: { tags: [shared] }\n",
    },
    Explanation {
        code: "yaml-split",
        text: "Inside `{ }` and `[ ]` a comma ends a value and a key needs a blank after its colon. What was written was torn \
               into pieces; quote the whole text.",
        bad: "threshold: { critical: max(len, 2) > 3 }",
        good: "threshold: { critical: 'max(len, 2) > 3' }",
    },
    Explanation {
        code: "yaml-comment",
        text: "From ` #` on YAML reads a comment, so a part of the text would be lost without a word. Quote the text if the \
               `#` belongs to it. A comment after an expression is set off by two blanks; after a message it stands on a \
               line of its own.",
        bad: "message: Queue # 3 is full",
        good: "message: 'Queue # 3 is full'",
    },
    Explanation {
        code: "yaml-key",
        text: "A key must be a text. YAML reads `1`, `true` and `~` as something else, and `[ ]` or `{ }` as a list or a map.",
        bad: "vars:\n  1: one\n",
        good: "vars:\n  one: 1\n",
    },
    Explanation {
        code: "yaml-number",
        text: "The number is infinite, no number at all, or too large to be held exactly; comparing with it would mean \
               nothing. Quote it if it is a text.",
        bad: "vars: { most: .inf }\n",
        good: "vars: { most: 1000000 }\n",
    },
    Explanation {
        code: "yaml-documents",
        text: "A rule file holds one document: what follows a second `---` would be ignored by some readers.",
        bad: "checks: []\n---\nvars: { need: 3 }\n",
        good: "checks: []\nvars: { other: 3 }\n",
    },
    Explanation {
        code: "yaml-tab",
        text: "YAML allows no tab where blanks indent or separate.",
        bad: "checks:\n\t- name: extra\n",
        good: "checks: []\n",
    },
    Explanation {
        code: "yaml-character",
        text: "A byte order mark, a control character or one of the rare line breaks of Unicode stands in the file. Parsers \
               read them differently. Inside double quotes such a character can be written as \"\\u…\".",
        bad: "checks: []\n# \u{7}\n",
        good: "checks: []\n",
    },
    Explanation {
        code: "yaml-ambiguous",
        text: "The two parsers that read every rule file disagree about what this means. Quote the text: a rule must never \
               mean something else than what its author reads.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "yaml-too-deep",
        text: "Values stand more than 64 levels deep.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "yaml-too-large",
        text: "A rule file holds at most 1 MiB. All files below the rules directory make one rule set: split it.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "duplicate-key",
        text: "The same key stands twice in a map; one of the two would be ignored.",
        bad: "threshold:\n  critical: missing\n  critical: '!valid'",
        good: "threshold:\n  critical: missing || !valid",
    },
];
