//! The machine through the real binary: a real process is found, signalled and proven gone; what may not be signalled is not.

mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Child, Command, Stdio},
};

use common::Root;
use serde_json::Value;

const RULES: &str = r#"
checks:
  - name: runaway
    about: Nobody runs away.
    probe: { process: { name: hs-runaway, pid_file: state/runaway.pid } }
    threshold: { critical: running }
    message: '${if running { `${pids.len()} run since ${uptime_s.fixed(0)} s` } else { reason }}'
    remediation:
      - signal_process: { name: hs-runaway, pid_file: state/runaway.pid, within: 10s }
  - name: machine
    about: The machine is well.
    probe: { host: { disks: [/] } }
    threshold:
      critical: disk.free_pct < 0 || disks["/"].used_pct > 100 || mem_free_mb > mem_total_mb
      warning: load < 0 || cpu_pct < 0 || uptime_s <= 0
    message: '${disks.len()} disk, ${cpus > 0}'
"#;

/// A process that sleeps under the name of the rules; it is killed in the end.
struct Runaway(Child);

impl Runaway {
    fn start(root: &Root) -> Runaway {
        let link = root.at("hs-runaway");
        if !link.exists() {
            symlink("/bin/sleep", &link).expect("a link");
        }
        let child = Command::new(&link)
            .arg("600")
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        fs::write(root.at("state/runaway.pid"), format!("{}\n", child.id())).expect("a file");
        Runaway(child)
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_none()
    }
}

impl Drop for Runaway {
    fn drop(&mut self) {
        let _ = self.0.kill(); // gone is what is wanted
        let _ = self.0.wait();
    }
}

/// A root where this program, with one argument, may be signalled.
fn root(program: impl FnOnce(&Root) -> String) -> Root {
    let root = Root::new();
    root.put("rules/machine.yaml", RULES);
    let allowed = format!("allow: {{ signal: [\"{} *\"] }}\n", program(&root));
    root.put("homeostat.yaml", &allowed);
    root
}

fn said(root: &Root, line: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .current_dir(root.path())
        .args(line.split(' '))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{errors}"))
}

#[test]
fn a_process_is_found_signalled_and_proven_gone() {
    let root = root(|root| root.at("hs-runaway").display().to_string());
    let mut runaway = Runaway::start(&root);
    let would = said(&root, "dry-run --json runaway");
    let step = &would["checks"][0]["remediation"]["steps"][0];
    assert_eq!(
        (&step["kind"], &step["outcome"]),
        (&"signal_process".into(), &"would".into()),
        "{would}"
    );
    let detail = step["detail"].as_str().expect("a text");
    assert!(
        detail.starts_with(&format!("would send TERM to {} (", runaway.0.id())),
        "{detail}"
    );
    assert!(runaway.is_alive(), "a dry run sends nothing");
    let done = said(&root, "check --json");
    let of = |name: &str| {
        let checks = done["checks"].as_array().expect("checks");
        checks
            .iter()
            .find(|check| check["name"] == name)
            .expect("a check")
    };
    let check = of("runaway");
    assert_eq!(
        (&check["status"], &check["before"]["status"]),
        (&"OK".into(), &"CRITICAL".into()),
        "{check}"
    );
    assert_eq!(check["remediation"]["verified"], true, "{check}");
    assert!(!runaway.is_alive());
    assert_eq!(
        (&of("machine")["status"], &of("machine")["message"]),
        (&"OK".into(), &"1 disk, true".into())
    );
}

#[test]
fn what_homeostat_yaml_does_not_name_is_held() {
    let root = root(|_| "/opt/other".to_owned());
    let mut runaway = Runaway::start(&root);
    let held = said(&root, "check --json runaway");
    let check = &held["checks"][0];
    assert_eq!(check["status"], "CRITICAL", "{check}");
    assert_eq!(check["remediation"]["held_by"], "permission", "{check}");
    assert!(runaway.is_alive());
}
