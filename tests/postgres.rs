//! The probe `sql` at a real server of PostgreSQL (Debian's `postgresql`) through the real binary: values of every kind,
//! refusals, limits, TLS.
//!
//! Runs with `HOMEOSTAT_POSTGRES=1` alone, and then must. It makes a cluster of its own in a temporary directory, on a free
//! port of loopback, by an unprivileged user, and ends it.

mod common;

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use common::{Root, until};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

const PASSWORD: &str = "p4ss: word'\"";
/// The user `nobody`, for a test that is run by root: the server refuses to be.
const NOBODY: u32 = 65_534;

/// A server that ends when it is dropped.
struct Cluster {
    dir: tempfile::TempDir,
    tools: PathBuf,
    port: u16,
    server: Option<Child>,
    /// PEM of its certificate.
    certificate: String,
}

/// The programs of the newest server that is installed.
fn tools() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let mut versions: Vec<PathBuf> = versions.flatten().map(|it| it.path().join("bin")).collect();
    versions.retain(|bin| bin.join("postgres").exists());
    versions.sort();
    versions.pop().expect("a server is installed")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Cluster {
    fn start() -> Cluster {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let mut cluster = Cluster {
            dir: tempfile::tempdir().expect("a temporary directory"),
            tools: tools(),
            port: free_port(),
            server: None,
            certificate,
        };
        let dir = cluster.dir.path().to_owned();
        for (name, body) in [
            ("password", format!("{PASSWORD}\n")),
            ("server.pem", cluster.certificate.clone()),
            ("server.key", key.serialize_pem()),
        ] {
            let path = dir.join(name);
            fs::write(&path, body).expect("a file");
            fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("rights");
            cluster.give_away(&path);
        }
        cluster.give_away(&dir);
        let data = dir.join("data").display().to_string();
        let mut making = cluster.command("initdb");
        making.args(["-D", &data, "-U", "bot", "-E", "UTF8", "--no-sync"]);
        making.args(["--auth=md5", "--pwfile"]);
        let made = making.arg(dir.join("password")).output().expect("it runs");
        assert!(made.status.success(), "{made:?}");
        let mut server = cluster.command("postgres");
        server.args(["-D", &data, "-h", "127.0.0.1", "-k", "", "-F", "-p"]);
        server.arg(cluster.port.to_string());
        for (name, file) in [
            ("ssl_cert_file", "server.pem"),
            ("ssl_key_file", "server.key"),
        ] {
            server.args(["-c", &format!("{name}={}", dir.join(file).display())]);
        }
        server.args(["-c", "ssl=on"]);
        let log = fs::File::create(dir.join("log")).expect("a log");
        server.stdout(Stdio::null()).stderr(log);
        cluster.server = Some(server.spawn().expect("it starts"));
        cluster.answers();
        cluster
    }

    /// A program of PostgreSQL, run by somebody who may do little.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.tools.join(program));
        command
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/");
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn give_away(&self, path: &Path) {
        if rustix::process::geteuid().is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
        }
    }

    /// Waits until it takes statements.
    fn answers(&self) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let port = self.port;
        runtime.block_on(until(Duration::from_secs(60), "the server", async || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
            self.psql("SELECT 1").ok()
        }));
    }

    /// Runs statements as their user.
    fn psql(&self, statements: &str) -> Result<String, String> {
        let mut command = self.command("psql");
        command.env("PGPASSWORD", PASSWORD);
        command.args(["-h", "127.0.0.1", "-U", "bot", "-d", "postgres", "-p"]);
        command.arg(self.port.to_string());
        command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements]);
        let done = command.output().map_err(|error| error.to_string())?;
        match done.status.success() {
            true => Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let pid = rustix::process::Pid::from_child(&server);
        // INT: whoever is connected is sent away
        if rustix::process::kill_process(pid, rustix::process::Signal::INT).is_err() {
            let _ = server.kill();
        }
        let _ = server.wait();
    }
}

/// A check that asks this.
fn check(name: &str, cluster: &Cluster, rule: Value) -> Value {
    let mut sql = json!({
        "postgres": format!("postgres://bot@127.0.0.1:{}/postgres", cluster.port),
        "password": "${env(\"PGPASSWORD\")}",
    });
    let map = sql.as_object_mut().expect("a map");
    map.extend(rule.as_object().cloned().unwrap_or_default());
    json!({
        "name": name, "about": "A query.", "timeout": "20s", "probe": { "sql": sql },
        "threshold": { "warning": "error != ()" }, "message": "${count}",
    })
}

/// What the checks see, by their names.
fn seen(checks: Vec<Value>, cluster: &Cluster) -> impl Fn(&str) -> Value {
    let root = Root::new();
    root.put("rules/sql.yaml", &json!({ "checks": checks }).to_string());
    root.put("homeostat.yaml", "env: [PGPASSWORD]\n");
    root.put("data/ca.pem", &cluster.certificate);
    let output = Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .current_dir(root.path())
        .env("PGPASSWORD", PASSWORD)
        .args(["check", "--json"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !said.contains("p4ss") && !errors.contains("p4ss"),
        "{said}{errors}"
    );
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{errors}"));
    let checks = report["checks"].as_array().expect("checks").clone();
    move |name| {
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("{name} is missing")).clone()
    }
}

const VALUES: &str = "SELECT true AS b, 1::int2 AS i2, -2 AS i4, 9223372036854775807 AS i8, 0.1::float4 AS f4, \
    2.5::float8 AS f8, 'NaN'::float8 AS nan, 12.50 AS n, 0.1234567890123456789 AS exact, -10002.0003 AS m, \
    1e30::numeric AS big, 'ü' AS t, 'x'::varchar AS v, 'y'::name AS name, 'c'::\"char\" AS c, '\\x00ff'::bytea AS bytes, \
    '{\"a\": [1, null]}'::jsonb AS jb, '[true]'::json AS j, NULL::int AS nothing, \
    '2026-01-06 17:30:00.25+01'::timestamptz AS tz, '2026-01-06 16:30'::timestamp AS ts, 'infinity'::timestamp AS never, \
    '2026-01-06'::date AS d, '12:34:56'::time AS clock, '1 day 1.5 seconds'::interval AS span, \
    '00010203-0405-0607-0809-0a0b0c0d0e0f'::uuid AS u, '10.1.2.3'::inet AS ip, '10.0.0.0/8'::cidr AS net, \
    '16/B374D848'::pg_lsn AS lsn, ARRAY[1, NULL, 3] AS list, ARRAY['a', 'b'] AS texts, 'sad'::mood AS mood, \
    5::positive AS domain, ARRAY['ok', 'sad']::mood[] AS moods, 'pg_class'::regclass::oid > 0::oid AS o";

#[test]
fn a_real_server_is_asked_and_nothing_of_it_is_changed() {
    if std::env::var_os("HOMEOSTAT_POSTGRES").is_none() {
        println!("skipped: HOMEOSTAT_POSTGRES=1 asks a real server (apt-get install postgresql)");
        return;
    }
    let cluster = Cluster::start();
    cluster
        .psql(
            "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); \
             CREATE TABLE orders (n int, at timestamptz DEFAULT now(), state text); CREATE SEQUENCE s; \
             INSERT INTO orders (n, state) VALUES (1, 'open'), (2, 'open'), (3, 'done'); \
             CREATE FUNCTION sly() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO orders VALUES (9) RETURNING n'; \
             CREATE TABLE t (n int); \
             SET password_encryption = 'scram-sha-256'; CREATE USER new PASSWORD 'p4ss new';",
        )
        .expect("made");
    let ask = |name: &str, rule: Value| check(name, &cluster, rule);
    let query = |name: &str, query: &str| ask(name, json!({ "query": query }));
    let port = cluster.port;
    let at = |user: &str| format!("postgres://{user}@127.0.0.1:{port}/postgres");
    let host = json!({"host": "localhost", "port": port, "user": "bot", "database": "postgres"});
    let of = seen(
        vec![
            query("values", VALUES),
            ask(
                "args",
                json!({
                    "query": "SELECT n, state, $3::jsonb -> 'a' AS a, $4::text AS t FROM orders WHERE n > $1 AND state = $2 AND at < $5",
                    "args": [1, "open", {"a": [1]}, null, "2100-01-01T00:00:00Z"],
                }),
            ),
            ask(
                "bad_arg",
                json!({"query": "SELECT n FROM orders WHERE n = $1", "args": ["many"]}),
            ),
            ask(
                "sly_arg",
                json!({"query": "SELECT count(*) AS n FROM orders WHERE state = $1", "args": ["' OR true --"]}),
            ),
            query("show", "SHOW transaction_read_only"),
            query("explain", "EXPLAIN SELECT 1"),
            query("nothing", "SELECT n FROM orders WHERE false"),
            query("no_table", "SELECT * FROM nothing"),
            query("syntax", "SELECT 1 AS"),
            query("two", "SELECT 1 AS n; DELETE FROM orders"),
            query(
                "with_insert",
                "WITH x AS (INSERT INTO orders VALUES (9) RETURNING n) SELECT n FROM x",
            ),
            query("next", "SELECT nextval('s') AS n"),
            query("sly", "SELECT sly() AS n"),
            query("into", "SELECT 1 AS n INTO x"),
            query("analyze", "EXPLAIN ANALYZE DELETE FROM orders"),
            query("locks", "SELECT n FROM orders FOR UPDATE"),
            query("money", "SELECT 1::money AS m"),
            query("twice", "SELECT 1 AS n, 2 AS n"),
            ask(
                "long",
                json!({"query": "SELECT a AS n FROM generate_series(1, 10000) AS a, generate_series(1, 10000) AS b, generate_series(1, 100) AS c", "max_rows": 5}),
            ),
            query("large", "SELECT repeat('x', 5000000) AS s"),
            query(
                "many",
                "SELECT repeat('x', 5000) AS s FROM generate_series(1, 1000)",
            ),
            ask(
                "sleep",
                json!({"query": "SELECT pg_sleep(60)", "timeout": "1s"}),
            ),
            ask(
                "stranger",
                json!({"postgres": at("nobody"), "query": "SELECT 1 AS n"}),
            ),
            ask(
                "wrong_password",
                json!({"password": "wrong", "query": "SELECT 1 AS n"}),
            ),
            ask(
                "scram",
                json!({"postgres": at("new"), "password": "p4ss new", "query": "SELECT 1 AS n"}),
            ),
            ask(
                "no_database",
                json!({"postgres": format!("postgres://bot@127.0.0.1:{port}/nowhere"), "query": "SELECT 1 AS n"}),
            ),
            ask(
                "secured",
                json!({
                    "postgres": host, "tls": true, "ca": "data/ca.pem",
                    "query": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
                }),
            ),
            ask(
                "distrusted",
                json!({"postgres": host, "tls": true, "query": "SELECT 1 AS n"}),
            ),
            query(
                "plain",
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            ),
        ],
        &cluster,
    );
    let facts = |name: &str| of(name)["facts"].clone();
    assert_eq!(
        facts("values")["row"],
        json!({
            "b": true, "i2": 1, "i4": -2, "i8": i64::MAX, "f4": 0.1, "f8": 2.5, "nan": "NaN", "n": 12.5,
            "exact": "0.1234567890123456789", "m": -10002.0003, "big": 1e30, "t": "ü", "v": "x",
            "name": "y", "c": "c", "bytes": "AP8=", "jb": {"a": [1, null]}, "j": [true], "nothing": null,
            "tz": "2026-01-06T16:30:00.250Z", "ts": "2026-01-06T16:30:00", "never": "infinity", "d": "2026-01-06",
            "clock": "12:34:56", "span": 86401.5, "u": "00010203-0405-0607-0809-0a0b0c0d0e0f", "ip": "10.1.2.3",
            "net": "10.0.0.0/8", "lsn": "16/B374D848", "list": [1, null, 3], "texts": ["a", "b"], "mood": "sad", "domain": 5,
            "moods": ["ok", "sad"], "o": true,
        }),
        "{}",
        of("values")
    );
    assert_eq!(
        facts("args")["rows"],
        json!([{"n": 2, "state": "open", "a": [1], "t": null}]),
        "{}",
        of("args")
    );
    assert_eq!(facts("sly_arg")["row"], json!({"n": 0}));
    assert_eq!(facts("show")["row"], json!({"transaction_read_only": "on"}));
    assert_eq!(facts("explain")["columns"], json!(["QUERY PLAN"]));
    let nothing = facts("nothing");
    assert_eq!(
        (&nothing["row"], &nothing["count"], &nothing["error"]),
        (&json!(null), &json!(0), &json!(null))
    );
    for (name, said) in [
        ("bad_arg", "(22P02)"),
        ("no_table", "(42P01)"),
        ("syntax", "(42601)"),
        ("two", "(42601)"),
        ("with_insert", "(25006)"),
        ("next", "(25006)"),
        ("sly", "(25006)"),
        ("into", "(25006)"),
        ("analyze", "(25006)"),
        ("locks", "(25006)"),
        ("money", "the column `m`: `money` is not known here"),
        ("twice", "two columns are called `n`"),
        ("large", "the rows are larger than 1 MiB (`max_size`)"),
        ("many", "the rows are larger than 1 MiB (`max_size`)"),
    ] {
        let check = of(name);
        assert_eq!(check["status"], "UNKNOWN", "{check}");
        let error = check["error"].as_str().unwrap_or_default();
        assert!(error.contains(said), "{name}: {check}");
    }
    let long = facts("long");
    assert_eq!(
        (&long["count"], &long["truncated"], &long["row"]),
        (&json!(5), &json!(true), &json!({"n": 1})),
        "{}",
        of("long")
    );
    let took = long["latency_ms"].as_f64().expect("known");
    assert!(took < 10_000.0, "only what is needed is made: {took} ms");
    for (name, said) in [
        (
            "sleep",
            "canceling statement due to statement timeout (57014)",
        ),
        ("stranger", "(28P01)"),
        ("wrong_password", "(28P01)"),
        ("no_database", "(3D000)"),
        ("distrusted", "is not trusted"),
    ] {
        let check = of(name);
        assert_eq!(check["status"], "WARNING", "{check}");
        let facts = &check["facts"];
        let error = facts["error"].as_str().unwrap_or_default();
        assert!(error.contains(said), "{name}: {check}");
        assert_eq!(
            (&facts["sent"], &facts["row"]),
            (&json!(true), &json!(null))
        );
    }
    assert_eq!(facts("scram")["row"], json!({"n": 1}), "{}", of("scram"));
    assert_eq!(
        facts("secured")["row"],
        json!({"ssl": true}),
        "{}",
        of("secured")
    );
    assert_eq!(facts("plain")["row"], json!({"ssl": false}));
    let left = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'homeostat')";
    assert_eq!(cluster.psql(left), Ok("3|0".to_owned()), "nothing runs on");
    let log = cluster.log();
    // `large` and `many` are cut off in the middle of their answers
    let cut_off = log.matches("unexpected EOF").count();
    assert!(cut_off <= 2, "all others are ended as they should: {log}");
}
