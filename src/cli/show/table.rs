//! Columns by the widths that a terminal really gives to their texts.

use textwrap::core::display_width;

use super::Style;

/// Space between columns.
const GAP: usize = 2;
/// What the last column gets even when there is no room.
const LEAST: usize = 24;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// Rows of painted cells as lines. The last column is broken at the width of the style and goes on below itself.
pub fn table(rows: &[Vec<String>], sides: &[Side], style: &Style) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| display_width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        text.push_str(&line(row, &widths, sides, style));
    }
    text
}

fn line(row: &[String], widths: &[usize], sides: &[Side], style: &Style) -> String {
    let mut line = String::new();
    let last = row.len().saturating_sub(1);
    for (column, cell) in row.iter().enumerate() {
        let width = widths.get(column).copied().unwrap_or(0);
        let blank = " ".repeat(width.saturating_sub(display_width(cell)));
        let right = sides.get(column) == Some(&Side::Right);
        if column == last && !right {
            let indent = display_width(&line);
            line.push_str(&broken(cell, indent, style));
        } else if right {
            line.push_str(&blank);
            line.push_str(cell);
        } else {
            line.push_str(cell);
            line.push_str(&blank);
        }
        if column != last {
            line.push_str(&" ".repeat(GAP));
        }
    }
    format!("{}\n", line.trim_end())
}

/// `text` broken so that it fits beside `indent` columns; its further lines start below its first.
pub fn broken(text: &str, indent: usize, style: &Style) -> String {
    if style.width == Style::UNBROKEN || indent + display_width(text) <= style.width {
        return text.to_owned();
    }
    let room = style.width.saturating_sub(indent).max(LEAST);
    let lines = textwrap::wrap(text, room);
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// Every line of `text` behind `indent` blanks.
pub fn indented(text: &str, indent: usize) -> String {
    let blank = " ".repeat(indent);
    text.lines()
        .map(|line| match line {
            "" => "\n".to_owned(),
            line => format!("{blank}{line}\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show::Tone;

    fn rows(style: &Style) -> Vec<Vec<String>> {
        let row = |tone, word: &str, name: &str, text: &str| {
            vec![style.paint(tone, word), name.to_owned(), text.to_owned()]
        };
        vec![
            row(Tone::Good, "OK", "uw_données", "fine"),
            row(
                Tone::Bad,
                "CRITICAL",
                "数据",
                "a message that is too long for the width of this terminal and is broken",
            ),
        ]
    }

    #[test]
    fn columns_stand_below_each_other_whatever_is_in_them() {
        let style = Style {
            width: 50,
            ..Style::plain()
        };
        insta::assert_snapshot!(table(&rows(&style), &[], &style), @r#"
        OK        uw_données  fine
        CRITICAL  数据        a message that is too long
                              for the width of this
                              terminal and is broken
        "#);
        let coloured = Style {
            colour: true,
            ..style
        };
        let stripped =
            anstream::adapter::strip_str(&table(&rows(&coloured), &[], &coloured)).to_string();
        assert_eq!(
            stripped,
            table(&rows(&style), &[], &style),
            "colours take no room"
        );
    }

    #[test]
    fn numbers_stand_on_the_right() {
        let rows = [
            vec!["a".to_owned(), "5".to_owned()],
            vec!["b".to_owned(), "123".to_owned()],
        ];
        let text = table(&rows, &[Side::Left, Side::Right], &Style::plain());
        assert_eq!(text, "a    5\nb  123\n");
    }
}
