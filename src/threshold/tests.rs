//! Every way of judging.

use std::{cell::OnceCell, sync::Arc};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    model::{
        moment::Moment,
        text::{Place, Text},
    },
    script::Known,
};

/// The parts of a rule, as they are written.
#[derive(Default)]
struct Rule {
    enough: Option<&'static str>,
    lets: &'static [(&'static str, &'static str)],
    value: Option<&'static str>,
    critical: Option<&'static str>,
    warning: Option<&'static str>,
    message: Option<&'static str>,
    keep: &'static [(&'static str, &'static str)],
    keep_start: Value,
    publish: &'static [(&'static str, &'static str)],
    until: Option<&'static str>,
}

struct Bench {
    engine: Engine,
    judging: Judging,
    until: Option<Expr>,
    ground: Ground,
    prior: Prior,
}

fn text(source: &str) -> Text {
    let marks = (1..=source.chars().count() as u32 + 1).map(|column| (7, column));
    let place = Place {
        file: "rules/a.yaml".into(),
        line: 7,
        column: 1,
    };
    Text::placed(source, place, Some(marks.collect()))
}

thread_local! { static ENGINE: OnceCell<Engine> = const { OnceCell::new() }; }

impl Bench {
    fn new(rule: Rule) -> Bench {
        let engine = ENGINE.with(|engine| engine.get_or_init(Engine::new).clone());
        let mut known = Known::ground(&Map::new());
        for name in [
            "exists", "count", "age_s", "doc", "scores", "status", "kept", "prev", "ledger",
        ] {
            known = known.with(name, None);
        }
        for (name, _) in rule.lets {
            known = known.with(*name, None);
        }
        let mut mistakes = Vec::new();
        let mut expr = |source: &str| {
            let expr = Expr::compile(&engine, &text(source), &known, &mut mistakes);
            assert_eq!(mistakes, [], "{source}");
            expr.unwrap()
        };
        let line = |source: &str, expr: &mut dyn FnMut(&str) -> Expr| {
            let words: Vec<&str> = source.split(' ').collect();
            match words[..] {
                ["above", limit, "clear", clear] => Line::Above {
                    limit: limit.parse().unwrap(),
                    clear: clear.parse().unwrap(),
                },
                ["below", limit, "clear", clear] => Line::Below {
                    limit: limit.parse().unwrap(),
                    clear: clear.parse().unwrap(),
                },
                _ => Line::When(expr(source)),
            }
        };
        let named = |pairs: &[(&str, &str)], expr: &mut dyn FnMut(&str) -> Expr| {
            pairs
                .iter()
                .map(|(name, source)| ((*name).to_owned(), expr(source)))
                .collect::<Vec<_>>()
        };
        let judging = Judging {
            enough: rule.enough.map(&mut expr),
            lets: named(rule.lets, &mut expr),
            value: rule.value.map(&mut expr),
            critical: rule.critical.map(|source| line(source, &mut expr)),
            warning: rule.warning.map(|source| line(source, &mut expr)),
            keep: named(rule.keep, &mut expr),
            keep_start: rule.keep_start.as_object().cloned().unwrap_or_default(),
            ..Judging::default()
        };
        let until = rule.until.map(&mut expr);
        let mut bench = Bench {
            engine: engine.clone(),
            judging,
            until,
            ground: Ground {
                now: Moment(1_767_717_000_000),
                ..Ground::default()
            },
            prior: Prior::default(),
        };
        let template = |source: &str| {
            let mut mistakes = Vec::new();
            Template::compile(&engine, &text(source), &known, &mut mistakes).unwrap()
        };
        if let Some(message) = rule.message {
            let message = Some(template(message));
            bench.judging.messages = Messages {
                ok: message.clone(),
                warning: message.clone(),
                critical: message,
                ..Messages::default()
            };
        }
        if !rule.publish.is_empty() {
            bench.judging.publish = Some(Publish {
                file: template("state/x.json"),
                set: rule
                    .publish
                    .iter()
                    .map(|(key, source)| ((*key).to_owned(), TemplateTree::Text(template(source))))
                    .collect(),
            });
        }
        bench
    }

    /// Looks once; what is remembered is remembered.
    fn look(&mut self, facts: Value) -> Verdict {
        let facts = Facts::from_json(facts).unwrap();
        self.look_at(Ok(facts), true)
    }

    fn look_at(&mut self, looked: Result<Facts, String>, keep: bool) -> Verdict {
        let ledger = json!({"verified": 3});
        let asked = Asked {
            until: self.until.as_ref(),
            acted: None,
            keep,
            ledger: Some(&ledger),
        };
        let verdict = judge(
            &self.engine,
            &self.judging,
            looked,
            &self.prior,
            &self.ground,
            asked,
        );
        self.prior = Prior {
            status: Some(verdict.status),
            lets: verdict.lets.clone(),
            kept: verdict.kept.clone().or(self.prior.kept.take()),
            latch: verdict.latch,
            baseline: self.prior.baseline.clone(),
        };
        verdict
    }

    /// Statuses of several looks.
    fn statuses(&mut self, facts: &[Value]) -> Vec<&'static str> {
        let looks = facts.iter().map(|facts| self.look(facts.clone()));
        looks.map(|verdict| verdict.status.word()).collect()
    }
}

#[test]
fn critical_comes_before_warning_and_nothing_is_ok() {
    let mut bench = Bench::new(Rule {
        critical: Some("age_s > 300"),
        warning: Some("age_s > 100"),
        ..Rule::default()
    });
    let ages = [
        json!({"age_s": 301}),
        json!({"age_s": 101}),
        json!({"age_s": 1}),
    ];
    assert_eq!(bench.statuses(&ages), ["critical", "warning", "ok"]);
    let mut bare = Bench::new(Rule::default());
    let verdict = bare.look(json!({}));
    assert_eq!(
        (verdict.status, verdict.message.as_str()),
        (Status::Ok, "fine")
    );
    assert_eq!(verdict.error, None);
}

#[test]
fn an_error_in_critical_never_hides_behind_a_warning() {
    let mut bench = Bench::new(Rule {
        critical: Some("doc.bse > 3"),
        warning: Some("exists"),
        ..Rule::default()
    });
    bench.judging.on_error = OnError {
        probe: Status::Critical,
        rule: Status::Unknown,
    };
    let verdict = bench.look(json!({"exists": true, "doc": {"base": 2}}));
    assert_eq!(verdict.status, Status::Unknown);
    assert_eq!(
        verdict.error.as_deref(),
        Some("critical: no property `bse`; there are base (rules/a.yaml:7:5)")
    );
    assert_eq!(verdict.message, verdict.error.unwrap());
    let why = verdict.why.unwrap();
    assert_eq!((why.line.as_str(), why.place.column), ("critical", 5));
    assert_eq!(Value::Object(why.saw), json!({"doc": {"base": 2}}));

    bench.judging.on_error.rule = Status::Warning;
    let verdict = bench.look(json!({"exists": true, "doc": {}}));
    assert_eq!(verdict.status, Status::Warning);
    let verdict = bench.look_at(Err("cannot read data/x.json".into()), true);
    assert_eq!(verdict.status, Status::Critical);
    assert_eq!(verdict.error.as_deref(), Some("cannot read data/x.json"));
    assert_eq!(verdict.message, "cannot read data/x.json");
    assert!(verdict.facts.is_empty());
}

#[test]
fn an_error_in_warning_counts_only_when_critical_does_not_hold() {
    let mut bench = Bench::new(Rule {
        critical: Some("exists"),
        warning: Some("count"),
        ..Rule::default()
    });
    let facts = [
        json!({"exists": true, "count": 1}),
        json!({"exists": false, "count": 1}),
    ];
    assert_eq!(bench.statuses(&facts), ["critical", "unknown"]);
}

#[test]
fn too_little_data_is_no_answer() {
    let mut bench = Bench::new(Rule {
        enough: Some("count >= 10"),
        critical: Some("scores.mean() < 0.5"),
        message: Some("avg ${scores.mean()}"),
        ..Rule::default()
    });
    let verdict = bench.look(json!({"count": 3, "scores": [0.1]}));
    assert_eq!(verdict.status, Status::Unknown);
    assert!(verdict.no_data && verdict.error.is_none());
    assert_eq!(verdict.message, "not enough data");
    bench.judging.on_no_data = OnNoData(Status::Ok);
    let verdict = bench.look(json!({"count": 3, "scores": [0.1]}));
    assert_eq!(
        (verdict.status, verdict.message.as_str()),
        (Status::Ok, "not enough data")
    );
    let verdict = bench.look(json!({"count": 10, "scores": [0.1]}));
    assert_eq!(
        (verdict.status, verdict.message.as_str()),
        (Status::Critical, "avg 0.1")
    );
    let verdict = bench.look(json!({"count": null, "scores": []}));
    assert_eq!(verdict.status, Status::Unknown);
    assert!(!verdict.no_data);
}

#[test]
fn hysteresis_holds_until_clear_is_passed() {
    let mut bench = Bench::new(Rule {
        value: Some("doc.base"),
        critical: Some("above 3.0 clear 2.8"),
        warning: Some("above 2.5 clear 2.2"),
        ..Rule::default()
    });
    let base = |base: f64| json!({"doc": {"base": base}});
    let seen = [2.4, 2.6, 2.3, 2.2, 3.0, 3.1, 2.9, 2.8, 2.3, 2.1, 3.5, 2.3].map(base);
    assert_eq!(
        bench.statuses(&seen),
        [
            "ok", "warning", "warning", "ok", "warning", "critical", "critical", "warning",
            "warning", "ok", "critical", "warning"
        ]
    );
    let verdict = bench.look(base(3.5));
    assert_eq!(verdict.message, "value 3.5 is above 3.0");
    assert_eq!(
        bench.look(base(2.9)).message,
        "value 2.9 is still above 2.8"
    );
    // a look that cannot judge lets nothing go
    let verdict = bench.look(json!({"doc": {}}));
    assert_eq!(verdict.status, Status::Unknown);
    assert!(verdict.latch.critical && verdict.latch.warning);
    assert_eq!(bench.look(base(2.9)).status, Status::Critical);
    assert!(bench.look_at(Err("no".into()), true).latch.critical);

    let mut below = Bench::new(Rule {
        value: Some("count"),
        warning: Some("below 5 clear 8"),
        ..Rule::default()
    });
    let count = |count: i64| json!({"count": count});
    let seen = [5, 4, 7, 8, 7].map(count);
    assert_eq!(
        below.statuses(&seen),
        ["ok", "warning", "warning", "ok", "ok"]
    );
    assert_eq!(below.look(count(1)).message, "value 1.0 is below 5.0");
}

#[test]
fn lets_are_lazy_and_fail_only_what_uses_them() {
    let mut bench = Bench::new(Rule {
        lets: &[
            ("avg", "scores.mean()"),
            ("twice", "avg * 2"),
            ("broken", "doc.nope"),
        ],
        critical: Some("count > 0 && twice > 10"),
        message: Some("avg ${avg.fixed(1)}, broken ${broken}"),
        ..Rule::default()
    });
    let verdict = bench.look(json!({"count": 0, "scores": [], "doc": {}}));
    assert_eq!(verdict.status, Status::Ok);
    assert_eq!(verdict.message, "fine", "a failing message changes nothing");
    assert_eq!(verdict.error, None);
    assert_eq!(verdict.lets, Map::new());
    let verdict = bench.look(json!({"count": 2, "scores": [6, 8], "doc": {"nope": 1}}));
    assert_eq!(verdict.status, Status::Critical);
    assert_eq!(verdict.message, "avg 7.0, broken 1");
    assert_eq!(
        Value::Object(verdict.lets),
        json!({"avg": 7.0, "twice": 14.0, "broken": 1})
    );
    let why = verdict.why.unwrap();
    assert_eq!(Value::Object(why.saw), json!({"count": 2, "twice": 14.0}));
    // the fault of a `let` stands in the `let`, under the line that asked
    let verdict = bench.look(json!({"count": 1, "scores": [], "doc": {}}));
    let why = verdict.why.unwrap();
    assert_eq!(verdict.status, Status::Unknown);
    assert_eq!(
        (why.line.as_str(), why.expression.as_str()),
        ("critical", "scores.mean()")
    );
    assert_eq!(why.place.column, 8);
}

#[test]
fn closures_see_lets_too() {
    let mut bench = Bench::new(Rule {
        lets: &[
            ("limit", "scores.max() - 1"),
            ("high", "scores.filter(|s| s > limit)"),
        ],
        critical: Some("high.all(|h| scores.any(|s| s + limit > h)) && high.len() == 1"),
        ..Rule::default()
    });
    assert_eq!(
        bench.statuses(&[json!({"scores": [1, 2, 3]})]),
        ["critical"]
    );
    // a function that is never called asks for nothing
    let mut idle = Bench::new(Rule {
        lets: &[("avg", "scores.mean()")],
        critical: Some("scores.any(|s| s > avg)"),
        ..Rule::default()
    });
    assert_eq!(idle.statuses(&[json!({"scores": []})]), ["ok"]);
}

#[test]
fn a_default_message_shows_the_expression_and_what_it_saw() {
    let mut bench = Bench::new(Rule {
        critical: Some("age_s > 300 && doc.get(\"x\", 1) == 1"),
        ..Rule::default()
    });
    let verdict = bench.look(json!({"age_s": 310.5, "doc": {"a": "y".repeat(1000)}}));
    assert_eq!(
        verdict.message,
        "age_s > 300 && doc.get(\"x\", 1) == 1 (age_s 310.5, doc \"a map of 1\")"
    );
}

#[test]
fn messages_by_status() {
    let mut bench = Bench::new(Rule {
        critical: Some("count > 5"),
        ..Rule::default()
    });
    let template = |source: &str| {
        let known = Known::default().with("count", None).with("status", None);
        Template::compile(&bench.engine, &text(source), &known, &mut Vec::new())
    };
    bench.judging.messages = Messages {
        ok: template("${status}: ${count}"),
        critical: template(" "),
        error: template("broken"),
        unknown: template("who knows"),
        no_data: template("none"),
        ..Messages::default()
    };
    assert_eq!(bench.look(json!({"count": 1})).message, "ok: 1");
    assert_eq!(
        bench.look(json!({"count": 6})).message,
        "count > 5 (count 6)"
    );
    assert_eq!(bench.look(json!({"count": null})).message, "broken");
    bench.judging.messages.error = None;
    assert_eq!(bench.look(json!({"count": null})).message, "who knows");
}

#[test]
fn what_is_kept_goes_from_look_to_look() {
    let mut bench = Bench::new(Rule {
        critical: Some("count > 5"),
        keep: &[
            (
                "pct",
                "if status == \"ok\" { min(100, kept.pct + 1) } else { max(0, kept.pct - 10) }",
            ),
            ("seen", "kept.get(\"seen\", 0) + 1"),
            ("bad", "doc.nope"),
        ],
        keep_start: json!({"pct": 99}),
        publish: &[
            ("pct", "${kept.pct}"),
            ("repaired", "${ledger.verified}"),
            ("gone", "${doc.nope}"),
        ],
        ..Rule::default()
    });
    let verdict = bench.look(json!({"count": 1, "doc": {}}));
    assert_eq!(verdict.status, Status::Ok);
    assert_eq!(
        Value::Object(verdict.kept.unwrap()),
        json!({"pct": 100, "seen": 1})
    );
    let publication = verdict.publish.unwrap();
    assert_eq!(publication.file, "state/x.json");
    assert_eq!(
        Value::Object(publication.set),
        json!({"pct": 100, "repaired": 3})
    );
    assert_eq!(
        verdict.error.as_deref(),
        Some("keep bad: no property `nope`; the map is empty (rules/a.yaml:7:5)")
    );
    bench.look(json!({"count": 1, "doc": {"nope": 1}}));
    let verdict = bench.look(json!({"count": 6, "doc": {"nope": 2}}));
    assert_eq!(
        Value::Object(verdict.kept.unwrap()),
        json!({"pct": 90, "seen": 3, "bad": 2})
    );
    // not by UNKNOWN, nor when it is not asked
    let verdict = bench.look(json!({"count": null, "doc": {}}));
    assert_eq!(verdict.kept, None);
    assert_eq!(verdict.publish.unwrap().set["pct"], 90);
    let facts = Facts::from_json(json!({"count": 6, "doc": {"nope": 3}})).unwrap();
    assert_eq!(bench.look_at(Ok(facts), false).kept, None);
    // a name that the rule no longer has is forgotten
    bench.judging.keep.retain(|(name, _)| name == "pct");
    let verdict = bench.look(json!({"count": 6, "doc": {}}));
    assert_eq!(Value::Object(verdict.kept.unwrap()), json!({"pct": 80}));
}

#[test]
fn the_look_before_is_known() {
    let mut bench = Bench::new(Rule {
        lets: &[("avg", "scores.mean()")],
        critical: Some("prev.status != () && prev.let.avg - avg > 5"),
        warning: Some("avg > 100"),
        ..Rule::default()
    });
    let scores = |score: i64| json!({"scores": [score]});
    assert_eq!(
        bench.statuses(&[scores(10), scores(9), scores(3)]),
        ["ok", "ok", "critical"]
    );
}

#[test]
fn only_looking_proves() {
    let mut bench = Bench::new(Rule {
        critical: Some("count > 5"),
        until: Some("status == \"ok\" && doc.ready"),
        ..Rule::default()
    });
    assert_eq!(
        bench
            .look(json!({"count": 1, "doc": {"ready": true}}))
            .proven,
        Some(true)
    );
    assert_eq!(
        bench
            .look(json!({"count": 6, "doc": {"ready": true}}))
            .proven,
        Some(false)
    );
    let verdict = bench.look(json!({"count": 1, "doc": {}}));
    assert_eq!((verdict.status, verdict.proven), (Status::Ok, Some(false)));
    assert!(
        verdict
            .error
            .unwrap()
            .starts_with("until: no property `ready`")
    );
    assert_eq!(bench.look_at(Err("no".into()), true).proven, Some(false));
    bench.until = None;
    assert_eq!(bench.look(json!({"count": 1, "doc": {}})).proven, None);
}

proptest! {
    /// Once bad, a hysteresis is bad until `clear` is passed, and never before `limit` was.
    #[test]
    fn a_hysteresis_is_a_hysteresis(values in proptest::collection::vec(0.0..10.0_f64, 1..40)) {
        let mut bench = Bench::new(Rule {
            value: Some("count"),
            warning: Some("above 6 clear 4"),
            ..Rule::default()
        });
        let mut bad = false;
        for value in values {
            bad = if bad { value > 4.0 } else { value > 6.0 };
            let verdict = bench.look(json!({"count": value}));
            prop_assert_eq!(verdict.status.is_bad(), bad);
        }
    }

    /// Whatever is looked at: an error in `critical` gives `on_error`, and never OK or the warning.
    #[test]
    fn no_fault_is_healthy(base in prop_oneof![
        Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from),
        (-5.0..5.0_f64).prop_map(Value::from), "[0-9a-z]{0,3}".prop_map(Value::from),
        Just(json!([])), Just(json!({"x": 1})),
    ]) {
        let mut bench = Bench::new(Rule {
            critical: Some("doc.base > 3.0"),
            warning: Some("true"),
            ..Rule::default()
        });
        let verdict = bench.look(json!({"doc": {"base": base}}));
        let wanted = match base.as_f64() {
            None => Status::Unknown,
            Some(base) if base as i64 as f64 != base && base.abs() > 9e15 => return Ok(()),
            Some(_) if base.as_i64().is_some_and(|int| int as f64 as i128 != i128::from(int)) => Status::Unknown,
            Some(base) if base > 3.0 => Status::Critical,
            Some(_) => Status::Warning,
        };
        prop_assert_eq!(verdict.status, wanted);
        prop_assert_eq!(verdict.error.is_some(), wanted == Status::Unknown);
    }
}

#[test]
fn engines_are_shared_between_threads() {
    let engine = Arc::new(Engine::new());
    let known = Known::default().with("count", None);
    let expr = Expr::compile(&engine, &text("count > 1"), &known, &mut Vec::new()).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let ground = Ground::default();
                for count in 0..200 {
                    let facts = Facts::new().with("count", count);
                    let scope = Scope::new(&ground).facts(&facts);
                    assert_eq!(expr.truth(&engine, &scope), Ok(count > 1));
                }
            });
        }
    });
}
