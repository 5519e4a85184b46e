//! What time does to rules: calendars whose data ends soon, or has ended. Loading knows no time, so these are warned of
//! beside its complaints.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    book::Book,
    complaint::{Complaint, Severity},
};
use crate::model::{Name, moment::Moment, outline::Trigger, text::Mistake};

/// So long before its end a calendar is warned of.
const NOTICE: Duration = Duration::from_secs(90 * 86_400);

/// Warnings for the calendars that a trigger names and whose data ends soon, as of `now`.
pub fn soon(book: &Book, now: Moment) -> Vec<Complaint> {
    let outline = &book.outline;
    let checks = outline.checks.values().map(|check| &check.trigger);
    let investigations = outline.investigations.values().map(|it| &it.trigger);
    let names = |trigger: &Trigger| [trigger.during.clone(), trigger.quiet.clone()];
    let used: BTreeSet<Name> = checks
        .chain(investigations)
        .flat_map(names)
        .flatten()
        .collect();
    used.iter()
        .filter_map(|name| ending(book, name, now))
        .collect()
}

fn ending(book: &Book, name: &Name, now: Moment) -> Option<Complaint> {
    let calendar = book.outline.calendars.get(name)?;
    let end = calendar.end().filter(|end| now.plus(NOTICE) >= *end)?;
    let place = book.calendars.get(name)?.clone();
    let message = match now < end {
        true => format!("`{name}` knows nothing after its `until`, which is in less than 90 days"),
        false => format!("`{name}` knows nothing after its `until`, and that is over"),
    };
    let mistake = Mistake::new("calendar-ends", message, place.clone())
        .help("add the coming dates and move `until`; past it checks `during` it are UNKNOWN");
    let source = book
        .sources
        .iter()
        .find(|(path, _)| place.file.ends_with(path.as_str()))
        .map(|(_, bytes)| Arc::from(String::from_utf8_lossy(bytes)));
    Some(Complaint {
        severity: Severity::Warning,
        mistake,
        rule: None,
        source: source.unwrap_or_else(|| "".into()),
    })
}
