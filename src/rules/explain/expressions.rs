//! Mistakes inside expressions and templates.

use super::Explanation;

pub const ALL: &[Explanation] = &[
    Explanation {
        code: "bad-expression",
        text: "The expression cannot be parsed; the place is the character at which it stops making sense.",
        bad: "threshold: { critical: len > }",
        good: "threshold: { critical: len > 3 }",
    },
    Explanation {
        code: "empty-expression",
        text: "An expression is due and there is none.",
        bad: "message: '${} entries'",
        good: "message: '${len} entries'",
    },
    Explanation {
        code: "expression-too-long",
        text: "The expression is too long to be read by anybody; give its parts names under `let`.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "bad-template",
        text: "A `${` is never closed. A `${` that is meant as text is written `$${`.",
        bad: "message: 'has ${len entries'",
        good: "message: 'has ${len} entries'",
    },
    Explanation {
        code: "unknown-name",
        text: "There is no such name here. Expressions read facts, `let`, `vars`, `now` and what belongs to their place: probes \
               read `vars` and `env` only, `enough` facts only, messages also `status`.",
        bad: "threshold: { critical: lenn > 3 }",
        good: "threshold: { critical: len > 3 }",
    },
    Explanation {
        code: "unknown-property",
        text: "The map is known at load, and has no such property. Reading it would be a fault at every look.",
        bad: "threshold: { critical: len > vars.ned }",
        good: "threshold: { critical: len > vars.need }",
    },
    Explanation {
        code: "unknown-function",
        text: "There is no such function, or not for this kind of value. There are no files, clocks or network in expressions.",
        bad: "threshold: { critical: len.sqare() > 9 }",
        good: "threshold: { critical: len * len > 9 }",
    },
    Explanation {
        code: "wrong-arguments",
        text: "The function is called with too few, too many or other arguments than it takes.",
        bad: "let: { a: 'len.fixed(1, 2)' }",
        good: "let: { a: 'len.fixed(1)' }",
    },
    Explanation {
        code: "bad-operator",
        text: "The operator has no place in rules: conditions are joined with `&&` and `||`, and ranges stand only after `in`.",
        bad: "threshold: { critical: 'missing | !valid' }",
        good: "threshold: { critical: 'missing || !valid' }",
    },
    Explanation {
        code: "not-a-condition",
        text: "A condition is due, true or false, and this is something else. A number is not true for not being zero.",
        bad: "threshold: { critical: len && exists }",
        good: "threshold: { critical: len > 0 && exists }",
    },
    Explanation {
        code: "if-without-else",
        text: "An `if` that is used as a value has no value when its condition does not hold.",
        bad: "let: { a: 'if exists { 1 }' }",
        good: "let: { a: 'if exists { 1 } else { 0 }' }",
    },
    Explanation {
        code: "switch-without-default",
        text: "A `switch` has no value when no case fits: add a case `_`.",
        bad: "let: { a: 'switch len { 1 => \"one\" }' }",
        good: "let: { a: 'switch len { 1 => \"one\", _ => \"more\" }' }",
    },
    Explanation {
        code: "statement",
        text: "An expression is one value. It assigns nothing, defines nothing, and has no second line; give parts of it names \
               under `let`.",
        bad: "threshold: { critical: 'let a = 3; len > a' }",
        good: "let: { a: '3' }\nthreshold: { critical: len > a }",
    },
    Explanation {
        code: "character",
        text: "A text stands in double quotes; in Rhai single quotes hold one character.",
        bad: "threshold: { critical: \"doc == 'x'\" }",
        good: "threshold: { critical: 'doc == \"x\"' }",
    },
    Explanation {
        code: "bad-number",
        text: "The number is too large.",
        bad: "threshold: { critical: 'len > 1.0e999' }",
        good: "threshold: { critical: 'len > 1.0e9' }",
    },
    Explanation {
        code: "bit-index",
        text: "Rhai would read a bit of the integer here; an integer has no items.",
        bad: "let: { a: '5[0]' }",
        good: "let: { a: '[5][0]' }",
    },
    Explanation {
        code: "unlisted-env",
        text: "`env(…)` reads only the names that `homeostat.yaml` lists under `env`, so that a rule cannot read secrets it was \
               not given. Any other name is `()`: a warning, and an error where it is nearly one that is listed.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "let-cycle",
        text: "These `let` values need each other: none of them can be computed.",
        bad: "let: { a: b + 1, b: a + 1 }",
        good: "let: { a: b + 1, b: len + 1 }",
    },
];
