//! Absence, kinds, equality and numbers: what Rhai by itself answers with `false`, or wrongly, is a fault.

use super::table;

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
        ("[] == parse_json(\"{}\")", "false"),
        ("#{} == parse_json(\"[]\")", "false"),
        ("[] == #{}", "false"),
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
        ("(-0.004).fixed(2)", "\"0.00\""),
        ("(-0.4).fixed(0)", "\"0\""),
        ("(-0.4).fixed(1)", "\"-0.4\""),
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
