//! The difference a step makes to a file, as people read it: unified, three lines of context, bounded.

use std::time::Duration;

use similar::TextDiff;

/// More lines than this are counted, not shown.
const MOST_LINES: usize = 200;
/// A line is cut after so many characters.
const MOST_WIDTH: usize = 300;
/// Larger bodies are told by their sizes alone.
const MOST_BYTES: usize = 512 << 10;
/// Then the difference is shown coarser.
const PATIENCE: Duration = Duration::from_millis(500);

/// The difference between two bodies of a file; `None` stands for "no file". Gives nothing for equal, binary or very
/// large bodies, nor where an empty file comes or goes: there the receipt's detail tells the sizes.
pub fn unified(file: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Option<String> {
    if old == new {
        return None;
    }
    let before = text(old.unwrap_or_default())?;
    let after = text(new.unwrap_or_default())?;
    let name = |body: Option<&[u8]>| match body {
        Some(_) => file.to_owned(),
        None => "/dev/null".to_owned(),
    };
    let difference = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(before, after);
    let whole = difference
        .unified_diff()
        .context_radius(3)
        .header(&name(old), &name(new))
        .to_string();
    if whole.is_empty() {
        return None;
    }
    let mut lines = whole.lines();
    let mut shown: Vec<String> = lines.by_ref().take(MOST_LINES).map(visible).collect();
    match lines.count() {
        0 => {}
        more => shown.push(format!("… and {more} more lines")),
    }
    Some(shown.join("\n") + "\n")
}

fn text(body: &[u8]) -> Option<&str> {
    if body.len() > MOST_BYTES || body.contains(&0) {
        return None;
    }
    std::str::from_utf8(body).ok()
}

/// A line without characters that would steer a terminal, and not endless.
pub fn visible(line: &str) -> String {
    let short: String = line.chars().take(MOST_WIDTH).collect();
    let cut = if short.len() < line.len() { "…" } else { "" };
    escaped(&short) + cut
}

/// A text without characters that would steer a terminal; tabs stay.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push(character),
            steering if steering.is_control() => shown.extend(steering.escape_default()),
            plain => shown.push(plain),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_changes_with_its_surroundings() {
        let old = "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3,\n  \"base\": 3.5,\n  \"d\": 4\n}\n";
        let new = old.replace("3.5", "2.7");
        let shown = unified("data/t.json", Some(old.as_bytes()), Some(new.as_bytes()));
        insta::assert_snapshot!(shown.expect("they differ"), @r#"
        --- data/t.json
        +++ data/t.json
        @@ -2,6 +2,6 @@
           "a": 1,
           "b": 2,
           "c": 3,
        -  "base": 3.5,
        +  "base": 2.7,
           "d": 4
         }
        "#);
    }

    #[test]
    fn a_new_and_a_removed_file_stand_against_nothing() {
        let made = unified("data/t", None, Some(b"x"));
        insta::assert_snapshot!(made.expect("they differ"), @r"
        --- /dev/null
        +++ data/t
        @@ -0,0 +1 @@
        +x
        \ No newline at end of file
        ");
        let gone = unified("data/t", Some(b"x\n"), None).expect("they differ");
        assert!(gone.starts_with("--- data/t\n+++ /dev/null\n"), "{gone}");
    }

    #[test]
    fn an_empty_file_that_comes_or_goes_has_no_lines_to_show() {
        assert_eq!(unified("data/a.lock", Some(b""), None), None);
        assert_eq!(unified("data/a.lock", None, Some(b"")), None);
    }

    #[test]
    fn nothing_is_endless_and_nothing_steers_the_terminal() {
        let many: String = (0..1000).map(|line| format!("{line}\n")).collect();
        let shown = unified("data/t", None, Some(many.as_bytes())).expect("they differ");
        assert_eq!(shown.lines().count(), MOST_LINES + 1);
        assert!(shown.ends_with("… and 803 more lines\n"), "{shown}");
        let wide = unified("data/t", None, Some("w".repeat(4000).as_bytes())).expect("they differ");
        assert!(wide.len() < 500, "{wide}");
        assert_eq!(visible("\u{1b}[2J\tx"), "\\u{1b}[2J\tx");
        assert_eq!(unified("data/t", Some(b"\0"), Some(b"x")), None);
        assert_eq!(unified("data/t", Some(b"\xff"), Some(b"x")), None);
        assert_eq!(unified("data/t", Some(b"x"), Some(b"x")), None);
        assert_eq!(unified("data/t", None, Some(&[b'x'; MOST_BYTES + 1])), None);
    }
}
