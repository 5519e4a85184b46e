//! The end of a JSON-lines log: the records a look sees, found from the end and kept up to date by what was appended.
//! What is looked for, and what a line is taken for, stands in [`super::search`].
//!
//! A kept window remembers how each line of it was judged. It is continued if the file is the same (device, inode), not
//! shorter than what was read, and its first bytes, the first of the window and the last read are still what they were;
//! else the search starts afresh. Either way gives the same for what logs do (append, rotate, truncate): a test holds the
//! one against the other. Who edits a line in place, in the middle of a window of more than 5 KiB, is noticed only when the
//! window is found anew.

use std::{collections::VecDeque, fs::File, sync::Arc};

use serde_json::Value;

use super::{
    backward::{Backward, ReadError, part},
    search::{Line, LineKind, Search, Tally, Trouble},
};
use crate::{
    model::moment::Moment,
    permission::{Opened, Stat},
};

/// More than this appended since the last look is not read forward: going backward may need less.
const MOST_APPENDED: u64 = 1 << 20;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// A list.
    pub(super) records: Arc<Value>,
    pub(super) count: usize,
    pub(super) skipped: usize,
    /// The latest time of a record.
    pub(super) newest: Option<Moment>,
}

/// A window that was found and can be continued.
#[derive(Debug)]
pub(super) struct Window {
    device: u64,
    inode: u64,
    /// The lines cover the file from here …
    start: u64,
    /// … to here: behind the last line end read.
    end: u64,
    lines: VecDeque<Line>,
    /// A list: the values of those lines that are records, in order.
    records: Arc<Value>,
    /// Instant of the last look: what was too old then is gone, so time must not go back.
    at: Moment,
    prints: Prints,
    /// Bytes of the lines held as records.
    pub(super) weight: u64,
}

/// Looks at the end of a file, continuing a kept window if that is possible. After an error nothing is kept.
pub(super) fn look(
    kept: &mut Option<Window>,
    opened: &Opened,
    search: &Search<'_>,
) -> Result<Seen, Trouble> {
    let (file, stat) = (&opened.file, &opened.stat);
    let floor = search.floor(stat.size);
    let mut continued = None;
    if let Some(window) = kept.take()
        && window
            .continues(file, stat, search)
            .map_err(|error| search.told(error))?
    {
        continued = Some(window);
    }
    let (mut window, back, unfinished) = match continued {
        Some(mut window) => {
            let unfinished = window.append(file, stat.size, search)?;
            let back = Backward::new(file, window.start, floor);
            (window, back, unfinished)
        }
        None => {
            let mut back = Backward::new(file, stat.size, floor);
            let unfinished = back.unfinished().map_err(|error| search.told(error))?;
            (Window::new(stat, unfinished.len()), back, unfinished)
        }
    };
    let seen = window.settle(back, &unfinished, stat.size, search)?;
    window.prints =
        Prints::take(file, window.start, window.end).map_err(|error| search.told(error))?;
    if file.metadata().map_or(0, |now| now.len()) < stat.size {
        return Err(Trouble::Changed);
    }
    *kept = Some(window);
    Ok(seen)
}

impl Window {
    fn new(stat: &Stat, unfinished: usize) -> Window {
        let end = stat.size.saturating_sub(unfinished as u64);
        Window {
            device: stat.device,
            inode: stat.inode,
            start: end,
            end,
            lines: VecDeque::new(),
            records: Arc::new(Value::Array(Vec::new())),
            at: Moment(i64::MIN),
            prints: Prints::default(),
            weight: 0,
        }
    }

    /// An empty one that is as heavy as told.
    #[cfg(test)]
    pub(super) fn weighing(weight: u64) -> Window {
        let stat = Stat {
            size: 0,
            modified: Moment(0),
            mode: 0,
            device: 0,
            inode: 0,
            links: 1,
        };
        let window = Window::new(&stat, 0);
        Window { weight, ..window }
    }

    fn continues(&self, file: &File, stat: &Stat, search: &Search<'_>) -> Result<bool, ReadError> {
        Ok((self.device, self.inode) == (stat.device, stat.inode)
            && stat.size >= self.end
            && stat.size - self.end <= MOST_APPENDED
            && (search.since.is_none() || search.now >= self.at)
            && Prints::take(file, self.start, self.end)? == self.prints)
    }

    /// Reads what was appended; gives what stands behind the last line end.
    fn append(&mut self, file: &File, size: u64, search: &Search<'_>) -> Result<Vec<u8>, Trouble> {
        let mut bytes = part(file, self.end, size).map_err(|error| search.told(error))?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let unfinished = bytes.split_off(whole);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if let Some((line, value)) = search.judge(self.end, line) {
                self.lines.push_back(line);
                if let Some(value) = value {
                    list(&mut self.records).push(value);
                }
            }
            self.end += line.len() as u64;
        }
        Ok(unfinished)
    }

    /// Goes backward until the search is done, over the lines that are known and on into the file.
    fn settle(
        &mut self,
        back: Backward<'_>,
        unfinished: &[u8],
        size: u64,
        search: &Search<'_>,
    ) -> Result<Seen, Trouble> {
        self.expire(search.oldest());
        self.at = search.now;
        let mut tally = Tally::new(search, size);
        let rest = search.judge(self.end, unfinished);
        if let Some((line, _)) = &rest {
            tally.take(line)?;
        }
        let mut first = self.lines.len();
        for line in self.lines.iter().rev() {
            if tally.done {
                break;
            }
            tally.take(line)?;
            first -= 1;
        }
        if tally.done {
            self.cut(first);
        } else if self.start < tally.floor {
            return Err(search.told(ReadError::TooFar));
        } else {
            self.extend(back, &mut tally)?;
        }
        self.weight = tally.bytes;
        let mut records = self.records.clone();
        if let Some((_, Some(value))) = rest {
            list(&mut records).push(value);
        }
        Ok(Seen {
            records,
            count: tally.records,
            skipped: tally.skipped,
            newest: tally.newest,
        })
    }

    /// Records that became too old.
    fn expire(&mut self, oldest: Option<Moment>) {
        let is_old = |line: &Line| line.time < oldest;
        let Some(_) = oldest else { return };
        let records = self
            .lines
            .iter_mut()
            .filter(|line| matches!(line.kind, LineKind::Record));
        let mut old = Vec::new();
        for line in records {
            old.push(is_old(line));
            if is_old(line) {
                line.kind = LineKind::Other;
            }
        }
        if old.contains(&true) {
            let mut old = old.into_iter();
            list(&mut self.records).retain(|_| !old.next().unwrap_or(false));
        }
    }

    /// Forgets the lines before `first`.
    fn cut(&mut self, first: usize) {
        let gone = self.lines.drain(..first);
        let records = gone
            .filter(|line| matches!(line.kind, LineKind::Record))
            .count();
        if records > 0 {
            list(&mut self.records).drain(..records);
        }
        self.start = self.lines.front().map_or(self.end, |line| line.begin);
    }

    fn extend(&mut self, mut back: Backward<'_>, tally: &mut Tally<'_>) -> Result<(), Trouble> {
        let search = tally.search;
        let mut found = Vec::new();
        while !tally.done {
            let Some((begin, bytes)) = back.line().map_err(|error| search.told(error))? else {
                self.start = 0;
                break;
            };
            self.start = begin;
            if let Some((line, value)) = search.judge(begin, bytes) {
                tally.take(&line)?;
                self.lines.push_front(line);
                found.extend(value);
            }
        }
        if !found.is_empty() {
            found.reverse();
            list(&mut self.records).splice(0..0, found);
        }
        Ok(())
    }
}

/// The list to change; copied only if somebody still looks at it.
fn list(records: &mut Arc<Value>) -> &mut Vec<Value> {
    let value = Arc::make_mut(records);
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("it was made a list just now"),
    }
}

/// Some bytes of a file by which it is known again.
#[derive(Debug, Default, PartialEq)]
struct Prints {
    /// The first of the file, the first of the window, the last that were read.
    parts: [Vec<u8>; 3],
}

impl Prints {
    fn take(file: &File, start: u64, end: u64) -> Result<Prints, ReadError> {
        const EDGE: u64 = 1 << 10;
        const LAST: u64 = 4 << 10;
        Ok(Prints {
            parts: [
                part(file, 0, EDGE.min(end))?,
                part(file, start, start.saturating_add(EDGE).min(end))?,
                part(file, end.saturating_sub(LAST).max(start.min(end)), end)?,
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, path::Path};

    use proptest::prelude::*;
    use serde_json::json;

    use std::time::Duration;

    use super::{
        super::{
            ProbeError,
            search::{Filter, OLD_IN_A_ROW, time_of, trim_padding},
            strict_json,
        },
        *,
    };
    use crate::permission::{Permission, Settings, settings::Size};

    const TIME: [&str; 2] = ["ts", "t"];

    struct Log {
        root: tempfile::TempDir,
        may: Permission,
    }

    impl Log {
        fn new(body: impl AsRef<[u8]>) -> Log {
            let root = tempfile::tempdir().expect("a temporary directory");
            fs::write(root.path().join("log"), body).expect("written");
            let may = Permission::new(root.path(), Settings::default()).expect("a root");
            Log { root, may }
        }

        fn path(&self) -> std::path::PathBuf {
            self.root.path().join("log")
        }

        fn append(&self, bytes: impl AsRef<[u8]>) {
            append(&self.path(), bytes);
        }

        fn look(&self, kept: &mut Option<Window>, wish: &Wish) -> Result<Seen, String> {
            let opened = self.may.read("log").expect("allowed").expect("there");
            let filter = |record: &Arc<Value>| match record.get("bad") {
                Some(_) => Err("a fault".to_owned()),
                None => Ok(record.get("out").is_none()),
            };
            let search = Search {
                filter: wish.filtered.then_some(&filter as &Filter<'_>),
                since: wish.since.map(Duration::from_secs),
                last: wish.last,
                time: &TIME.map(str::to_owned),
                max_scan: Size(wish.max_scan),
                now: Moment(wish.now * 1000),
            };
            look(kept, &opened, &search).map_err(|trouble| ProbeError::from(trouble).0)
        }

        fn fresh(&self, wish: &Wish) -> Result<Seen, String> {
            self.look(&mut None, wish)
        }
    }

    fn append(path: &Path, bytes: impl AsRef<[u8]>) {
        let mut file = fs::File::options()
            .append(true)
            .create(true)
            .open(path)
            .expect("open");
        file.write_all(bytes.as_ref()).expect("written");
    }

    #[derive(Clone, Debug)]
    struct Wish {
        filtered: bool,
        since: Option<u64>,
        last: Option<usize>,
        now: i64,
        max_scan: u64,
    }

    const ALL: Wish = Wish {
        filtered: false,
        since: None,
        last: None,
        now: 1000,
        max_scan: 64 << 20,
    };

    fn last(last: usize) -> Wish {
        Wish {
            last: Some(last),
            ..ALL
        }
    }

    fn since(since: u64) -> Wish {
        Wish {
            since: Some(since),
            ..ALL
        }
    }

    fn numbers(seen: &Seen) -> Vec<i64> {
        let list = seen.records.as_array().expect("a list");
        assert_eq!(list.len(), seen.count);
        list.iter()
            .filter_map(|record| record.get("n")?.as_i64())
            .collect()
    }

    fn found(body: impl AsRef<[u8]>, wish: &Wish) -> (Vec<i64>, usize) {
        let seen = Log::new(body).fresh(wish).expect("found");
        (numbers(&seen), seen.skipped)
    }

    #[test]
    fn the_last_records_in_their_order() {
        let body = "{\"n\": 1}\n{\"n\": 2}\r\n\n  \n{\"n\": 3}\n";
        assert_eq!(found(body, &ALL), (vec![1, 2, 3], 0));
        assert_eq!(found(body, &last(2)), (vec![2, 3], 0));
        assert_eq!(found("", &last(2)), (vec![], 0));
        assert_eq!(found("\n\n", &ALL), (vec![], 0));
    }

    #[test]
    fn what_is_no_record_costs_one_each_and_never_the_window() {
        for broken in [
            &b"{\"n\": 9"[..],
            b"7",
            b"[1]",
            b"null",
            b"\"x\"",
            b"{\"n\": 9} {}",
            b"{\"x\": \"\xFF\"}",
            b"\xFF",
            b"{\"n\": 9, \"n\": 8}",
            b"\0\0\0\0",
            b"{\"n\": NaN}",
        ] {
            let body = [b"{\"n\": 1}\n", broken, b"\n{\"n\": 2}\n"].concat();
            assert_eq!(found(&body, &last(2)), (vec![1, 2], 1), "{broken:?}");
            assert_eq!(
                found(&body, &last(1)),
                (vec![2], 0),
                "outside of the window: {broken:?}"
            );
            let at_end = [b"{\"n\": 1}\n", broken].concat();
            assert_eq!(
                found(&at_end, &last(1)),
                (vec![1], 1),
                "half-written: {broken:?}"
            );
        }
    }

    #[test]
    fn padding_does_not_take_the_record_beside_it() {
        assert_eq!(
            found(b"{\"n\": 1}\n\0\0\0{\"n\": 2}\n", &ALL),
            (vec![1, 2], 1)
        );
        assert_eq!(
            found(b"{\"n\": 1}\n{\"n\": 2}\n\0\0\0", &ALL),
            (vec![1, 2], 1)
        );
    }

    #[test]
    fn a_last_line_without_end_counts_once() {
        let log = Log::new("{\"n\": 1}\n{\"n\": 2}");
        let mut kept = None;
        assert_eq!(
            numbers(&log.look(&mut kept, &last(3)).expect("found")),
            [1, 2]
        );
        log.append("\n");
        assert_eq!(
            numbers(&log.look(&mut kept, &last(3)).expect("found")),
            [1, 2]
        );
        log.append("{\"n\": 3}\n{\"n\":");
        let seen = log.look(&mut kept, &last(3)).expect("found");
        assert_eq!((numbers(&seen), seen.skipped), (vec![1, 2, 3], 1));
        log.append(" 4}\n");
        let seen = log.look(&mut kept, &last(3)).expect("found");
        assert_eq!((numbers(&seen), seen.skipped), (vec![2, 3, 4], 0));
    }

    fn timed(records: &[(i64, i64)]) -> String {
        records
            .iter()
            .map(|(n, time)| format!("{{\"n\": {n}, \"ts\": {time}}}\n"))
            .collect()
    }

    #[test]
    fn since_looks_at_the_time_of_records() {
        let body = timed(&[(1, 800), (2, 901), (3, 850), (4, 950), (5, 1100)]);
        assert_eq!(found(&body, &since(100)), (vec![2, 4, 5], 0));
        assert_eq!(
            found(
                &body,
                &Wish {
                    last: Some(2),
                    ..since(100)
                }
            ),
            (vec![4, 5], 0)
        );
        let untimed = format!(
            "{body}{{\"n\": 6}}\n{{\"n\": 7, \"ts\": \"soon\", \"t\": \"1970-01-01T00:16:39Z\"}}\n"
        );
        assert_eq!(found(&untimed, &since(100)), (vec![2, 4, 5, 7], 1));
        let seen = Log::new(&body).fresh(&since(100)).expect("found");
        assert_eq!(seen.newest, Some(Moment(1_100_000)));
    }

    #[test]
    fn since_ends_after_enough_old_records_in_a_row() {
        let mut records = vec![(1, 990)];
        records.extend((0..OLD_IN_A_ROW as i64 - 1).map(|_| (0, 10)));
        records.push((2, 995));
        assert_eq!(
            found(timed(&records), &since(100)).0,
            [1, 2],
            "a few that are late or wrong"
        );
        records.insert(1, (0, 10));
        assert_eq!(found(timed(&records), &since(100)).0, [2]);
    }

    #[test]
    fn where_comes_before_last() {
        let wish = Wish {
            filtered: true,
            ..last(2)
        };
        let body = "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3, \"out\": 1}\n{\"n\": 4}\n{\"out\": 1}\n";
        assert_eq!(found(body, &wish), (vec![2, 4], 0));
    }

    #[test]
    fn where_that_fails_within_the_window_is_an_error() {
        let wish = Wish {
            filtered: true,
            ..last(1)
        };
        assert_eq!(found("{\"bad\": 1}\n{\"n\": 1}\n", &wish), (vec![1], 0));
        let error = Log::new("{\"n\": 1}\n{\"bad\": 1}\n").fresh(&wish);
        assert_eq!(error, Err("a fault".to_owned()));
    }

    #[test]
    fn limits_are_errors() {
        let body = "{\"n\": 1, \"out\": 1}\n".repeat(100);
        let wish = Wish {
            filtered: true,
            max_scan: 500,
            ..last(1)
        };
        let error = Log::new(&body).fresh(&wish).expect_err("not found");
        assert_eq!(
            error,
            "the window is not found within the last 500 B (`max_scan`)"
        );
        assert!(
            Log::new(&body)
                .fresh(&Wish {
                    max_scan: 500,
                    ..last(2)
                })
                .is_ok()
        );
        let large = format!("{{\"x\": \"{}\"}}\n", "y".repeat(1 << 20)).repeat(17);
        let error = Log::new(large).fresh(&ALL).expect_err("too much");
        assert_eq!(
            error,
            "the window holds more than 16 MiB: narrow it with `last`"
        );
    }

    #[test]
    fn cost_depends_on_the_window() {
        let log = Log::new("");
        let file = fs::File::options()
            .write(true)
            .open(log.path())
            .expect("open");
        file.set_len(8 << 30).expect("a hole"); // read through, this would take minutes
        log.append(timed(&[(1, 1), (2, 2), (3, 3)]));
        let seen = log.fresh(&last(2)).expect("found");
        assert_eq!(numbers(&seen), [2, 3]);
    }

    #[test]
    fn only_what_was_appended_is_read_and_the_rest_remembered() {
        let log = Log::new(timed(&[(1, 1), (2, 2), (3, 3)]));
        let mut kept = None;
        log.look(&mut kept, &last(2)).expect("found");
        let before = kept.as_ref().expect("kept").start;
        log.append(timed(&[(4, 4)]));
        let seen = log.look(&mut kept, &last(2)).expect("found");
        assert_eq!(numbers(&seen), [3, 4]);
        let window = kept.as_ref().expect("kept");
        assert!(
            window.start > before && window.lines.len() == 2,
            "{window:?}"
        );
        let again = log.look(&mut kept, &last(2)).expect("found");
        assert!(
            Arc::ptr_eq(&again.records, &seen.records),
            "nothing is copied"
        );
    }

    /// What happens to a log between two looks.
    #[derive(Clone, Debug)]
    enum Event {
        Append(Vec<u8>),
        /// As copy-truncate does: emptied in place and written on.
        Restart(Vec<u8>),
        Rotate(Vec<u8>),
        /// Cut in place, to this share of its length.
        Cut(u8),
        Wait(i64),
        TurnBack(i64),
    }

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let record = (
            0_i64..1000,
            0_i64..1200,
            prop::sample::select(vec!["", ", \"out\": 1", ", \"bad\": 1"]),
            0_usize..300,
        )
            .prop_map(|(n, time, extra, size)| {
                let extra = if n % 7 == 0 { extra } else { "" };
                format!(
                    "{{\"n\": {n}, \"ts\": {time}{extra}, \"pad\": \"{}\"}}\n",
                    "x".repeat(size)
                )
                .into_bytes()
            });
        let other = prop::sample::select(vec![
            &b"\n"[..],
            b"7\n",
            b"\0\0\0\n",
            b"\0\0{\"n\": 5, \"ts\": 1000}\n",
            b"{\"n\": ",
            b"{\"n\": 6, \"ts\": 990}",
            b"}\n",
            b"\xFF\n",
            b"{\"n\": 8}\n",
            b"\r\n",
        ])
        .prop_map(<[u8]>::to_vec);
        prop::collection::vec(prop_oneof![4 => record, 1 => other], 0..12)
            .prop_map(|lines| lines.concat())
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => lines().prop_map(Event::Append),
            1 => lines().prop_map(Event::Restart),
            1 => lines().prop_map(Event::Rotate),
            1 => any::<u8>().prop_map(Event::Cut),
            1 => (0_i64..60).prop_map(Event::Wait),
            1 => (0_i64..60).prop_map(Event::TurnBack),
        ]
    }

    fn wish() -> impl Strategy<Value = Wish> {
        let since = prop::option::of(1_u64..500);
        let last = prop::option::of(1_usize..8);
        let max_scan = prop_oneof![3 => Just(64 << 20), 1 => 200_u64..3000];
        (any::<bool>(), since, last, max_scan).prop_map(|(filtered, since, last, max_scan)| Wish {
            filtered,
            since,
            last,
            now: 1000,
            max_scan,
        })
    }

    fn happen(event: &Event, path: &Path, wish: &mut Wish) {
        match event {
            Event::Append(bytes) => append(path, bytes),
            Event::Restart(bytes) => {
                fs::File::options()
                    .write(true)
                    .open(path)
                    .expect("open")
                    .set_len(0)
                    .expect("cut");
                append(path, bytes);
            }
            Event::Rotate(bytes) => {
                fs::rename(path, path.with_extension("1")).expect("renamed");
                append(path, bytes);
            }
            Event::Cut(share) => {
                let file = fs::File::options().write(true).open(path).expect("open");
                let length = file.metadata().expect("metadata").len();
                file.set_len(length * u64::from(*share) / 255).expect("cut");
            }
            Event::Wait(seconds) => wish.now += seconds,
            Event::TurnBack(seconds) => wish.now -= seconds,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn a_kept_window_is_what_a_fresh_one_would_be(
            mut wish in wish(),
            events in prop::collection::vec(event(), 1..12),
        ) {
            let log = Log::new("");
            let mut kept = None;
            for event in events {
                happen(&event, &log.path(), &mut wish);
                let fresh = log.fresh(&wish);
                prop_assert_eq!(log.look(&mut kept, &wish), fresh, "after {:?}", event);
            }
        }

        /// The same as reading all of it forward and taking what the words of the rule say.
        #[test]
        fn from_the_end_or_from_the_beginning_is_the_same(body in lines(), wish in wish()) {
            let wish = Wish { filtered: false, max_scan: 64 << 20, ..wish };
            let oldest = wish.since.map(|since| Moment((wish.now - since as i64) * 1000));
            let mut records: Vec<Value> = body
                .split(|byte| *byte == b'\n')
                .filter_map(|line| strict_json::parse(trim_padding(line)).ok())
                .filter(Value::is_object)
                .filter(|record| oldest.is_none() || time_of(record, &TIME.map(str::to_owned)) >= oldest)
                .collect();
            let surplus = records.len().saturating_sub(wish.last.unwrap_or(usize::MAX));
            records.drain(..surplus);
            let seen = Log::new(&body).fresh(&wish).expect("found");
            prop_assert_eq!(&*seen.records, &json!(records));
        }
    }

    #[test]
    #[ignore = "prints how long it takes"]
    fn two_hundred_megabytes() {
        let log = Log::new("");
        let line = format!(
            "{{\"ts\": 1, \"n\": 2, \"pad\": {}}}\n",
            json!(vec!["abcdefgh"; 160])
        );
        let block = line.repeat(1000);
        while fs::metadata(log.path()).expect("there").len() < 200_000_000 {
            log.append(&block);
        }
        let mut kept = None;
        for what in ["first look", "nothing new", "one appended", "nothing new"] {
            if what == "one appended" {
                log.append(&line);
            }
            let watch = crate::clock::Stopwatch::new();
            let count = log.look(&mut kept, &last(20)).expect("found").count;
            println!("{what}: {count} records in {:.3} ms", watch.milliseconds());
        }
    }
}
