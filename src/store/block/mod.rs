//! How looks are encoded: a block of them, self-contained, in which everything that is as it was at the check's look
//! before costs a bit or a byte. What remains is compressed.
//!
//! Most looks see what the last one saw but for an age or a latency. So a value is written as its difference to the
//! value of the same fact one look earlier: *same*, an integer moved by n, an object whose members differ, a list that
//! lost some in front and gained some at the end (the window over a log). Member names are written once a block.
//!
//! ```text
//! block   := 1 record*
//! record  := check at flags flags duration [message] [error] [kept] [facts]
//! check   := 0 text | number of the name in this block, from 1
//! at      := signed difference to the record before, ms        duration := µs
//! facts   := 2n (name value)* | 2n+1 value*  (the names of the last look)
//! value   := tag …, see `tag`
//! ```
//! Numbers are little-endian base 128, signed ones zigzag; a text is its length in bytes and its bytes.

mod bound;
mod read;
mod same;
mod write;

pub(super) use read::decode;
pub(super) use write::Builder;

use super::LookRecord;

const VERSION: u8 = 1;

mod tag {
    pub const SAME: u8 = 0;
    pub const NULL: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const TRUE: u8 = 3;
    /// A number from 0.
    pub const WHOLE: u8 = 4;
    /// `!n` of a negative number.
    pub const NEGATIVE: u8 = 5;
    /// Eight bytes, little-endian.
    pub const REAL: u8 = 6;
    pub const TEXT: u8 = 7;
    /// Length, values.
    pub const LIST: u8 = 8;
    /// Length, (name, value).
    pub const OBJECT: u8 = 9;
    /// An object with the names it had: values.
    pub const MEMBERS: u8 = 10;
    /// A list that lost n in front and gained m: n, m, values.
    pub const SLID: u8 = 11;
    /// A list of the length it had: values.
    pub const ITEMS: u8 = 12;
    /// A whole number that moved: signed difference.
    pub const MOVED: u8 = 13;
}

mod flag {
    pub const SKIPPED: u8 = 1 << 4;
    pub const NO_DATA: u8 = 1 << 5;
    pub const CRITICAL: u8 = 1 << 6;
    pub const WARNING: u8 = 1 << 7;
    pub const SAME_MESSAGE: u8 = 1 << 2;
    pub const ERROR: u8 = 1 << 3;
    pub const SAME_ERROR: u8 = 1 << 4;
    pub const KEPT: u8 = 1 << 5;
    pub const SAME_KEPT: u8 = 1 << 6;
    pub const SAME_FACTS: u8 = 1 << 7;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::{bound::LOOK_BYTES, write::TEXT_BYTES, *};
    use crate::model::{facts::Facts, moment::Moment, status::Status, verdict::Latch};
    use crate::store::sample::{NOON, look, minutes};

    fn coded(looks: &[LookRecord]) -> Vec<u8> {
        let mut builder = Builder::default();
        for look in looks {
            builder.push(look);
        }
        assert_eq!(builder.looks, looks.len());
        builder.bytes().to_vec()
    }

    /// Equal as text: `==` takes -0.0 for 0.0 and does not see the order of members.
    fn assert_same(one: &[LookRecord], other: &[LookRecord]) {
        assert_eq!(one.len(), other.len());
        for (one, other) in one.iter().zip(other) {
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (0i64..5).prop_map(Value::from),
            any::<f64>().prop_map(|real| json!(real)),
            Just(json!(-0.0)),
            Just(json!(5.0)),
            "[a-c\u{fc}]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("[a-d]", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn facts() -> impl Strategy<Value = Facts> {
        proptest::collection::vec(("[a-c]", value()), 0..4).prop_map(|facts| {
            let mut all = Facts::new();
            for (name, value) in facts {
                all.set(name, value);
            }
            all
        })
    }

    /// The facts of a check's looks: each like the last, or one fact of it anew.
    fn run() -> impl Strategy<Value = Vec<Facts>> {
        let change = (any::<bool>(), 0..4usize, value());
        (facts(), proptest::collection::vec(change, 0..6)).prop_map(|(first, changes)| {
            let mut all = vec![first];
            for (fresh, which, value) in changes {
                let mut next = all[all.len() - 1].clone();
                let name = next.names().nth(which).map(str::to_owned);
                if let (true, Some(name)) = (fresh, name) {
                    let slid = match (&**next.get(&name).unwrap(), &value) {
                        // Sometimes a window that moves on.
                        (Value::Array(old), Value::Array(new)) => {
                            let kept = old.iter().skip(1).chain(new);
                            Value::Array(kept.cloned().collect())
                        }
                        _ => value,
                    };
                    next.set(name, slid);
                }
                all.push(next);
            }
            all
        })
    }

    proptest! {
        #[test]
        fn what_was_recorded_comes_back(
            runs in proptest::collection::vec(run(), 1..4),
            seed in any::<u64>(),
            steps in proptest::collection::vec(-5_000i64..50_000, 24),
        ) {
            let mut looks = Vec::new();
            let mut at = NOON;
            let longest = runs.iter().map(Vec::len).max().unwrap_or(0);
            for round in 0..longest {
                for (check, run) in runs.iter().enumerate() {
                    let Some(facts) = run.get(round) else { continue };
                    let random = seed.rotate_left(7 * (round * 3 + check) as u32);
                    at = Moment(at.0 + steps[(round * 4 + check) % steps.len()]);
                    let mut look = look(&format!("check_{check}"), at, facts.clone());
                    let verdict = Arc::make_mut(&mut look.verdict);
                    let pick = |shift: u32| random >> shift & 3;
                    verdict.status = Status::ALL[pick(0) as usize];
                    look.status = verdict.status;
                    look.counted = Status::ALL[pick(2) as usize];
                    verdict.message = format!("message {}", pick(4));
                    verdict.error = [None, Some("one".to_owned()), Some("two".to_owned()), None][pick(6) as usize].clone();
                    verdict.kept = [None, Some(1), Some(2), None][pick(8) as usize]
                        .map(|pct| Map::from_iter([("pct".to_owned(), json!({"v": pct}))]));
                    verdict.proven = [None, Some(true), Some(false), None][pick(10) as usize];
                    verdict.skipped = pick(12) == 0;
                    verdict.no_data = pick(14) == 0;
                    verdict.latch = Latch { critical: pick(16) == 0, warning: pick(18) == 0 };
                    look.duration_ms = pick(20) as f64 * 1234.567;
                    verdict.duration_ms = look.duration_ms;
                    looks.push(look);
                }
            }
            assert_same(&decode(&coded(&looks)).unwrap(), &looks);
        }

        #[test]
        fn noise_is_refused_without_harm(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            facts in facts(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let _ = decode(&bytes);
            bytes.insert(0, VERSION);
            let _ = decode(&bytes);
            let mut good = coded(&[look("a", NOON, facts.clone()), look("a", NOON, facts)]);
            let at = at.index(good.len());
            good[at] = byte;
            let _ = decode(&good);
            good.truncate(at);
            let _ = decode(&good);
        }
    }

    #[test]
    fn what_stayed_the_same_costs_next_to_nothing() {
        let record = |number: usize| json!({"ts": 1767904955 + number, "symbol": "XOM", "score": 2.574, "note": "x".repeat(1500)});
        let window = |from: usize| -> Value { (from..from + 20).map(record).collect() };
        let seen = |minute: u64, from: usize| {
            let facts = Facts::new()
                .with("exists", true)
                .with("records", window(from))
                .with("age_s", minute as f64 * 1.25);
            look("attribution", NOON.plus(minutes(minute)), facts)
        };
        let first = coded(&[seen(0, 0)]).len();
        let same = coded(&[seen(0, 0), seen(1, 0)]).len() - first;
        assert!(same <= 30, "{same} bytes for a look with another age");
        let moved = coded(&[seen(0, 0), seen(1, 1)]).len() - first;
        assert!(moved <= 1600, "{moved} bytes for a window moved by one");
        // Under the name of a probe it is the same.
        let nested = |minute: u64| {
            let attribution = seen(minute, 0).verdict.facts.to_json();
            look(
                "a",
                NOON.plus(minutes(minute)),
                Facts::new().with("attr", attribution),
            )
        };
        let first = coded(&[nested(0)]).len();
        let same = coded(&[nested(0), nested(1)]).len() - first;
        assert!(
            same <= 30,
            "{same} bytes for a nested look with another age"
        );
    }

    #[test]
    fn what_is_too_large_is_cut_and_the_rest_kept() {
        let large = "x".repeat(50_000);
        let facts = Facts::new()
            .with("exists", true)
            .with(
                "run",
                json!({"count": 3, "records": [large, large], "skipped": 0}),
            )
            .with("source", "y".repeat(60_000))
            .with("attr", json!({"count": 1}));
        let looks = [look("a", NOON, facts.clone()), look("a", NOON, facts)];
        let bytes = coded(&looks);
        assert!(bytes.len() < LOOK_BYTES + 1000);
        for look in decode(&bytes).unwrap() {
            let facts = &look.verdict.facts;
            assert_eq!(
                **facts.get("run").unwrap(),
                json!({"count": 3, "records": {"$cut": 100_010}, "skipped": 0})
            );
            assert_eq!(
                facts.get("source").unwrap().as_str().map(str::len),
                Some(60_000)
            );
            assert_eq!(**facts.get("attr").unwrap(), json!({"count": 1}));
        }
        let mut look = look("a", NOON, Facts::new());
        let verdict = Arc::make_mut(&mut look.verdict);
        verdict.message = "\u{fc}".repeat(TEXT_BYTES);
        verdict.kept = Some(Map::from_iter([(
            "k".to_owned(),
            json!("z".repeat(LOOK_BYTES)),
        )]));
        let back = &decode(&coded(&[look])).unwrap()[0];
        assert_eq!(back.verdict.message.len(), TEXT_BYTES);
        assert!(back.verdict.kept.as_ref().unwrap().contains_key("$cut"));
    }

    #[test]
    fn what_is_too_deep_is_cut() {
        let mut deep = json!(1);
        for _ in 0..500 {
            deep = json!([deep]);
        }
        let facts = Facts::new().with("deep", deep).with("flat", 1);
        let back = &decode(&coded(&[look("a", NOON, facts)])).unwrap()[0];
        assert!(
            back.verdict
                .facts
                .get("deep")
                .unwrap()
                .get("$cut")
                .is_some()
        );
        assert_eq!(**back.verdict.facts.get("flat").unwrap(), json!(1));
    }
}
