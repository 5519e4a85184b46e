//! What is strict: a table of expressions and their answers. Rhai's own answer is named where it would be healthy.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::model::{
    facts::Facts,
    moment::Moment,
    text::{Mistake, Text},
};

fn facts() -> Facts {
    Facts::from_json(json!({
        "exists": true,
        "age_s": 310.5,
        "n": 5,
        "name": "x",
        "nothing": null,
        "list": [3, 1, 2],
        "empty": [],
        "prev": {"let": {"avg": 1.5}},
        "doc": {"base": 2.7, "canary": 2.9, "none": null, "len": 9, "deep": {"list": [{"a": 1}, {"a": 2}]}},
        "records": [
            {"score": 1.0, "ok": true, "kind": "a", "tags": [1, 2]},
            {"score": 3.0, "ok": false, "kind": "b", "tags": [2]},
            {"score": 2.0, "ok": true, "kind": "a", "tags": []},
        ],
        "big": 9007199254740993_i64,
        "huge": u64::MAX,
    }))
    .unwrap()
}

pub(super) fn known(facts: &Facts) -> Known {
    let mut known = Known::ground(json!({"limit": 2, "who": {"a": [1]}}).as_object().unwrap());
    for name in facts.names() {
        known = known.with(name, None);
    }
    known.with_env(["TOKEN", "UNSET"])
}

fn ground() -> Ground {
    Ground {
        now: Moment::from_seconds(1_767_717_000.0),
        vars: Arc::new(
            json!({"limit": 2, "who": {"a": [1]}})
                .as_object()
                .unwrap()
                .clone(),
        ),
        env: Arc::new(Env {
            listed: [
                ("TOKEN".to_owned(), Some("t".to_owned())),
                ("UNSET".to_owned(), None),
            ]
            .into(),
        }),
    }
}

fn told(mistakes: &[Mistake]) -> String {
    let told: Vec<String> = mistakes
        .iter()
        .map(|mistake| {
            let (column, message) = (mistake.place.column, &mistake.message);
            match &mistake.help {
                Some(help) => format!("LOAD {column}: {message} ({help})"),
                None => format!("LOAD {column}: {message}"),
            }
        })
        .collect();
    told.join("; ")
}

pub(super) fn marked(text: &str) -> Text {
    let marks = (1..=text.chars().count() as u32 + 1).map(|column| (1, column));
    Text::placed(text, Default::default(), Some(marks.collect()))
}

fn answer(source: &str) -> String {
    thread_local! { static ENGINE: Engine = Engine::new(); }
    ENGINE.with(|engine| {
        let facts = facts();
        let mut mistakes = Vec::new();
        let compiled = Expr::compile(engine, &marked(source), &known(&facts), &mut mistakes);
        let Some(expr) = compiled else {
            return told(&mistakes);
        };
        let ground = ground();
        match expr.value(engine, &Scope::new(&ground).facts(&facts)) {
            Ok(value) => value.to_string(),
            Err(fault) => format!("FAULT {}: {}", fault.place.column, fault.message),
        }
    })
}

#[track_caller]
fn table(rows: &[(&str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(source, wanted)| {
            let answer = answer(source);
            (answer != *wanted).then(|| format!("        ({source:?}, {answer:?}),"))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn absence_is_never_an_answer() {
    table(&[
        ("doc.base", "2.7"),
        (
            "doc.bse",
            "FAULT 5: no property `bse`; there are base, canary, none, len, deep",
        ),
        (
            "doc.bse > 1",
            "FAULT 5: no property `bse`; there are base, canary, none, len, deep",
        ),
        (
            "doc[\"bse\"] > 1",
            "FAULT 5: no property `bse`; there are base, canary, none, len, deep",
        ),
        ("nothing.base", "FAULT 9: nothing () has no property `base`"),
        ("nothing?.base", "null"),
        ("nothing?.base ?? 2.7", "2.7"),
        (
            "doc?.bse ?? 2.7",
            "FAULT 6: no property `bse`; there are base, canary, none, len, deep",
        ),
        (
            "doc?.deep.nope",
            "FAULT 11: no property `nope`; there are list",
        ),
        (
            "doc.none > 1",
            "FAULT 10: cannot compare nothing () > number 1",
        ),
        ("doc.none ?? 5", "5"),
        ("doc.get(\"base\", 1)", "2.7"),
        ("doc.get(\"bse\", 1)", "1"),
        ("doc.get(\"none\", 1)", "null"),
        ("nothing.get(\"x\", 1)", "1"),
        (
            "name.get(\"x\", 1)",
            "FAULT 6: text `x` has no property `x`",
        ),
        ("#{a: 1}.b", "FAULT 9: no property `b`; there are a"),
        ("#{a: 1}.get(\"b\", 3)", "3"),
        ("list[0]", "3"),
        ("list[-1]", "2"),
        ("list[3]", "FAULT 6: no item 3 in a list of 3"),
        ("list[-4]", "FAULT 6: no item -4 in a list of 3"),
        ("list[\"a\"]", "FAULT 6: a list of 3 has no property `a`"),
        ("[1, 2][5]", "FAULT 8: no item 5 in a list of 2"),
        ("doc.deep.list[1].a", "2"),
        (
            "doc.deep.list[1].b",
            "FAULT 18: no property `b`; there are a",
        ),
        ("doc[0]", "FAULT 5: number 0 is not a name in a map"),
        ("n[0]", "FAULT 3: number 5 has no items"),
        ("doc.deep[\"list\"][0][\"a\"]", "1"),
        (
            "records.filter(|r| r.scor > 1)",
            "FAULT 22: no property `scor`; there are score, ok, kind, tags",
        ),
        (
            "records.pluck(\"scor\")",
            "FAULT 9: no property `scor`; there are score, ok, kind, tags",
        ),
        ("records.pluck(\"scor\", 0)", "[0,0,0]"),
        (
            "doc.keys",
            "FAULT 5: no property `keys`; did you mean `keys()`?",
        ),
        ("doc.len", "9"),
        (
            "doc.deep.len",
            "FAULT 10: no property `len`; did you mean `len()`?",
        ),
        ("list.len", "3"),
        ("doc.deep.len()", "1"),
        ("name.len()", "1"),
    ]);
}

#[test]
fn kinds_are_never_mixed() {
    table(&[
        ("\"x\" > 3", "FAULT 5: cannot compare text `x` > number 3"),
        ("() > 1", "FAULT 4: cannot compare nothing () > number 1"),
        (
            "nothing > 1",
            "FAULT 9: cannot compare nothing () > number 1",
        ),
        ("true > false", "FAULT 6: cannot compare true > false"),
        ("list > 1", "FAULT 6: cannot compare a list of 3 > number 1"),
        (
            "list > list",
            "FAULT 6: cannot compare a list of 3 > a list of 3",
        ),
        ("\"a\" < \"b\"", "true"),
        ("\"a\" + 1", "FAULT 5: cannot calculate text `a` + number 1"),
        ("1 + \"a\"", "FAULT 3: cannot calculate number 1 + text `a`"),
        ("\"a\" + \"b\"", "\"ab\""),
        ("\"a\" * 3", "FAULT 5: cannot calculate text `a` * number 3"),
        ("() + 1", "FAULT 4: cannot calculate nothing () + number 1"),
        ("true + 1", "FAULT 6: cannot calculate true + number 1"),
        ("[1] + [2]", "[1,2]"),
        ("list + [2]", "[3,1,2,2]"),
        (
            "#{a: 1} + #{b: 2}",
            "FAULT 9: cannot calculate a map of a + a map of b",
        ),
        ("-name", "FAULT 1: text `x` has no sign"),
        ("!name", "FAULT 1: cannot negate text `x`"),
        ("!n", "FAULT 1: cannot negate number 5"),
        ("-n", "-5"),
        ("!exists", "false"),
        (
            "name && true",
            "FAULT 1: expected true or false, found a text",
        ),
        (
            "n || true",
            "FAULT 1: expected true or false, found a number",
        ),
        (
            "if n { 1 } else { 2 }",
            "FAULT 4: expected true or false, found a number",
        ),
        (
            "exists && n",
            "FAULT 11: expected true or false, found a number",
        ),
        (
            "nothing && true",
            "FAULT 1: expected true or false, found nothing ()",
        ),
        (
            "doc && true",
            "FAULT 1: expected true or false, found a map or list",
        ),
    ]);
}

#[test]
fn equality_never_fails_for_kinds() {
    table(&[
        ("\"5\" == 5", "false"),
        ("\"5\" != 5", "true"),
        ("() == 0", "false"),
        ("nothing == ()", "true"),
        ("nothing != ()", "false"),
        ("() == false", "false"),
        ("doc == ()", "false"),
        ("doc == 5", "false"),
        ("exists == true", "true"),
        ("1 == 1.0", "true"),
        ("[1, 2] == [1.0, 2]", "true"),
        ("list == [3, 1, 2]", "true"),
        ("[3, 1, 2] == list", "true"),
        ("list == [3, 1, \"2\"]", "false"),
        ("list != [3, 1]", "true"),
        ("list == doc", "false"),
        ("doc.deep == #{list: [#{a: 1}, #{a: 2}]}", "true"),
        ("#{a: 1} == #{a: 1.0}", "true"),
        ("#{a: 1} == #{b: 1}", "false"),
        ("records[0] == records[0]", "true"),
        ("records[0] == records[1]", "false"),
        ("(|x| x) == 1", "false"),
        ("3 in list", "true"),
        ("4 in list", "false"),
        ("3.0 in list", "true"),
        ("\"3\" in list", "false"),
        ("3 !in list", "false"),
        ("\"base\" in doc", "true"),
        ("\"bse\" in doc", "false"),
        ("5 in doc", "false"),
        ("\"x\" in nothing", "false"),
        ("\"x\" in n", "false"),
        ("\"b\" in \"abc\"", "true"),
        ("1 in \"abc\"", "false"),
        ("n in 1..5", "false"),
        ("n in 1..=5", "true"),
        ("age_s in 0..400", "true"),
        ("name in 0..400", "false"),
        ("list.contains(3)", "true"),
        ("switch n { 5 => \"five\", _ => \"other\" }", "\"five\""),
        ("switch name { 5 => \"five\", _ => \"other\" }", "\"other\""),
    ]);
}

#[test]
fn numbers_are_exact_and_finite() {
    table(&[
        ("8 / 10", "0.8"),
        ("8 / 4", "2.0"),
        ("8 % 3", "2"),
        ("8 / 0", "FAULT 3: division by zero"),
        ("8 % 0", "FAULT 3: division by zero"),
        ("8.0 / 0.0", "FAULT 5: division by zero"),
        ("0.0 / 0.0", "FAULT 5: division by zero"),
        ("0.0 / 0.0 == 0.0", "FAULT 5: division by zero"),
        ("1e308 * 10.0", "FAULT 7: the result is not a finite number"),
        ("1e999", "LOAD 1: this number is too large"),
        (
            "9223372036854775807 + 1",
            "FAULT 21: the result is too large for an integer",
        ),
        (
            "-9223372036854775807 - 2",
            "FAULT 22: the result is too large for an integer",
        ),
        (
            "9223372036854775807 * 2",
            "FAULT 21: the result is too large for an integer",
        ),
        ("2 ** 62", "4611686018427387904"),
        ("2 ** 63", "FAULT 3: the result is too large for an integer"),
        ("2 ** -1", "0.5"),
        ("2.0 ** 0.5 > 1.41", "true"),
        (
            "(0.0 - 1.0) ** 0.5",
            "FAULT 13: the result is not a finite number",
        ),
        (
            "big == 9007199254740992.0",
            "FAULT 5: the integer 9007199254740993 is too large to be mixed with a real",
        ),
        (
            "big > 1.5",
            "FAULT 5: the integer 9007199254740993 is too large to be mixed with a real",
        ),
        ("big == 9007199254740993", "true"),
        (
            "big + 0.5",
            "FAULT 5: the integer 9007199254740993 is too large to be mixed with a real",
        ),
        (
            "huge > 1",
            "FAULT 1: the integer 18446744073709551615 is too large",
        ),
        ("4611686018427387904 > 1.5", "true"),
        ("0.1 + 0.2 == 0.3", "false"),
        ("near(0.1 + 0.2, 0.3)", "true"),
        ("near(1.0, 1.1)", "false"),
        ("near(1.0, 1.1, 0.2)", "true"),
        ("1e-17 > 0.0", "true"),
        ("1 < 1.5", "true"),
        ("2 > 1.5 && 1.5 < 2", "true"),
        ("5 & 1", "LOAD 3: `&` works on bits (write `&&`)"),
        ("exists | true", "LOAD 8: `|` works on bits (write `||`)"),
        (
            "1 << 3",
            "LOAD 3: `<<` works on bits (there is no shifting in rules)",
        ),
        (
            "5[0]",
            "LOAD 1: an integer has no items (`[…]` reads an item of a list or map)",
        ),
        ("doc.base.floor()", "2"),
        ("doc.base.ceil()", "3"),
        ("doc.base.round()", "3"),
        ("2.345.round(1)", "2.3"),
        (
            "1e300.floor()",
            "FAULT 7: the result is too large for an integer",
        ),
        ("(0 - 5).abs()", "5"),
        ("(0.0 - 2.5).abs()", "2.5"),
        ("16.sqrt()", "4.0"),
        (
            "(0 - 1).sqrt()",
            "FAULT 9: the result is not a finite number",
        ),
        ("0.log10()", "FAULT 3: the result is not a finite number"),
        ("100.log10()", "2.0"),
        ("pow(2, 3)", "8.0"),
        ("min(8, n)", "5"),
        ("max(8, n, 9.5)", "9.5"),
        (
            "min(8, name)",
            "FAULT 1: `min` cannot be used on text `x`: write `list.min()`, `list.min(\"field\")` or `min(a, b)`",
        ),
        (
            "min(name, name)",
            "FAULT 1: `min` cannot be used on text `x`: write `list.min()`, `list.min(\"field\")` or `min(a, b)`",
        ),
        (
            "min(8)",
            "FAULT 1: `min` cannot be used on number 8: write `list.min()`, `list.min(\"field\")` or `min(a, b)`",
        ),
        ("5.clamp(1, 3)", "3"),
        (
            "5.clamp(3, 1)",
            "FAULT 3: the low bound is above the high one",
        ),
        ("doc.base.fixed(2)", "\"2.70\""),
        ("n.fixed(2)", "\"5.00\""),
        ("n.fixed(0)", "\"5\""),
        ("0.5.fixed(0)", "\"0\""),
        (
            "name.fixed(2)",
            "FAULT 6: `fixed` cannot be used on text `x`: write `x.fixed(decimals)`",
        ),
        (
            "n.fixed(-1)",
            "FAULT 3: `fixed` cannot be used on number -1: write `x.fixed(decimals)`",
        ),
        ("n.fixed(99)", "FAULT 3: at most 20 decimals"),
        ("number(\"2.5\")", "2.5"),
        ("number(\" 7 \")", "7"),
        ("number(\"nan\")", "FAULT 1: `nan` is not a number"),
        ("number(\"1,5\")", "FAULT 1: `1,5` is not a number"),
        (
            "number(())",
            "FAULT 1: `number` cannot be used on nothing (): write `number(x)` of a number, or of a text that is one",
        ),
        ("number(n)", "5"),
        (
            "number(true)",
            "FAULT 1: `number` cannot be used on true: write `number(x)` of a number, or of a text that is one",
        ),
    ]);
}

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
        (
            "env(\"OTHER\")",
            "LOAD 5: `OTHER` is not listed (add `OTHER` to `env` in homeostat.yaml)",
        ),
        (
            "env(\"OTH\" + \"ER\")",
            "FAULT 1: `OTHER` is not listed under `env` in homeostat.yaml",
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
fn mistakes_are_found_at_load_all_at_once() {
    table(&[
        (
            "",
            "LOAD 1: the expression is empty (write what is to be evaluated, or leave the key out)",
        ),
        (
            "  ",
            "LOAD 1: the expression is empty (write what is to be evaluated, or leave the key out)",
        ),
        (
            "agee_s > 3 && exsts",
            "LOAD 1: unknown name `agee_s` (did you mean `age_s`?); LOAD 15: unknown name `exsts` (did you mean `exists`?)",
        ),
        (
            "records.mea(\"score\") > lenght",
            "LOAD 9: unknown function `mea` (did you mean `mean`?); LOAD 24: unknown name `lenght` (known here: age_s, big, doc, empty, exists, huge, list, n, name, nothing, now, prev, records, vars)",
        ),
        (
            "doc.get(\"a\")",
            "LOAD 5: `get` cannot take 1 value here (write `x.get(\"name\", default)`)",
        ),
        (
            "get(doc, \"a\")",
            "LOAD 1: `get` cannot take 2 values here (write `x.get(\"name\", default)`)",
        ),
        (
            "n()",
            "LOAD 1: unknown function `n` (`n` is a value: write it without ( ))",
        ),
        (
            "if exists { 1 }",
            "LOAD 1: this `if` has no value when its condition does not hold (add an `else { … }`)",
        ),
        (
            "switch n { 1 => true }",
            "LOAD 1: this `switch` has no value when no case fits (add a case `_ => …`)",
        ),
        (
            "let x = 1; x",
            "LOAD 1: a name cannot be made inside an expression (give the value a name under `let:`)",
        ),
        (
            "n = 5",
            "LOAD 3: nothing can be assigned in an expression (write `==` to compare)",
        ),
        (
            "n += 5",
            "LOAD 3: nothing can be assigned in an expression (write `==` to compare)",
        ),
        (
            "while true { 1 }",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "for x in list { x }",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "loop { 1 }",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "return 1",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "throw 1",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "fn f() { 1 } f()",
            "LOAD 8: the function `f` cannot be defined here (give the value a name under `let:`); LOAD 14: unknown function `f` (the functions are listed in docs/rules.md)",
        ),
        (
            "exists; n",
            "LOAD 9: there is more than one value here (an expression is one value; join conditions with `&&` or `||`)",
        ),
        ("exists;", "true"),
        (
            "n > ",
            "LOAD 5: the expression ends too early (something is missing at its end)",
        ),
        (
            "n > 3)",
            "LOAD 6: `)` cannot stand here (nothing was opened that it closes)",
        ),
        ("(n > 3", "LOAD 7: a `)` is missing"),
        (
            "n > 3 and exists",
            "LOAD 7: `and` cannot stand here (write `&&`)",
        ),
        ("n is 3", "LOAD 3: `is` cannot stand here (write `==`)"),
        (
            "doc.default",
            "LOAD 5: `default` is a word of Rhai (a key with that name is read `doc[\"default\"]`)",
        ),
        (
            "doc == null",
            "LOAD 8: `null` is no value (write `()` for nothing)",
        ),
        (
            "doc == None",
            "LOAD 8: unknown name `None` (write `()` for nothing)",
        ),
        (
            "this.x",
            "LOAD 1: `this` is a word of Rhai (a key with that name is read `doc[\"this\"]`)",
        ),
        ("a::b", "LOAD 4: there are no modules in rules"),
        ("\"abc", "LOAD 1: the text does not end (a `\"` is missing)"),
        (
            "n.call(1)",
            "LOAD 3: unknown function `call` (did you mean `all`?)",
        ),
        (
            "Fn(\"x\")",
            "LOAD 1: `Fn` cannot be used in rules (an expression only looks at its names and gives a value)",
        ),
        (
            "list.curry(1)",
            "LOAD 6: unknown function `curry` (the functions are listed in docs/rules.md)",
        ),
        (
            "1..5",
            "LOAD 2: a range stands only behind `in` (write `x in 1..5`)",
        ),
        (
            "list[0..1]",
            "LOAD 7: a range stands only behind `in` (write `x in 1..5`)",
        ),
        (
            "true && 5",
            "LOAD 9: expecting a boolean expression, not a number",
        ),
        (
            "!5",
            "LOAD 2: a condition is needed here, and this is a number (compare it with something)",
        ),
        (
            "strict_property(doc, \"base\")",
            "LOAD 1: unknown function `strict_property` (the functions are listed in docs/rules.md)",
        ),
        (
            "is_shared(n)",
            "LOAD 1: unknown function `is_shared` (the functions are listed in docs/rules.md)",
        ),
        (
            "n.is_shared()",
            "LOAD 3: unknown function `is_shared` (the functions are listed in docs/rules.md)",
        ),
    ]);
}

/// Evaluates with other facts than the table's.
fn asked(source: &str, facts: serde_json::Value) -> Result<serde_json::Value, String> {
    let engine = Engine::new();
    let facts = Facts::from_json(facts).unwrap();
    let mut mistakes = Vec::new();
    let expr = Expr::compile(&engine, &marked(source), &known(&facts), &mut mistakes)
        .ok_or_else(|| told(&mistakes))?;
    let ground = ground();
    let scope = Scope::new(&ground).facts(&facts);
    expr.value(&engine, &scope)
        .map_err(|fault| fault.to_string())
}

#[test]
fn nothing_runs_for_ever_or_fills_the_memory() {
    let list: Vec<i64> = (0..1000).collect();
    let refused = |source: &str, facts| asked(source, facts).unwrap_err();
    let slow = refused(
        "list.map(|a| list.map(|b| list.map(|c| a + b + c).sum()).sum()).sum()",
        json!({"list": list}),
    );
    assert!(slow.starts_with("too "), "{slow}");
    let quadratic = refused(
        "list.map(|a| list.unique().len()).sum()",
        json!({"list": list}),
    );
    assert!(quadratic.starts_with("too "), "{quadratic}");
    let text = "x".repeat(1 << 20);
    let double = format!("text{}", " + text".repeat(20));
    assert_eq!(
        refused(&double, json!({"text": text})),
        "the result is too large"
    );
    assert_eq!(
        refused("text.replace(\"x\", text)", json!({"text": text})),
        "too much to calculate: the limit of 500000 operations is passed"
    );
    let many = format!("[0].map(|x| list{})", " + list".repeat(50));
    let longer: Vec<i64> = (0..5000).collect();
    let many = refused(&many, json!({"list": longer}));
    assert!(
        many.starts_with("the result is too large") || many.starts_with("too "),
        "{many}"
    );
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert!(refused(&deep, json!({})).contains("the expression is nested too deeply"));
    let long = format!("1{}", " + 1".repeat(6000));
    assert!(refused(&long, json!({})).contains("longer than"));
    let chain = format!("1{}", " + 1".repeat(4000));
    let chain = asked(&chain, json!({}));
    assert!(chain == Ok(json!(4001)) || chain.unwrap_err().contains("nested too deeply"));
    assert!(refused("parse_json(text)", json!({"text": "[".repeat(500)})).contains("not JSON"));
}

#[test]
fn operations_are_counted_the_same_every_time() {
    let engine = Engine::new();
    let list: Vec<i64> = (0..5000).collect();
    let facts = Facts::new().with("list", list);
    let compile = |source: &str| {
        Expr::compile(&engine, &marked(source), &known(&facts), &mut Vec::new()).unwrap()
    };
    let ground = ground();
    let spent = |expr: &Expr| {
        let scope = Scope::new(&ground).facts(&facts);
        let entered = scope.enter(expr);
        let value = expr.run(&engine.0.rhai);
        drop(entered);
        (value, frame::spent())
    };
    let expr = compile("list.filter(|x| x % 2 == 0).map(|x| x * 2).sum()");
    let (value, first) = spent(&expr);
    assert_eq!(value, Ok(json!(12_495_000)));
    assert!(first > 20_000 && first < 150_000, "{first}");
    assert_eq!(spent(&expr).1, first);
}

#[test]
fn known_shapes_are_checked_at_load() {
    let known = Known::ground(&serde_json::Map::new()).with_facts(
        &Facts::from_json(json!({
            "exists": true,
            "age_s": 12.5,
            "doc": null,
            "any": {},
            "run": {"records": [], "count": 3, "doc": null},
            "files": [{"path": "a", "age_s": 1.0, "meta": null}],
            "source": "text",
        }))
        .unwrap(),
    );
    let engine = Engine::new();
    let mistakes = |source: &str| {
        let mut mistakes = Vec::new();
        Expr::compile(&engine, &marked(source), &known, &mut mistakes);
        told(&mistakes)
    };
    for fine in [
        "doc.x.y[3].z > 1",
        "any.x > 1",
        "run.doc.x",
        "run.records.count(|c| c.get(\"orders\", 0) == 0) > run.count",
        "files.filter(|f| f.age_s > 300).pluck(\"path\")",
        "files[0].meta.x",
        "files.len > 0 && source.len > 3",
        "run.get(\"count\", 0)",
        "files.first().path",
        "run[\"count\"]",
    ] {
        assert_eq!(mistakes(fine), "", "{fine}");
    }
    let wrong = [
        "run.cuont > 3 && exist",
        "run[\"cuont\"]",
        "run.get(\"cuont\", 0)",
        "run.count.x",
        "exists.x",
        "files.path",
        "files.any(|f| f.age > 3)",
        "files.filter(|f| f.age_s > 3).map(|g| g.pth)",
        "files[0].pth",
        "files.last().pth",
        "source.foo",
        "age_s[0]",
        "exists && run.count",
        "vars.x",
        "run.count && exists || !source",
    ]
    .map(|source| format!("{source}\n    {}", mistakes(source)));
    insta::assert_snapshot!(wrong.join("\n"), @r##"
    run.cuont > 3 && exist
        LOAD 5: no property `cuont` (did you mean `count`?); LOAD 18: unknown name `exist` (did you mean `exists`?)
    run["cuont"]
        LOAD 5: no property `cuont` (did you mean `count`?)
    run.get("cuont", 0)
        LOAD 9: no property `cuont` (did you mean `count`?)
    run.count.x
        LOAD 11: a number has no property `x`
    exists.x
        LOAD 8: a boolean has no property `x`
    files.path
        LOAD 7: a list has no property `path` (each of its items may: `.pluck("path")`)
    files.any(|f| f.age > 3)
        LOAD 17: no property `age` (there are path, age_s, meta)
    files.filter(|f| f.age_s > 3).map(|g| g.pth)
        LOAD 41: no property `pth` (did you mean `path`?)
    files[0].pth
        LOAD 10: no property `pth` (did you mean `path`?)
    files.last().pth
        LOAD 14: no property `pth` (did you mean `path`?)
    source.foo
        LOAD 8: a text has no property `foo`
    age_s[0]
        LOAD 7: an integer has no items (`[…]` reads an item of a list or map)
    exists && run.count
        LOAD 11: a condition is needed here, and this is a number (compare it with something)
    vars.x
        LOAD 6: no property `x` (there are none)
    run.count && exists || !source
        LOAD 1: a condition is needed here, and this is a number (compare it with something); LOAD 25: a condition is needed here, and this is a text (compare it with something)
    "##);
}

#[test]
fn circles_among_lets_are_found() {
    let engine = Engine::new();
    let known = Known::default()
        .with("a", None)
        .with("b", None)
        .with("c", None)
        .with("x", None);
    let expr = |source| Expr::compile(&engine, &marked(source), &known, &mut Vec::new()).unwrap();
    let lets = |sources: &[(&str, &'static str)]| -> Vec<(String, Expr)> {
        let named = sources
            .iter()
            .map(|(name, source)| ((*name).to_owned(), expr(*source)));
        named.collect()
    };
    assert_eq!(
        expr::cycle(&lets(&[("a", "b + x"), ("b", "x"), ("c", "a + b")])),
        None
    );
    let circle = lets(&[("c", "x + b"), ("a", "c"), ("b", "[1].map(|x| a)")]);
    let names = expr::cycle(&circle).unwrap();
    assert_eq!(names, ["c", "b", "a", "c"]);
    assert_eq!(expr::cycle(&lets(&[("a", "a")])).unwrap(), ["a", "a"]);
    // should one get through, it ends all the same
    let facts = Facts::new().with("x", 1);
    let ground = ground();
    let scope = Scope::new(&ground).facts(&facts).lets(&circle);
    let fault = expr("a").value(&engine, &scope).unwrap_err();
    assert_eq!(
        fault.message,
        "the `let` values use each other too deeply, or in a circle"
    );
}

#[test]
fn a_panic_leaves_no_names_behind() {
    let ground = ground();
    let facts = Facts::new().with("n", 1);
    let engine = Engine::new();
    let expr = Expr::compile(&engine, &marked("n"), &known(&facts), &mut Vec::new()).unwrap();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let scope = Scope::new(&ground).facts(&facts);
        let _entered = scope.enter(&expr);
        panic!("while evaluating");
    }));
    assert!(unwound.is_err());
    assert!(!frame::is_defined("n"));
}

#[test]
fn scripts_calculate_strictly_too() {
    let engine = Engine::new();
    let run = |source: &str| {
        let _entered = frame::enter(Moment::default(), &Arc::default(), 0);
        engine.0.rhai.eval::<rhai::Dynamic>(source)
    };
    for refused in [
        "let x = 1; x += \"a\"; x",
        "let x = \"a\"; x += 1; x",
        "let x = 1; x += 9223372036854775807; x",
        "let x = 1; x -= true; x",
        "let x = 1.0; x /= 0; x",
        "let x = (); x *= 2; x",
        "let x = #{}; x.a",
        "if 1 < \"a\" { 1 } else { 2 }",
        "let x = \"a\"; x -= \"a\"; x",
        "sleep(1)",
        "print(1)",
        "eval(\"1\")",
        "timestamp()",
        "loop { }",
        "fn f(x) { f(x + 1) } f(0)",
    ] {
        assert!(run(refused).is_err(), "{refused}");
    }
    let half = run("let x = 1; x /= 2; x").unwrap();
    assert_eq!(half.as_float(), Ok(0.5));
}

#[test]
fn every_function_of_the_table_can_be_called() {
    let engine = Engine::new();
    let mut seen = std::collections::BTreeSet::new();
    for function in functions::all() {
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
