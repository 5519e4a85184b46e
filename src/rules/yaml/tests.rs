//! What is refused, what is understood, and whether every character keeps its place.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Node, Vec<Mistake>> {
    parse(&Arc::from("r.yaml"), text)
}

/// `code line:column help` of every mistake.
fn refused(text: &str) -> Vec<String> {
    match read(text) {
        Ok(node) => panic!("{text:?} was read as {}", node.to_json()),
        Err(mistakes) => mistakes
            .iter()
            .map(|mistake| {
                format!(
                    "{} {}:{} {}",
                    mistake.code,
                    mistake.place.line,
                    mistake.place.column,
                    mistake.help.as_deref().unwrap_or("-")
                )
            })
            .collect(),
    }
}

/// Every scalar has marks, and at each mark stands the very character (or what folding and quoting make of it).
fn marks_are_right(text: &str) {
    let node = read(text).unwrap_or_else(|mistakes| panic!("{text:?}: {mistakes:?}"));
    let source = Source::new(text);
    let mut todo = vec![&node];
    while let Some(node) = todo.pop() {
        todo.extend(node.items());
        for (key, value) in node.entries() {
            todo.extend([key, value]);
        }
        let Tree::Str(value) = &node.tree else {
            continue;
        };
        let marks = node
            .marks
            .as_ref()
            .unwrap_or_else(|| panic!("{value:?} of {text:?} has no marks"));
        assert_eq!(marks.len(), value.chars().count() + 1);
        assert!(marks.is_sorted(), "{value:?} of {text:?}: {marks:?}");
        for (c, &(line, column)) in value.chars().zip(marks.iter()) {
            let raw = source.line(line as usize).get(column as usize - 1).copied();
            let fits = match raw {
                Some('\\') => true,
                Some(raw) => raw == c,
                None => matches!(c, ' ' | '\n'),
            };
            assert!(
                fits,
                "{c:?} of {value:?} in {text:?} at {line}:{column} is {raw:?}"
            );
        }
    }
}

#[test]
fn every_character_keeps_its_place() {
    for text in [
        "é: ü > 3\nplain: a > 3 && b < 1\n",
        "multi: aa > 1 &&\n   bb < 2  \n\n   && c\n",
        "single: 'it''s == b'\ntwo: 'a\n  b  \n\n  c'\n",
        "double: \"x == \\\"y\\\" && \\u0041 \\x41 b\"\ncut: \"a\\\n   b\\n  c\n   d\"\n",
        "flow: { a: 'k > b', b: [z > c, \"d\"], c: 'x\n   y' }\n",
        "lit: |\n  let a = 1;\n\n    let b = 2;\n  a\nkeep: |+\n\n  x\n\n\nstrip: |-\n  y\n",
        "fold: >\n  aaa > 1\n  && bbb\n\n  && ccc\n\n\n  d\n   e\n\n   f\n\n  g\nnext: >-\n\n  a\n  b\n",
        "ind: |2-\n    deep b\n   c\n  d\nseq:\n- |1\n   x\n- >2-\n    y\n    z\n",
        "crlf: ok > 1\r\nlit: |-\r\n  a\r\n\r\n  b\r\nq: 'a\r\n  b'\r\nfold: >-\r\n  a\r\n  b\r\n\r\n  c\r\n",
        "a: |\n  x",
        "a: ''\nb: \"\"\nc: |-\n\nd: x\n",
        "'a b': x\n\"c\": y\n? d\n: e\n",
        "a: x # note\nb: y   \n",
        "wide: '𝄞 > é && ' # x\nnext: \"𝄞\\U0001D11E\"\n",
    ] {
        marks_are_right(text);
    }
}

#[test]
fn a_place_inside_a_scalar_is_the_place_in_the_file() {
    let node =
        read("checks:\n  - let: |2-\n        a\n        @\n    q: 'it''s @'\n").expect("fine");
    let check = &node.get("checks").expect("checks").items()[0];
    let at = |key: &str| {
        let text = check.get(key).expect("key").text().expect("text");
        let index = text.as_str().chars().position(|c| c == '@').expect("@");
        let place = text.place_of(index);
        (place.line, place.column)
    };
    assert_eq!(at("let"), (4, 9));
    assert_eq!(at("q"), (5, 15));
}

#[test]
fn kinds_are_those_of_serde_yaml() {
    let node = read("a: 1\nb: 1.5\nc: true\nd: ~\ne: yes\nf: '1'\ng: 5m\nh: 0x10\ni: 1e3\n")
        .expect("fine");
    assert_eq!(
        node.to_json(),
        serde_json::json!({"a": 1, "b": 1.5, "c": true, "d": null, "e": "yes", "f": "1", "g": "5m", "h": 16, "i": 1000.0})
    );
}

#[test]
fn nothing_is_nothing() {
    for text in ["", "# only a comment\n", "---\n", "\n\n"] {
        assert!(
            matches!(read(text).expect("fine").tree, Tree::Null),
            "{text:?}"
        );
    }
}

#[test]
fn what_yaml_would_read_otherwise_is_refused_with_the_quoted_form() {
    insta::assert_snapshot!(
        [
            "checks:\n  - threshold:\n      critical: !valid\n",
            "a: !!str 3\n",
            "c: { critical: max(a, b) > 1 }\n",
            "c: { critical: , warning: x }\n",
            "c: {a:1}\n",
            "a: *b > 3\n",
            "a: &b\n",
            "a: &b x\nc: *b\n",
            "<<: {a: 1}\n",
            "a: 1\nb: 2\na: 3\n",
            "a: 1\n---\nb: 2\n",
            "a: b: c\n",
            "a: 'x' == y\n",
            "a: \"x\" + y\n",
            "a: @b\n",
            "a: `b`\n",
            "a: %b\n",
            "a:\n\tb: 1\n",
            "a:\tb\n",
            "- a\n-\tb\n",
            "c: { x: |v| v > 1 }\n",
            "c: { x: a[0] > 1 }\n",
            "a: 'x\n",
            "1: a\ntrue: b\n~: c\n",
            "[a, b]: c\n",
            "a: .nan\nb: 99999999999999999999\nc: 18446744073709551615\n",
            "\u{feff}a: 1\n",
            "a: b\u{0}c\n",
            "a: 'b\u{85}c'\n",
            "checks: [ { message: a # b\n } ]\n",
            "checks:\n  - message: a # b\n",
            "checks:\n  - message: ${a}  # b\n",
            "checks:\n  - enough: a > 1 # b\n",
            "checks:\n  - let: { a: 1 }\n    threshold:\n      critical: x == \"  # b\"\n",
            "checks:\n  - tags: [max(a, b)]\n",
        ]
        .map(|text| format!("{text:?}\n    {}", refused(text).join("\n    ")))
        .join("\n"),
        @r#"
        "checks:\n  - threshold:\n      critical: !valid\n"
            yaml-tag 3:17 write `critical: '!valid'`
        "a: !!str 3\n"
            yaml-tag 1:4 write `a: '!!str 3'`
        "c: { critical: max(a, b) > 1 }\n"
            yaml-split 1:23 inside { } a comma ends a value: write `critical: 'max(a, b) > 1'`
        "c: { critical: , warning: x }\n"
            yaml-split 1:6 write `critical: VALUE`, or quote the text it belongs to
        "c: {a:1}\n"
            yaml-split 1:5 a blank is due after the colon: write `a: 1`
        "a: *b > 3\n"
            yaml-alias 1:4 write `a: '*b > 3'`; to share values use `vars:`
        "a: &b\n"
            yaml-alias 1:4 write `a: '&b'`; to share values use `vars:` or `defaults:`
        "a: &b x\nc: *b\n"
            yaml-alias 1:4 write `a: '&b x'`; to share values use `vars:` or `defaults:`
            yaml-alias 2:4 write `c: '*b'`; to share values use `vars:` or `defaults:`
        "<<: {a: 1}\n"
            yaml-merge 1:1 write the keys out, or put what many checks share under `defaults:`
        "a: 1\nb: 2\na: 3\n"
            duplicate-key 3:1 keep one of the two
        "a: 1\n---\nb: 2\n"
            yaml-documents 2:1 remove the `---`, or put what follows into a file of its own
        "a: b: c\n"
            yaml-syntax 1:5 if this is part of a text, write `a: 'b: c'`
        "a: 'x' == y\n"
            yaml-syntax 1:8 write `a: '''x'' == y'`
        "a: \"x\" + y\n"
            yaml-syntax 1:8 write `a: '"x" + y'`
        "a: @b\n"
            yaml-syntax 1:4 if this is part of a text, write `a: '@b'`
        "a: `b`\n"
            yaml-syntax 1:4 if this is part of a text, write `a: '`b`'`
        "a: %b\n"
            yaml-syntax 1:4 if this is part of a text, write `a: '%b'`
        "a:\n\tb: 1\n"
            yaml-tab 2:2 use spaces
        "a:\tb\n"
            yaml-tab 1:4 use spaces
        "- a\n-\tb\n"
            yaml-tab 2:2 use spaces
        "c: { x: |v| v > 1 }\n"
            yaml-syntax 1:9 if this is part of a text, put the text in single quotes
        "c: { x: a[0] > 1 }\n"
            yaml-syntax 1:10 if this is part of a text, put the text in single quotes
        "a: 'x\n"
            yaml-syntax 1:4 a `'` inside single quotes is written twice
        "1: a\ntrue: b\n~: c\n"
            yaml-key 1:1 write `'1':`
            yaml-key 2:1 write `'true':`
            yaml-key 3:1 write `'~':`
        "[a, b]: c\n"
            yaml-key 1:1 a value that starts with `{`, `[` or `?` must be quoted
        "a: .nan\nb: 99999999999999999999\nc: 18446744073709551615\n"
            yaml-number 2:4 quote it if it is meant as a text
        "\u{feff}a: 1\n"
            yaml-character 1:1 save it as UTF-8 without a byte order mark
        "a: b\0c\n"
            yaml-character 1:5 inside double quotes it can be written as "\u0000"
        "a: 'b\u{85}c'\n"
            yaml-character 1:6 inside double quotes it can be written as "\u0085"
        "checks: [ { message: a # b\n } ]\n"
            yaml-comment 1:24 write `message: 'a # b'`; a comment belongs on a line of its own
        "checks:\n  - message: a # b\n"
            yaml-comment 2:16 write `message: 'a # b'`; a comment belongs on a line of its own
        "checks:\n  - message: ${a}  # b\n"
            yaml-comment 2:20 write `message: '${a}  # b'`; a comment belongs on a line of its own
        "checks:\n  - enough: a > 1 # b\n"
            yaml-comment 2:19 write `enough: 'a > 1 # b'`; a comment needs two blanks before its `#`
        "checks:\n  - let: { a: 1 }\n    threshold:\n      critical: x == \"  # b\"\n"
            yaml-comment 4:25 write `critical: 'x == "  # b"'`; a comment needs two blanks before its `#`
        "checks:\n  - tags: [max(a, b)]\n"
            yaml-split 2:12 put the whole text in quotes: 'max(a, b)'
        "#
    );
}

#[test]
fn a_comment_set_off_by_two_blanks_is_one() {
    read("checks:\n  - enough: count >= 10           # otherwise on_no_data\n    name: x # fine here\n")
        .expect("a comment");
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(
        refused(&format!("a: {}", "x".repeat(MOST_BYTES)))[0]
            .split(' ')
            .next(),
        Some("yaml-too-large")
    );
    let deep = |levels: usize| format!("a: {}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(
        refused(&deep(64))[0].split(' ').next(),
        Some("yaml-too-deep")
    );
    read(&deep(63)).expect("deep enough");
    assert!(refused(&"[".repeat(500_000))[0].starts_with("yaml-too-deep"));
    assert!(!refused(&"{".repeat(1000)).is_empty());
}

/// Values that both parsers understand, written in every style.
fn document() -> impl Strategy<Value = String> {
    let word = prop_oneof!["[a-z]{1,3}", "[a-zé𝄞]{1,2} > [0-9]", "a''b", "x && y"];
    let lines = prop::collection::vec(prop_oneof![4 => word, 1 => Just(String::new())], 1..6);
    let value = (lines, 0..6u8, 0..3usize).prop_map(|(mut lines, style, more)| {
        if lines.iter().all(String::is_empty) {
            lines.push("z".to_owned());
        }
        let pad = |lines: &[String], extra: usize| -> String {
            let first = lines.iter().position(|line| !line.is_empty());
            let extra = |at: usize| {
                if Some(at) > first && at % 2 == 1 {
                    extra
                } else {
                    0
                }
            };
            let indented = |(at, line): (usize, &String)| match line.as_str() {
                "" => "\n".to_owned(),
                line => format!("  {}{line}\n", " ".repeat(extra(at))),
            };
            lines.iter().enumerate().map(indented).collect()
        };
        let flow = lines.join("\n   ");
        match style {
            0 => format!("|\n{}", pad(&lines, more)),
            1 => format!(">\n{}", pad(&lines, more)),
            2 => format!("|+\n{}", pad(&lines, more)),
            3 => format!("'{flow}'\n"),
            4 => format!("\"{flow}\"\n"),
            _ => format!("q{}\n", flow.replace("''", "")),
        }
    });
    (prop::collection::vec(value, 1..4), any::<bool>()).prop_map(|(values, crlf)| {
        let text: String = values
            .iter()
            .enumerate()
            .map(|(i, value)| format!("k{i}: {value}"))
            .collect();
        if crlf {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    })
}

proptest! {
    #[test]
    fn marks_stand_at_their_characters(text in document()) {
        marks_are_right(&text);
    }

    #[test]
    fn no_text_breaks_it(text in "[a:{}\\[\\]'\"|>&*!#?%@` \n\t-]{0,60}") {
        let _ = read(&text);
    }
}
