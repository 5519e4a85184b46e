//! The ledger: what repairs came to.

use super::{
    Style, Tone,
    table::{Side, table},
    text, time,
};
use crate::web::records::LedgerAnswer;

const HEAD: [&str; 10] = [
    "CHECK", "STEP", "TRIED", "VERIFIED", "FAILED", "OTHER", "HELD", "RECOVERY", "AGAIN 1H", "24H",
];

pub fn ledger(lines: &[LedgerAnswer], style: &Style) -> String {
    if lines.is_empty() {
        return "No repair has been tried yet.\n".to_owned();
    }
    let mut rows = vec![HEAD.map(|head| style.dim(head)).to_vec()];
    rows.extend(lines.iter().map(|line| row(line, style)));
    let mut sides = [Side::Right; HEAD.len()];
    sides[..2].fill(Side::Left);
    let whole = lines.iter().filter(|line| line.kind.is_none());
    let (tried, verified) = whole.fold((0, 0), |(tried, verified), line| {
        (tried + line.attempts, verified + line.verified)
    });
    let tried = text::count(tried as usize, "repair");
    format!(
        "{}\n{tried} tried, {verified} verified\n",
        table(&rows, &sides, style)
    )
}

fn row(line: &LedgerAnswer, style: &Style) -> Vec<String> {
    let number = |number: u64, tone: Option<Tone>| match (number, tone) {
        (0, _) => style.dim("·"),
        (number, Some(tone)) => style.paint(tone, &number.to_string()),
        (number, None) => number.to_string(),
    };
    let span = line.recovery_s.map_or_else(
        || style.dim("·"),
        |seconds| time::span(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default()),
    );
    let (check, kind) = match &line.kind {
        None => (style.strong(&text::clean(&line.check)), String::new()),
        Some(kind) => (String::new(), text::clean(kind)),
    };
    vec![
        check,
        kind,
        number(line.attempts, None),
        number(line.verified, Some(Tone::Good)),
        number(line.failed, Some(Tone::Bad)),
        number(line.superseded + line.interrupted + line.open, None),
        number(line.held, Some(Tone::Warning)),
        span,
        number(line.recurred_1h, Some(Tone::Warning)),
        number(line.recurred_24h, Some(Tone::Warning)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_below_each_other() {
        let whole = LedgerAnswer {
            check: "weights_file".to_owned(),
            attempts: 12,
            verified: 10,
            failed: 1,
            open: 1,
            held: 3,
            recovery_s: Some(0.21),
            recurred_24h: 2,
            ..LedgerAnswer::default()
        };
        let step = LedgerAnswer {
            kind: Some("restore_file".to_owned()),
            held: 0,
            ..whole.clone()
        };
        insta::assert_snapshot!(ledger(&[whole, step], &Style::plain()), @r#"
        CHECK         STEP          TRIED  VERIFIED  FAILED  OTHER  HELD  RECOVERY  AGAIN 1H  24H
        weights_file                   12        10       1      1     3     0.2 s         ·    2
                      restore_file     12        10       1      1     ·     0.2 s         ·    2

        12 repairs tried, 10 verified
        "#);
        insta::assert_snapshot!(ledger(&[], &Style::plain()), @r#"No repair has been tried yet."#);
    }
}
