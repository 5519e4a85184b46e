//! Functions, closures, texts and the outside.

use super::{super::functions, table};
use crate::script::Engine;

#[test]
fn functions_of_lists_answer_or_refuse() {
    table(&[
        ("list.mean()", "2.0"),
        ("list.sum()", "6"),
        ("records.sum(\"score\")", "6.0"),
        ("list.max()", "3"),
        ("list.min()", "1"),
        ("list.median()", "2.0"),
        ("[1, 2, 3, 4].median()", "2.5"),
        ("list.percentile(50)", "2.0"),
        ("list.percentile(100)", "3.0"),
        (
            "list.percentile(101)",
            "FAULT 6: a percentile lies between 0 and 100",
        ),
        ("records.percentile(\"score\", 50)", "2.0"),
        ("records.mean(\"score\")", "2.0"),
        ("records.mean(|r| r.score * 2)", "4.0"),
        (
            "records.mean(\"kind\")",
            "FAULT 9: item 0 is text `a`, not a number",
        ),
        ("records.max(\"score\")", "3.0"),
        ("records.map(|r| r.get(\"score\", 0.0)).max()", "3.0"),
        ("records.count()", "3"),
        ("records.count(\"ok\")", "2"),
        ("records.count(|r| r.kind == \"a\")", "2"),
        (
            "records.count(|r| r.score)",
            "FAULT 9: expected true or false, found number 1.0",
        ),
        ("records.share(\"ok\") > 0.6", "true"),
        ("records.any(|r| r.score > 2)", "true"),
        ("records.some(|r| r.score > 3)", "false"),
        ("records.all(\"ok\")", "false"),
        ("records.streak(|r| r.score > 1)", "2"),
        ("records.streak(\"ok\")", "1"),
        ("records.filter(\"ok\").pluck(\"kind\")", "[\"a\",\"a\"]"),
        ("records.filter(|r| r.ok).len()", "2"),
        ("records.first().score", "1.0"),
        ("records.last().score", "2.0"),
        ("list.first(2)", "[3,1]"),
        ("list.last(2)", "[1,2]"),
        ("list.last(9)", "[3,1,2]"),
        ("list.minus([1])", "[3,2]"),
        ("list.join(\"-\")", "\"3-1-2\""),
        ("records.pluck(\"kind\").join()", "\"a, b, a\""),
        (
            "[()].join(\",\")",
            "FAULT 6: nothing () cannot be written as text",
        ),
        ("list.sort()", "[1,2,3]"),
        ("records.sort(\"score\").pluck(\"score\")", "[1.0,2.0,3.0]"),
        (
            "[1, \"a\"].sort()",
            "FAULT 10: cannot sort text `a` among other kinds",
        ),
        (
            "[[1], [2]].sort()",
            "FAULT 12: cannot sort a list of 1 among other kinds",
        ),
        ("[\"b\", \"a\"].sort()", "[\"a\",\"b\"]"),
        ("[2, 1.5].sort()", "[1.5,2]"),
        ("list.reverse()", "[2,1,3]"),
        ("[1, 2, 1.0].unique()", "[1,2]"),
        ("list.index_of(1)", "1"),
        ("list.index_of(9)", "null"),
        (
            "list.index_of(9) > 0",
            "FAULT 18: cannot compare nothing () > number 0",
        ),
        ("\"abc\".index_of(\"c\")", "2"),
        ("empty.mean()", "FAULT 7: an empty list has no `mean`"),
        ("empty.max()", "FAULT 7: an empty list has no `max`"),
        ("empty.min()", "FAULT 7: an empty list has no `min`"),
        ("empty.median()", "FAULT 7: an empty list has no `median`"),
        (
            "empty.percentile(5)",
            "FAULT 7: an empty list has no `percentile`",
        ),
        (
            "empty.share(|x| x)",
            "FAULT 7: an empty list has no `share`",
        ),
        ("empty.last()", "FAULT 7: an empty list has no `last`"),
        ("empty.first()", "FAULT 7: an empty list has no `first`"),
        ("empty.sum()", "0"),
        ("empty.count()", "0"),
        ("empty.all(|x| x.y)", "true"),
        ("empty.any(|x| x.y)", "false"),
        (
            "[1, \"a\"].sum()",
            "FAULT 10: item 1 is text `a`, not a number",
        ),
        (
            "[1, \"a\"].max()",
            "FAULT 10: cannot compare text `a` with number 1",
        ),
        (
            "[\"a\"].mean()",
            "FAULT 7: item 0 is text `a`, not a number",
        ),
        (
            "[()].max()",
            "FAULT 6: cannot compare nothing () with nothing ()",
        ),
        (
            "n.mean()",
            "FAULT 3: `mean` cannot be used on number 5: write `list.mean()`, `list.mean(\"field\")` or `list.mean(|x| …)`",
        ),
        (
            "doc.mean()",
            "FAULT 5: `mean` cannot be used on a map of base, canary, none, len, deep: write `list.mean()`, `list.mean(\"field\")` or `list.mean(|x| …)`",
        ),
        (
            "list.map(5)",
            "FAULT 6: `map` cannot be used on number 5: write `list.map(|x| …)`",
        ),
        ("doc.values().all(|w| w == 0)", "false"),
        ("#{a: 0, b: 0}.values().all(|w| w == 0)", "true"),
        (
            "doc.keys()",
            "[\"base\",\"canary\",\"none\",\"len\",\"deep\"]",
        ),
        (
            "list.keys()",
            "FAULT 6: `keys` cannot be used on a list of 3: write `map.keys()`",
        ),
        ("records.is_empty()", "false"),
        ("empty.is_empty()", "true"),
    ]);
}

#[test]
fn closures_use_every_name_nested_ones_too() {
    table(&[
        ("records.filter(|r| r.score > vars.limit).len()", "1"),
        (
            "records.map(|r| r.tags.filter(|t| t >= vars.limit && r.ok).len())",
            "[1,0,0]",
        ),
        (
            "records.map(|r| r.tags.map(|t| records.count(|s| t in s.tags && s.score >= r.score)))",
            "[[1,2],[1],[]]",
        ),
        ("list.map(|n| n + 1)", "[4,2,3]"),
        ("list.map(|list| list * n)", "[15,5,10]"),
        (
            "list.map(|a| list.map(|b| list.map(|c| a * 100 + b * 10 + c).max()).max()).max()",
            "333",
        ),
        ("list.map(|a| list.map(|a| a).sum()).sum()", "18"),
        ("list.map(|a| if a > 1 { a } else { 0 })", "[3,0,2]"),
        (
            "list.map(|a| switch a { 1 => \"one\", _ => `${a}` })",
            "[\"3\",\"one\",\"2\"]",
        ),
        ("list.map(|a| type_of(a))", "[\"int\",\"int\",\"int\"]"),
        (
            "list.map(|x| y)",
            "LOAD 14: unknown name `y` (did you mean `x`?)",
        ),
        (
            "list.map(|x| list.map(|y| xx + y))",
            "LOAD 27: unknown name `xx` (did you mean `x`?)",
        ),
        (
            "list.map(|x, y| x)",
            "LOAD 10: this function takes 2 values, but is given one (write `|x| …`)",
        ),
        (
            "list.map(|| 1)",
            "LOAD 10: this function takes 0 values, but is given one (write `|x| …`)",
        ),
        (
            "list.map(|x| x.foo())",
            "LOAD 16: unknown function `foo` (the functions are listed in docs/rules.md)",
        ),
        (
            "|x| x",
            "FAULT 1: a function is not a value that can be kept",
        ),
    ]);
}

#[test]
fn texts() {
    table(&[
        ("\"Abc\".to_lower() + \"x\".to_upper()", "\"abcX\""),
        ("\" a \".trim().len()", "1"),
        ("\"a,b\".split(\",\")", "[\"a\",\"b\"]"),
        ("\"a  b\".split()", "[\"a\",\"b\"]"),
        (
            "\"a\".split(\"\")",
            "FAULT 5: a text is not split by nothing",
        ),
        ("\"äbc\".sub_string(1)", "\"bc\""),
        ("\"abc\".sub_string(1, 1)", "\"b\""),
        (
            "\"abc\".sub_string(4)",
            "FAULT 7: no character 4; there are 3",
        ),
        ("\"äbc\"[0]", "\"ä\""),
        ("\"abc\".replace(\"b\", \"x\")", "\"axc\""),
        (
            "\"abc\".replace(\"\", \"x\")",
            "FAULT 7: nothing cannot be replaced",
        ),
        (
            "\"abc\".starts_with(\"ab\") && \"abc\".ends_with(\"bc\")",
            "true",
        ),
        (
            "n.to_lower()",
            "FAULT 3: `to_lower` cannot be used on number 5: write `text.to_lower()`",
        ),
        ("`${n} of ${doc.base}`", "\"5 of 2.7\""),
        (
            "`${nothing}`",
            "FAULT 4: nothing () cannot be written as text",
        ),
        ("`a${list}b`", "\"a[3,1,2]b\""),
        ("text(2.0) + text(3) + text(true)", "\"2.03true\""),
        ("text(())", "FAULT 1: nothing () cannot be written as text"),
        (
            "'x'",
            "LOAD 1: a text stands in double quotes (write \"x\" in double quotes)",
        ),
        (
            "name == 'x'",
            "LOAD 9: a text stands in double quotes (write \"x\" in double quotes)",
        ),
        (
            "name == 'ok'",
            "LOAD 9: a text stands in double quotes (write \"…\" instead of '…')",
        ),
        ("type_of(doc)", "\"map\""),
        ("prev.let.avg", "1.5"),
        ("prev?.let.avg", "1.5"),
        (
            "[type_of(list), type_of(name), type_of(n), type_of(age_s), type_of(exists), type_of(nothing), type_of(#{}), type_of([])]",
            "[\"array\",\"string\",\"int\",\"float\",\"bool\",\"()\",\"map\",\"array\"]",
        ),
        ("doc.type_of()", "\"map\""),
    ]);
}

#[test]
fn the_outside() {
    table(&[
        ("age(now)", "0.0"),
        ("age(1767716990)", "10.0"),
        ("age(1767716990000)", "10.0"),
        ("age(\"2026-01-06T16:29:50Z\")", "10.0"),
        ("age(\"2026-01-06T11:29:50-05:00\")", "10.0"),
        ("iso(1767716990)", "\"2026-01-06T16:29:50.000Z\""),
        ("iso(1767716990000)", "\"2026-01-06T16:29:50.000Z\""),
        (
            "iso(\"2026-01-06T11:29:50-05:00\")",
            "\"2026-01-06T16:29:50.000Z\"",
        ),
        (
            "age(\"2026-01-06T16:29:50\")",
            "FAULT 1: `2026-01-06T16:29:50` is not an ISO 8601 time with zone",
        ),
        (
            "age(\"1767716990\")",
            "FAULT 1: `1767716990` is not an ISO 8601 time with zone",
        ),
        (
            "age(nothing)",
            "FAULT 1: `age` cannot be used on nothing (): write `age(x)` of epoch seconds or milliseconds, or of an ISO 8601 text with zone",
        ),
        (
            "age(1e300)",
            "FAULT 1: `age` cannot be used on number 1e300: write `age(x)` of epoch seconds or milliseconds, or of an ISO 8601 text with zone",
        ),
        ("env(\"TOKEN\")", "\"t\""),
        ("env(\"UNSET\")", "null"),
        ("env(\"OTHER\")", "null"),
        ("env(\"OTH\" + \"ER\")", "null"),
        (
            "env(\"TOKNE\")",
            "LOAD 5: `TOKNE` is not listed (did you mean `TOKEN`?)",
        ),
        ("parse_json(\"[1]\")[0]", "1"),
        (
            "parse_json(\"[1\")",
            "FAULT 1: this is not JSON: EOF while parsing a list at line 1 column 2",
        ),
        ("vars.limit", "2"),
        (
            "vars.limt",
            "LOAD 6: no property `limt` (did you mean `limit`?)",
        ),
        ("vars.who.a[0]", "1"),
        ("vars.who.b", "LOAD 10: no property `b` (did you mean `a`?)"),
        (
            "print(1)",
            "LOAD 1: `print` cannot be used in rules (an expression only looks at its names and gives a value)",
        ),
        (
            "eval(\"1\")",
            "LOAD 1: `eval` cannot be used in rules (an expression only looks at its names and gives a value)",
        ),
        (
            "sleep(1)",
            "LOAD 1: unknown function `sleep` (the functions are listed in docs/rules.md)",
        ),
        (
            "timestamp()",
            "LOAD 1: unknown function `timestamp` (the functions are listed in docs/rules.md)",
        ),
        (
            "import \"x\"",
            "LOAD 1: `import` cannot be used in rules (an expression only looks at its names and gives a value)",
        ),
    ]);
}

#[test]
fn every_function_of_the_table_can_be_called() {
    let engine = Engine::new();
    let mut seen = std::collections::BTreeSet::new();
    for function in functions::all().chain(functions::that_look()) {
        assert!(
            seen.insert(function.name),
            "`{}` stands twice",
            function.name
        );
        assert!(function.least >= 1 && function.least <= function.most);
        for count in function.least..=function.most {
            let values = vec!["()"; count].join(", ");
            let source = format!("{}({values})", function.name);
            if let Err(error) = engine.0.rhai.eval::<rhai::Dynamic>(&source) {
                let error = error.to_string();
                assert!(!error.contains("Function not found"), "{source}: {error}");
            }
        }
    }
}
