//! Tests of `sql` over files of SQLite, with writers at work.

use std::{collections::BTreeMap, os::unix::fs::symlink};

use serde_json::json;

use super::*;
use crate::probe::{sql::KIND, testing::Bench};

/// A bench with a database of three rows.
fn bench() -> (Bench, Connection) {
    let bench = Bench::new();
    let writer = writer(&bench);
    writer
        .execute_batch("CREATE TABLE t (n INTEGER, s TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL);")
        .expect("a table");
    (bench, writer)
}

/// Somebody who does not wait for a lock.
fn writer(bench: &Bench) -> Connection {
    let writer = Connection::open(bench.root().join("data/x.db")).expect("a database");
    writer.busy_timeout(Duration::ZERO).expect("set");
    writer
}

fn rule(query: &str) -> Value {
    json!({"sqlite": "data/x.db", "query": query, "timeout": "3s"})
}

fn look(bench: &Bench, query: &str) -> Result<Value, String> {
    bench.look(&KIND, rule(query))
}

fn count(bench: &Bench) -> Value {
    look(bench, "SELECT count(*) AS n FROM t").expect("seen")["row"]["n"].clone()
}

/// Every file below `data/` with its bytes.
fn files(bench: &Bench) -> BTreeMap<String, Vec<u8>> {
    let dir = fs::read_dir(bench.root().join("data")).expect("data/");
    let files = dir.map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).expect("a file"))
    });
    files.collect()
}

#[test]
fn sees_rows_of_every_kind() {
    let (bench, _writer) = bench();
    let seen = bench
        .look(
            &KIND,
            json!({
                "sqlite": "data/x.db",
                "query": "SELECT n, s, 1.5 AS r, x'00ff' AS b, 9e999 AS inf, ?2 AS two, ?1 AS one FROM t WHERE n <> ?1 ORDER BY n",
                "args": ["${1 + 1}", {"a": [true]}],
            }),
        )
        .expect("seen");
    let rest = |n: i64, s: Value| json!({"n": n, "s": s, "r": 1.5, "b": "AP8=", "inf": "Infinity", "two": "{\"a\":[true]}", "one": 2});
    assert_eq!(
        seen["rows"],
        json!([rest(1, json!("a")), rest(3, json!(null))])
    );
    assert_eq!(seen["row"], seen["rows"][0]);
    assert_eq!(
        (
            &seen["sent"],
            &seen["exists"],
            &seen["missing"],
            &seen["error"]
        ),
        (&json!(true), &json!(true), &json!(false), &json!(null))
    );
    assert_eq!(
        (&seen["count"], &seen["truncated"], &seen["columns"]),
        (
            &json!(2),
            &json!(false),
            &json!(["n", "s", "r", "b", "inf", "two", "one"])
        )
    );
    assert!(seen["latency_ms"].as_f64().is_some_and(|it| it < 3000.0));
    let none = look(&bench, "SELECT n FROM t WHERE n > 9").expect("seen");
    assert_eq!(
        (&none["row"], &none["rows"], &none["columns"]),
        (&json!(null), &json!([]), &json!(["n"]))
    );
}

#[test]
fn a_missing_file_is_a_fact() {
    let seen = look(&Bench::new(), "SELECT 1 AS n").expect("a fact");
    assert_eq!(
        (&seen["sent"], &seen["exists"], &seen["missing"]),
        (&json!(false), &json!(false), &json!(true))
    );
    assert_eq!(
        (&seen["error"], &seen["rows"], &seen["row"]),
        (&json!("data/x.db is missing"), &json!([]), &json!(null))
    );
}

#[test]
fn an_argument_that_is_not_configured_asks_nothing() {
    let (bench, _writer) = bench();
    let mut rule = rule("SELECT ? AS n");
    rule["args"] = json!(["${env(\"HOST\")}"]);
    let seen = bench.look(&KIND, rule).expect("a fact");
    assert_eq!(
        (&seen["sent"], &seen["missing"], &seen["error"]),
        (&json!(false), &json!(false), &json!("not configured"))
    );
}

#[test]
fn an_answer_has_its_bounds() {
    let (bench, _writer) = bench();
    let mut rule = rule("SELECT n FROM t ORDER BY n");
    rule["max_rows"] = json!(3);
    let seen = bench.look(&KIND, rule.clone()).expect("seen");
    assert_eq!(
        (&seen["count"], &seen["truncated"]),
        (&json!(3), &json!(false))
    );
    rule["max_rows"] = json!(2);
    let seen = bench.look(&KIND, rule).expect("seen");
    assert_eq!(
        (&seen["count"], &seen["truncated"]),
        (&json!(2), &json!(true))
    );
    for query in [
        "SELECT printf('%.2000000c', 'x') AS s",
        "SELECT zeroblob(900000) AS a, zeroblob(900000) AS b",
        "SELECT zeroblob(2000000000) AS a",
    ] {
        assert_eq!(
            look(&bench, query),
            Err("the rows are larger than 1 MiB (`max_size`)".to_owned()),
            "{query}"
        );
    }
}

#[test]
fn whatever_writes_is_refused() {
    let (bench, writer) = bench();
    writer
        .execute_batch("CREATE VIRTUAL TABLE f USING fts5(s); PRAGMA user_version = 7;")
        .expect("made");
    let before = files(&bench);
    let statements = [
        "INSERT INTO t VALUES (4, 'd')",
        "INSERT INTO t VALUES (4, 'd') RETURNING n",
        "UPDATE t SET n = 0",
        "DELETE FROM t",
        "REPLACE INTO t VALUES (4, 'd')",
        "WITH x AS (SELECT 9 AS n) INSERT INTO t SELECT n, 'x' FROM x",
        "INSERT INTO f VALUES ('x')",
        "INSERT INTO f(f) VALUES ('optimize')",
        "CREATE TABLE u (n)",
        "CREATE TEMP TABLE u (n)",
        "CREATE INDEX i ON t (n)",
        "CREATE VIEW v AS SELECT 1",
        "DROP TABLE t",
        "ALTER TABLE t ADD COLUMN x",
        "ATTACH 'data/y.db' AS y",
        "ATTACH ':memory:' AS y",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'data/y.db'",
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "BEGIN EXCLUSIVE",
        "SAVEPOINT a",
        "PRAGMA journal_mode = WAL",
        "PRAGMA journal_mode",
        "PRAGMA query_only = 0",
        "PRAGMA user_version = 8",
        "PRAGMA writable_schema = 1",
        "PRAGMA wal_checkpoint",
        "PRAGMA optimize",
        "PRAGMA incremental_vacuum",
        "PRAGMA temp_store_directory = '/tmp'",
        "SELECT load_extension('/lib/x.so')",
        "SELECT LOAD_EXTENSION('/lib/x.so', 'f')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT * FROM pragma_journal_mode",
        "SELECT 1 AS n; DELETE FROM t",
        "SELECT 1 AS n; SELECT 2 AS n",
        "EXPLAIN DELETE FROM t",
    ];
    for statement in statements {
        let error = look(&bench, statement).expect_err(statement);
        let fits = [
            "the query may only read",
            "a query is one statement",
            "not authorized",
            "the query is wrong: no such table: pragma_journal_mode",
        ];
        assert!(
            fits.iter().any(|it| error.contains(it)),
            "{statement}: {error}"
        );
    }
    assert_eq!(
        files(&bench),
        before,
        "nothing was written, nothing was made"
    );
    for (query, row) in [
        ("PRAGMA quick_check", json!({"quick_check": "ok"})),
        (
            "PRAGMA integrity_check(5)",
            json!({"integrity_check": "ok"}),
        ),
        ("PRAGMA user_version", json!({"user_version": 7})),
        (
            "SELECT name FROM pragma_table_info('t')",
            json!({"name": "n"}),
        ),
        ("SELECT 1 AS n; -- and that is all", json!({"n": 1})),
        ("WITH x(n) AS (VALUES (5)) SELECT n FROM x", json!({"n": 5})),
        (
            "SELECT count(*) AS n FROM f WHERE f MATCH 'x'",
            json!({"n": 0}),
        ),
        ("SELECT value FROM json_each('[3]')", json!({"value": 3})),
    ] {
        assert_eq!(look(&bench, query).expect(query)["row"], row, "{query}");
    }
    assert_eq!(files(&bench), before);
}

#[test]
fn a_query_that_is_wrong_is_an_error() {
    let (bench, _writer) = bench();
    for (query, said) in [
        (
            "SELEKT 1",
            "the query is wrong: near \"SELEKT\": syntax error",
        ),
        ("SELECT * FROM u", "the query is wrong: no such table: u"),
        ("SELECT n, n FROM t", "two columns are called `n`"),
        ("SELECT ? AS n", "the query takes 1 `args`, not 0"),
        ("-- nothing", "the query says nothing"),
    ] {
        let error = look(&bench, query).expect_err(query);
        assert!(error.starts_with(said), "{query}: {error}");
    }
    let mut rule = rule("SELECT 1 AS n");
    rule["args"] = json!([1]);
    assert_eq!(
        bench.look(&KIND, rule),
        Err("the query takes 0 `args`, not 1".to_owned())
    );
}

/// Goes on for ever, looking at the table all the time.
const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + (SELECT count(*) FROM t) - 2 FROM c) SELECT count(*) AS n FROM c";

#[test]
fn a_query_that_never_ends_is_stopped_at_its_deadline() {
    let (bench, _writer) = bench();
    let mut rule = rule(ENDLESS);
    rule["timeout"] = json!("300ms");
    let watch = Stopwatch::new();
    let error = bench.look(&KIND, rule).expect_err("no end");
    assert_eq!(error, "no answer within 300ms");
    assert!(watch.elapsed() < Duration::from_secs(3));
}

#[test]
fn no_writer_waits_for_a_look() {
    for mode in ["DELETE", "PERSIST", "WAL"] {
        let (bench, writer) = bench();
        writer
            .pragma_update(None, "journal_mode", mode)
            .expect("a mode");
        writer.execute("UPDATE t SET s = 'x'", []).expect("written");
        let mut rule = rule(ENDLESS);
        rule["timeout"] = json!("900ms");
        let error = std::thread::scope(|scope| {
            let looking = scope.spawn(|| bench.look(&KIND, rule));
            let mut written = 0;
            while !looking.is_finished() {
                let done = writer.execute("INSERT INTO t VALUES (9, 'z')", []);
                assert!(done.is_ok(), "{mode}: {done:?}");
                written += 1;
                // so that the look finds the file at rest
                let watch = Stopwatch::new();
                while watch.elapsed() < QUIET * 4 && !looking.is_finished() {
                    std::thread::yield_now();
                }
            }
            assert!(written > 2, "{mode}: the look came back too early");
            looking.join().expect("no panic")
        });
        assert_eq!(
            error,
            Err(match mode {
                "WAL" => "no answer within 900ms".to_owned(),
                _ => "data/x.db was being written all the time, for 900ms".to_owned(),
            })
        );
    }
}

#[test]
fn what_was_begun_is_neither_seen_nor_hindered() {
    let (bench, writer) = bench();
    writer
        .pragma_update(None, "cache_size", 2)
        .expect("a small cache");
    writer
        .execute_batch("BEGIN EXCLUSIVE; INSERT INTO t VALUES (4, 'd');")
        .expect("begun");
    assert!(files(&bench).contains_key("x.db-journal"));
    assert_eq!(count(&bench), json!(3), "the file itself is as it was");
    // more than the cache holds: the file is changed before the end
    let many = "INSERT INTO t SELECT value, printf('%.500c', 'x') FROM generate";
    let many = format!(
        "WITH RECURSIVE generate(value) AS (SELECT 5 UNION ALL SELECT value + 1 FROM generate WHERE value < 100) {many}"
    );
    writer.execute(&many, []).expect("written");
    let mut rule = rule("SELECT count(*) AS n FROM t");
    rule["timeout"] = json!("300ms");
    let error = bench.look(&KIND, rule).expect_err("it is half written");
    assert_eq!(
        error,
        "data/x.db has a -journal: a transaction was writing, or died and was not rolled back, for 300ms"
    );
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| count(&bench));
        writer.execute_batch("COMMIT").expect("nobody hinders it");
        let seen = looking.join().expect("no panic");
        assert_eq!(seen, json!(100), "it is waited for");
    });
}

#[test]
fn a_journal_that_is_kept_is_none() {
    let (bench, writer) = bench();
    for mode in ["PERSIST", "TRUNCATE"] {
        writer
            .pragma_update(None, "journal_mode", mode)
            .expect("a mode");
        writer.execute("UPDATE t SET s = 'x'", []).expect("written");
        assert!(files(&bench).contains_key("x.db-journal"), "{mode}");
        assert_eq!(count(&bench), json!(3), "{mode}");
    }
}

fn in_wal_mode() -> (Bench, Connection) {
    let (bench, writer) = bench();
    writer
        .pragma_update(None, "journal_mode", "WAL")
        .expect("a mode");
    writer
        .execute("INSERT INTO t VALUES (4, 'd')", [])
        .expect("written");
    (bench, writer)
}

#[test]
fn with_a_wal_its_commits_are_seen_and_nothing_is_written() {
    let (bench, writer) = in_wal_mode();
    let before = files(&bench);
    assert!(before["x.db-wal"].len() > 1000, "it is in the -wal alone");
    writer
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (5, 'e');")
        .expect("begun");
    assert_eq!(count(&bench), json!(4));
    writer.execute_batch("COMMIT").expect("nobody hinders it");
    assert_eq!(count(&bench), json!(5));
    let names: Vec<String> = files(&bench).into_keys().collect();
    assert_eq!(names, ["x.db", "x.db-shm", "x.db-wal"]);
    // closed: everything is in the file, and so it stays
    drop(writer);
    let closed = files(&bench);
    assert_eq!(closed.keys().collect::<Vec<_>>(), ["x.db"]);
    assert_eq!(count(&bench), json!(5));
    assert_eq!(files(&bench), closed, "no -wal and no -shm are made");
}

/// A copy of these files, as a writer that died would leave them.
fn left(bench: &Bench, names: &[&str]) -> Bench {
    let copy = Bench::new();
    for (name, bytes) in files(bench) {
        if names.contains(&name.as_str()) {
            fs::write(copy.root().join("data").join(name), bytes).expect("written");
        }
    }
    copy
}

#[test]
fn what_a_dead_writer_left_is_read_or_told_and_never_touched() {
    let (bench, _writer) = in_wal_mode();
    let copy = left(&bench, &["x.db", "x.db-wal", "x.db-shm"]);
    let before = files(&copy);
    assert_eq!(count(&copy), json!(4));
    assert_eq!(files(&copy), before);

    let copy = left(&bench, &["x.db", "x.db-wal"]);
    let before = files(&copy);
    let mut rule = rule("SELECT count(*) AS n FROM t");
    rule["timeout"] = json!("200ms");
    let error = copy.look(&KIND, rule).expect_err("not to be read");
    assert!(
        error.starts_with("data/x.db has a -wal and no -shm: "),
        "{error}"
    );
    assert_eq!(files(&copy), before);

    let copy = left(&bench, &["x.db", "x.db-shm"]);
    let before = files(&copy);
    assert_eq!(count(&copy), json!(3), "all that there is");
    assert_eq!(files(&copy), before, "no -wal is made");
}

#[test]
fn one_who_keeps_it_for_himself_is_told() {
    let (bench, writer) = bench();
    writer
        .pragma_update(None, "locking_mode", "EXCLUSIVE")
        .expect("a mode");
    writer
        .pragma_update(None, "journal_mode", "WAL")
        .expect("a mode");
    writer
        .execute("INSERT INTO t VALUES (4, 'd')", [])
        .expect("written");
    let mut rule = rule("SELECT count(*) AS n FROM t");
    rule["timeout"] = json!("200ms");
    let error = bench.look(&KIND, rule).expect_err("not to be read");
    assert!(error.contains("somebody keeps it for himself"), "{error}");
}

#[test]
fn what_is_no_database_is_an_error() {
    let (whole, writer) = bench();
    for n in 0..2000 {
        writer
            .execute("INSERT INTO t VALUES (?1, 'some text to fill a page')", [n])
            .expect("written");
    }
    drop(writer);
    let bytes = files(&whole).remove("x.db").expect("a file");
    let mut broken = bytes.clone();
    for byte in broken.iter_mut().skip(4096).step_by(7) {
        *byte ^= 0x5a;
    }
    for (bytes, said) in [
        (
            &b"this is a text and no database at all, whoever asks"[..],
            "file is not a database",
        ),
        (&bytes[..6000], "database disk image is malformed"),
        (&broken, "database disk image is malformed"),
    ] {
        let bench = Bench::new();
        bench.file("data/x.db", bytes, 60.0);
        let error = look(&bench, "SELECT count(s) AS n, sum(n) AS m FROM t").expect_err(said);
        assert_eq!(error, format!("could not read data/x.db: {said}"));
    }
    let bench = Bench::new();
    bench.file("data/x.db", b"", 60.0);
    let seen = look(&bench, "SELECT 1 AS n").expect("an empty file is an empty database");
    assert_eq!(seen["row"], json!({"n": 1}));
}

#[test]
fn only_files_below_the_root() {
    let (bench, _writer) = bench();
    let data = bench.root().join("data");
    symlink("x.db", data.join("link.db")).expect("a link");
    let seen = bench
        .look(
            &KIND,
            json!({"sqlite": "data/link.db", "query": "SELECT count(*) AS n FROM t"}),
        )
        .expect("it stays inside");
    assert_eq!(seen["row"]["n"], json!(3));

    let outside = tempfile::tempdir().expect("a directory");
    let secret = outside.path().join("secret.db");
    Connection::open(&secret)
        .and_then(|it| it.execute_batch("CREATE TABLE t (n)"))
        .expect("a database");
    symlink(&secret, data.join("out.db")).expect("a link");
    for (file, said) in [
        ("data/out.db", "data/out.db leads out of the root"),
        ("data", "data is a directory, not a regular file"),
    ] {
        let rule = json!({"sqlite": file, "query": "SELECT 1 AS n"});
        assert_eq!(bench.look(&KIND, rule), Err(said.to_owned()));
    }
    // a name that would mean something in a URI
    fs::copy(data.join("x.db"), data.join("a?mode=rwc#%20.db")).expect("copied");
    let rule = json!({"sqlite": "data/a?mode=rwc#%20.db", "query": "SELECT count(*) AS n FROM t"});
    assert_eq!(bench.look(&KIND, rule).expect("seen")["row"]["n"], json!(3));
    assert!(!data.join("a").exists());
}
