//! Tests of the rule of `sql`.

use serde_json::json;

use super::{super::testing::Bench, *};

#[test]
fn mistakes_are_found_at_load() {
    let bench = Bench::new();
    let sqlite = |more: Value| {
        let mut rule = json!({"sqlite": "data/x.db", "query": "SELECT 1 AS n"});
        let map = rule.as_object_mut().expect("a map");
        map.extend(more.as_object().cloned().unwrap_or_default());
        rule
    };
    let postgres = |more: Value| {
        let mut rule = json!({"postgres": "postgres://bot@localhost/db", "query": "SELECT 1 AS n"});
        let map = rule.as_object_mut().expect("a map");
        map.extend(more.as_object().cloned().unwrap_or_default());
        rule
    };
    let url = |url: &str| postgres(json!({"postgres": url}));
    for (rule, codes) in [
        (sqlite(json!({})), &[][..]),
        (postgres(json!({})), &[]),
        (json!({"query": "SELECT 1"}), &["bad-value"]),
        (json!({"sqlite": "data/x.db"}), &["missing-key"]),
        (
            sqlite(json!({"postgres": "postgres://bot@localhost/db"})),
            &["bad-value"],
        ),
        (sqlite(json!({"sqlite": "/etc/x.db"})), &["not-allowed"]),
        (
            sqlite(json!({"password": "x", "tls": true})),
            &["bad-value", "bad-value"],
        ),
        (sqlite(json!({"query": " "})), &["bad-value"]),
        (
            sqlite(json!({"query": "SELECT '${vars.name}'"})),
            &["bad-value"],
        ),
        (
            sqlite(json!({"args": ["${vars.nme}"]})),
            &["unknown-property"],
        ),
        (sqlite(json!({"max_rows": 0})), &["bad-value"]),
        (sqlite(json!({"max_rows": 10_001})), &["bad-value"]),
        (sqlite(json!({"max_size": "big"})), &["bad-value"]),
        (sqlite(json!({"timeout": "0s"})), &["bad-value"]),
        (sqlite(json!({"quary": 1})), &["unknown-key"]),
        (url("nonsense"), &["bad-value"]),
        (url("http://bot@localhost/db"), &["bad-value"]),
        (url("postgres://localhost/db"), &["bad-value"]),
        (url("postgres://bot:pw@localhost/db"), &["bad-value"]),
        (
            url("postgres://bot@localhost/db?sslmode=disable"),
            &["bad-value"],
        ),
        (url("postgres://bot@localhost/${vars.name}"), &[]),
        (url("postgres://${vars.name}@localhost/db"), &["bad-value"]),
        (url("postgres://bot@db.example.net/db"), &["not-allowed"]),
        (
            url("postgres://bot@db.example.net/${vars.name}"),
            &["not-allowed"],
        ),
        (
            postgres(json!({"postgres": {"host": "localhost"}})),
            &["missing-key"],
        ),
        (
            postgres(
                json!({"postgres": {"host": "localhost", "user": "bot", "database": "${vars.name}", "port": 5433}}),
            ),
            &[],
        ),
        (
            postgres(json!({"postgres": {"host": "10.0.0.1", "user": "bot"}})),
            &["not-allowed"],
        ),
        (
            postgres(json!({"postgres": {"host": "localhost", "user": "bot", "pasword": "x"}})),
            &["unknown-key"],
        ),
        (postgres(json!({"ca": "/etc/ca.pem"})), &["not-allowed"]),
        (postgres(json!({"query": "DELETE FROM t"})), &["bad-value"]),
    ] {
        assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
    }
    let allowed = Bench::new().allowing_to_reach(&["db.example.net:5432"]);
    let rule = url("postgresql://bot@db.example.net/db");
    assert_eq!(allowed.codes(&KIND, rule), [""; 0]);
}

#[test]
fn no_mistake_shows_a_password() {
    let rule = json!({"postgres": "postgres://bot:hunter2@local host/db", "query": "SELECT 1"});
    let mistakes = Bench::new().build(&KIND, rule).err().expect("wrong");
    assert!(!format!("{mistakes:?}").contains("hunter2"), "{mistakes:?}");
}
