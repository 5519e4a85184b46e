//! Real monitoring plugins (Debian's `monitoring-plugins-basic`) through the real binary: each in every status it has,
//! with its performance data.
//!
//! Skipped, and said so, where the plugins are not installed; with `HOMEOSTAT_PLUGINS=1` they must be.

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use common::Root;
use serde_json::{Value, json};

const PLUGINS: &str = "/usr/lib/nagios/plugins";

/// What a plugin is asked, and what has to come of it.
struct Case {
    plugin: &'static str,
    arguments: Vec<String>,
    status: &'static str,
    /// A label of its performance data, with its unit.
    perf: Option<(&'static str, &'static str)>,
    /// Thresholds that it writes against the guidelines.
    skipped: u64,
}

fn case(
    plugin: &'static str,
    arguments: &str,
    status: &'static str,
    perf: Option<(&'static str, &'static str)>,
) -> Case {
    Case {
        plugin,
        arguments: arguments.split_whitespace().map(str::to_owned).collect(),
        status,
        perf,
        skipped: 0,
    }
}

fn cases(web: u16) -> Vec<Case> {
    let mut cases = vec![
        case("check_dummy", "0 fine", "OK", None),
        case("check_dummy", "1 so-so", "WARNING", None),
        case("check_dummy", "2 bad", "CRITICAL", None),
        case("check_dummy", "3 fog", "UNKNOWN", None),
        case("check_dummy", "7", "UNKNOWN", None),
        case("check_disk", "-w 0% -c 0% -p /", "OK", Some(("/", "B"))),
        case(
            "check_disk",
            "-w 100% -c 0% -p /",
            "WARNING",
            Some(("/", "B")),
        ),
        case(
            "check_disk",
            "-w 100% -c 100% -p /",
            "CRITICAL",
            Some(("/", "B")),
        ),
        case("check_disk", "", "UNKNOWN", None),
        case(
            "check_load",
            "-w 9999,9999,9999 -c 9999,9999,9999",
            "OK",
            Some(("load1", "")),
        ),
        case(
            "check_load",
            "-w 0,0,0 -c 9999,9999,9999",
            "WARNING",
            Some(("load15", "")),
        ),
        case(
            "check_load",
            "-w 0,0,0 -c 0,0,0",
            "CRITICAL",
            Some(("load5", "")),
        ),
        case("check_load", "", "UNKNOWN", None),
        case(
            "check_procs",
            "-w 1:999999 -c 1:",
            "OK",
            Some(("procs", "")),
        ),
        case(
            "check_procs",
            "-w 999999: -c 1:",
            "WARNING",
            Some(("procs", "")),
        ),
        case(
            "check_procs",
            "-w 1: -c @1:999999",
            "CRITICAL",
            Some(("procs", "")),
        ),
        case("check_procs", "--nonsense", "UNKNOWN", None),
        // it writes the threshold as it was given: the number is there all the same
        Case {
            skipped: 1,
            ..case("check_procs", "-w x", "WARNING", Some(("procs", "")))
        },
        case("check_tcp", "", "UNKNOWN", None),
        case("check_http", "", "UNKNOWN", None),
        case("check_tcp", "-H 127.0.0.1 -p 1", "CRITICAL", None),
    ];
    let tcp = format!("-H 127.0.0.1 -p {web} -4");
    let slow = format!("{tcp} -w 0.0000001 -c 9");
    cases.extend([
        case("check_tcp", &tcp, "OK", Some(("time", "s"))),
        case("check_tcp", &slow, "WARNING", Some(("time", "s"))),
    ]);
    for (path, status) in [("/", "OK"), ("/none", "WARNING"), ("/broken", "CRITICAL")] {
        let arguments = format!("-I 127.0.0.1 -p {web} -u {path}");
        cases.push(case("check_http", &arguments, status, Some(("size", "B"))));
    }
    cases
}

/// Answers every request by its path, on a port of its own.
fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // a client that only connects and leaves is fine
            let _ = answer(stream);
        }
    });
    port
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let status = match request.split(' ').nth(1) {
        Some("/") => "200 OK",
        Some("/broken") => "500 Internal Server Error",
        _ => "404 Not Found",
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    )
}

fn argv(case: &Case) -> Vec<String> {
    let mut argv = vec![format!("{PLUGINS}/{}", case.plugin)];
    argv.extend(case.arguments.iter().cloned());
    argv
}

fn rule(name: &str, case: &Case) -> Value {
    json!({
        "name": name,
        "about": "A plugin says so.",
        "probe": { "command": { "argv": argv(case), "parse": "plugin", "timeout": "20s" } },
        "threshold": { "critical": "state == \"critical\"", "warning": "state == \"warning\"" },
        "message": "${text}",
    })
}

#[test]
fn real_plugins_in_each_of_their_statuses() {
    if !Path::new(PLUGINS).join("check_dummy").exists() {
        assert!(
            std::env::var_os("HOMEOSTAT_PLUGINS").is_none(),
            "there are no plugins in {PLUGINS}"
        );
        println!(
            "skipped: there are no plugins in {PLUGINS} (apt-get install monitoring-plugins-basic)"
        );
        return;
    }
    let cases = cases(serve());
    let root = Root::new();
    let named: Vec<(String, &Case)> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| (format!("{}_{index}", case.plugin), case))
        .collect();
    let rules: Vec<Value> = named.iter().map(|(name, case)| rule(name, case)).collect();
    let allowed: Vec<String> = cases.iter().map(|case| argv(case).join(" ")).collect();
    root.put(
        "rules/plugins.yaml",
        &json!({ "checks": rules }).to_string(),
    );
    root.put(
        "homeostat.yaml",
        &json!({ "allow": { "run": allowed } }).to_string(),
    );
    let output = Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .current_dir(root.path())
        .args(["check", "--json"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(2), "the worst status");
    let checks = report["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), named.len());
    let of = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("{name} is missing"))
    };
    for (name, case) in &named {
        let check = of(name);
        let asked = argv(case).join(" ");
        assert_eq!(check["status"], case.status, "{asked}: {check}");
        let facts = &check["facts"];
        if case.status == "UNKNOWN" {
            let error = check["error"].as_str().unwrap_or_default();
            assert!(error.contains("says it does not know"), "{asked}: {check}");
            continue;
        }
        assert_eq!(check["message"], facts["text"], "{asked}");
        assert_eq!(facts["perf_skipped"], case.skipped, "{asked}: {check}");
        if let Some((label, unit)) = case.perf {
            let item = &facts["perf"][label];
            assert!(item["value"].is_number(), "{asked}: {facts}");
            assert_eq!(item["unit"], unit, "{asked}: {facts}");
        }
    }
    let range = |arguments: &str, label: &str, level: &str| {
        let asked = named
            .iter()
            .find(|(_, case)| case.arguments.join(" ") == arguments);
        let (name, _) = asked.expect("a case");
        of(name)["facts"]["perf"][label][level].clone()
    };
    let from =
        |from: i64, to: Value, inside: bool| json!({"from": from, "to": to, "inside": inside});
    let procs = |arguments, level| range(arguments, "procs", level);
    assert_eq!(
        procs("-w 999999: -c 1:", "crit"),
        from(1, Value::Null, false)
    );
    assert_eq!(
        procs("-w 999999: -c 1:", "warn"),
        from(999_999, Value::Null, false)
    );
    assert_eq!(
        procs("-w 1: -c @1:999999", "crit"),
        from(1, json!(999_999), true)
    );
    assert_eq!(
        range("-w 0,0,0 -c 9999,9999,9999", "load1", "crit")["to"],
        json!(9999.0)
    );
}
