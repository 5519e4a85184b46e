//! A unified difference, coloured.

use super::{Style, Tone, text};

/// So many lines are shown; `--json` has all.
const MOST: usize = 120;

/// Each line of the difference on a line of its own, cleaned and coloured.
pub fn diff(diff: &str, style: &Style) -> String {
    let mut shown = String::new();
    let mut lines = diff.lines();
    for line in lines.by_ref().take(MOST) {
        shown.push_str(&painted(line, style));
        shown.push('\n');
    }
    match lines.count() {
        0 => {}
        more => {
            let note = format!("… {more} more lines (all with --json)");
            shown.push_str(&style.dim(&note));
            shown.push('\n');
        }
    }
    shown
}

fn painted(line: &str, style: &Style) -> String {
    let clean = text::clean(line);
    if line.starts_with("+++") || line.starts_with("---") {
        style.strong(&clean)
    } else if line.starts_with("@@") {
        style.paint(Tone::Place, &clean)
    } else if line.starts_with('+') {
        style.paint(Tone::Good, &clean)
    } else if line.starts_with('-') {
        style.paint(Tone::Bad, &clean)
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show::style::visible;

    const SAMPLE: &str = "--- data/t.json\n+++ data/t.json\n@@ -1,3 +1,3 @@\n {\n-  \"base\": 3.5\n+  \"base\": 2.7\n }\n";

    #[test]
    fn what_goes_is_red_and_what_comes_is_green() {
        let style = Style {
            colour: true,
            ..Style::plain()
        };
        insta::assert_snapshot!(visible(&diff(SAMPLE, &style)), @r#"
        ␛[1m--- data/t.json␛[0m
        ␛[1m+++ data/t.json␛[0m
        ␛[36m@@ -1,3 +1,3 @@␛[0m
         {
        ␛[31;1m-  "base": 3.5␛[0m
        ␛[32m+  "base": 2.7␛[0m
         }
        "#);
        assert_eq!(diff(SAMPLE, &Style::plain()), SAMPLE);
    }

    #[test]
    fn a_long_one_is_cut_and_says_so() {
        let long = "+x\n".repeat(500);
        let shown = diff(&long, &Style::plain());
        assert_eq!(shown.lines().count(), MOST + 1);
        assert!(shown.ends_with("… 380 more lines (all with --json)\n"));
    }
}
