//! `host`: the machine as a whole: load, processor, memory, disks.
//!
//! Memory and load are read from `/proc`, disks with `statvfs` as `df` has them. Any absolute path may be asked for the
//! size of its file system: that tells nothing of what is in it, so `allow.read` is not needed. A disk that does not
//! answer holds up this look and no other.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::future::BoxFuture;
use rustix::fs::{
    AtFlags, CWD, StatVfs, StatVfsMountFlags, StatxAttributes, StatxFlags, statvfs, statx,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Eyes, Kind, Probe, ProbeError, Workshop, apart::Apart, path::Filled, processes::TICKS,
    usage::Usage,
};
use crate::model::{
    facts::Facts,
    node::{Node, decode},
    text::{Mistake, Text},
};

pub static KIND: Kind = Kind {
    name: "host",
    about: "the machine: load, processor, memory, disks",
    example: "probe: { host: { disks: [/, /var] } }",
    facts: &[
        (
            "load",
            "number",
            "processes that run or want to, on average over 1 minute",
        ),
        ("load5", "number", "over 5 minutes"),
        ("load15", "number", "over 15 minutes"),
        ("cpus", "number", "processors"),
        ("load_per_cpu", "number", "`load` / `cpus`"),
        (
            "cpu_pct",
            "percent or ()",
            "of all processors, neither idle nor waiting for disks, since the look before (at least 1 s ago; at the first \
             look over a quarter of a second)",
        ),
        ("mem_total_mb", "MiB", "memory"),
        (
            "mem_free_mb",
            "MiB",
            "memory that programs can get without swapping (MemAvailable)",
        ),
        ("mem_free_pct", "percent", "the same of all memory"),
        ("swap_total_mb", "MiB", "swap space; 0 where there is none"),
        ("swap_free_mb", "MiB", "what is free of it"),
        ("processes", "number", "processes and threads"),
        ("files_open", "number", "open files of the whole machine"),
        ("files_max", "number", "how many there may be"),
        ("uptime_s", "seconds", "since boot, time asleep included"),
        ("boot_id", "text", "another one after each boot"),
        (
            "disk",
            "map",
            "the file system of the root directory of homeostat: `total_mb`, `free_mb` (for programs that are not root's), \
             `free_pct` and `used_pct` (as `df` has them), `inodes_free_pct` (() where there is no limit), `read_only`, \
             `mounted` (the path itself is a mount point)",
        ),
        ("disks", "map", "the same of each path of `disks`"),
    ],
    schema: Rule::json_schema,
    build,
};

/// The machine as a whole.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Absolute paths whose file systems are looked at besides that of the root directory.
    #[serde(default)]
    disks: Vec<Text>,
}

const MOST_DISKS: usize = 100;
const MIB: f64 = (1 << 20) as f64;

struct HostProbe {
    disks: Vec<Filled>,
    proc: PathBuf,
    apart: Apart,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    let mut disks = Vec::new();
    for text in &rule.disks {
        let Some(filled) = Filled::build(text, workshop) else {
            continue;
        };
        if let Some(Err(wrong)) = filled.plain().map(usable) {
            workshop
                .mistakes
                .push(Mistake::new("bad-value", wrong, text.place()));
        }
        disks.push(filled);
    }
    if rule.disks.len() > MOST_DISKS {
        let place = node.get("disks").map_or(&node.place, |disks| &disks.place);
        let wrong = format!("at most {MOST_DISKS} disks");
        workshop
            .mistakes
            .push(Mistake::new("bad-value", wrong, place.clone()));
    }
    (workshop.mistakes.len() == before).then(|| {
        Arc::new(HostProbe {
            disks,
            proc: PathBuf::from("/proc"),
            apart: Apart::default(),
        }) as Arc<dyn Probe>
    })
}

fn usable(path: &str) -> Result<(), String> {
    if path.contains('\0') || !Path::new(path).is_absolute() {
        return Err(format!("{path:?} is no absolute path"));
    }
    Ok(())
}

impl Probe for HostProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(self.look(eyes))
    }

    fn shape(&self) -> Facts {
        let disk = json!({
            "total_mb": 40960.0, "free_mb": 20480.0, "free_pct": 50.0, "used_pct": 50.0,
            "inodes_free_pct": null, "read_only": false, "mounted": true,
        });
        let named = self.disks.iter().filter_map(Filled::plain);
        // with templates it is not known yet which there will be: an empty map stands for any
        let is_known = self.disks.iter().all(|disk| disk.plain().is_some());
        let disks: Map<String, Value> = named
            .filter(|_| is_known)
            .map(|path| (path.to_owned(), disk.clone()))
            .collect();
        Machine::default().facts(Some(3.5), disk, disks)
    }
}

impl HostProbe {
    async fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let mut paths = Vec::new();
        for disk in &self.disks {
            let path = disk.at(eyes)?.into_owned();
            usable(&path).map_err(ProbeError)?;
            paths.push(path);
        }
        let (proc, root) = (self.proc.clone(), eyes.permission.root().to_owned());
        let looking = self.apart.look(move || {
            let machine = Machine::look(&proc)?;
            let disk = disk(&root)?;
            let mut disks = Map::new();
            for path in paths {
                let found = self::disk(Path::new(&path))?;
                disks.insert(path, found);
            }
            Ok((machine, disk, disks))
        });
        let (machine, disk, disks) = looking.await?;
        let proc = self.proc.clone();
        let again = || self.apart.look(move || Ok(Machine::look(&proc)?.usage));
        let usages = &eyes.tails.usages;
        let ticks = TICKS * machine.cpus.max(1) as f64;
        let usage = machine.usage.clone();
        let cpu_pct = usages
            .share("host", usage, ticks, eyes.limit, again)
            .await?;
        Ok(machine.facts(cpu_pct, disk, disks))
    }
}

/// The file system that a path lies on.
fn disk(path: &Path) -> Result<Value, ProbeError> {
    let failed = |error| {
        ProbeError(format!(
            "could not look at the disk of {}: {error}",
            path.display()
        ))
    };
    let found = statvfs(path).map_err(failed)?;
    let about = statx(CWD, path, AtFlags::empty(), StatxFlags::empty()).map_err(failed)?;
    let mounted = about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok(sizes(&found, mounted))
}

/// As `df` has them: what only root may use is not free, and not used either.
fn sizes(found: &StatVfs, mounted: bool) -> Value {
    let mib = |blocks: u64| blocks as f64 * found.f_frsize as f64 / MIB;
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    let share = |part: u64, rest: u64| match part as f64 + rest as f64 {
        0.0 => None, // a file system without size, like /proc
        all => Some(100.0 * part as f64 / all),
    };
    let inodes_used = found.f_files.saturating_sub(found.f_ffree);
    json!({
        "total_mb": mib(found.f_blocks),
        "free_mb": mib(found.f_bavail),
        "free_pct": share(found.f_bavail, used),
        "used_pct": share(used, found.f_bavail),
        "inodes_free_pct": share(found.f_ffree, inodes_used),
        "read_only": found.f_flag.contains(StatVfsMountFlags::RDONLY),
        "mounted": mounted,
    })
}

/// What `/proc` tells of the machine.
#[derive(Clone, Debug, Default)]
struct Machine {
    loads: [f64; 3],
    cpus: usize,
    usage: Usage,
    /// Bytes.
    memory: u64,
    memory_free: u64,
    swap: u64,
    swap_free: u64,
    processes: u64,
    files_open: u64,
    files_max: u64,
    uptime: f64,
    boot_id: String,
}

/// Takes what one file of `/proc` says; `None` if it is not as expected.
type Part = fn(Machine, &str) -> Option<Machine>;

impl Machine {
    fn look(proc: &Path) -> Result<Machine, ProbeError> {
        let read = |name: &str| {
            let path = proc.join(name);
            fs::read_to_string(&path).map_err(|error| odd(&path, &error))
        };
        let part = |name: &str, found: Option<Machine>| {
            let error = io::Error::other("it is not as expected");
            found.ok_or_else(|| odd(&proc.join(name), &error))
        };
        let mut machine = Machine::default();
        let parts: [(&str, Part); 5] = [
            ("uptime", Machine::uptime),
            ("loadavg", Machine::loads),
            ("stat", Machine::processors),
            ("meminfo", Machine::memory),
            ("sys/fs/file-nr", Machine::files),
        ];
        for (name, take) in parts {
            machine = part(name, take(machine, &read(name)?))?;
        }
        machine.boot_id = read("sys/kernel/random/boot_id")?.trim().to_owned();
        Ok(machine)
    }

    fn uptime(mut self, text: &str) -> Option<Machine> {
        self.uptime = text.split_whitespace().next()?.parse().ok()?;
        self.usage.at = self.uptime;
        Some(self)
    }

    /// `0.20 0.18 0.12 1/80 11206`
    fn loads(mut self, text: &str) -> Option<Machine> {
        let mut words = text.split_whitespace();
        for load in &mut self.loads {
            *load = words.next()?.parse().ok()?;
        }
        let (_, all) = words.next()?.split_once('/')?;
        self.processes = all.parse().ok()?;
        Some(self)
    }

    /// `cpu user nice system idle iowait irq softirq steal guest guest_nice`, in ticks; guests are in user already.
    fn processors(mut self, text: &str) -> Option<Machine> {
        let first = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks = first.split_whitespace().take(8).map(str::parse);
        let ticks: Vec<u64> = ticks.collect::<Result<_, _>>().ok()?;
        let all: u64 = ticks.iter().sum();
        let idle = ticks.get(3)? + ticks.get(4).copied().unwrap_or(0);
        self.usage.there = all;
        self.usage.used.insert((0, 0), all.saturating_sub(idle));
        let one = |line: &&str| {
            let number = line.strip_prefix("cpu");
            number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        self.cpus = text.lines().filter(one).count();
        (self.cpus > 0).then_some(self)
    }

    fn memory(mut self, text: &str) -> Option<Machine> {
        let bytes = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            number.checked_mul(1024)
        };
        self.memory = bytes("MemTotal").filter(|all| *all > 0)?;
        self.memory_free = bytes("MemAvailable")?;
        self.swap = bytes("SwapTotal").unwrap_or(0);
        self.swap_free = bytes("SwapFree").unwrap_or(0);
        Some(self)
    }

    /// `open unused most`
    fn files(mut self, text: &str) -> Option<Machine> {
        let mut words = text.split_whitespace();
        let open: u64 = words.next()?.parse().ok()?;
        self.files_open = open.saturating_sub(words.next()?.parse().ok()?);
        self.files_max = words.next()?.parse().ok()?;
        Some(self)
    }

    fn facts(&self, cpu_pct: Option<f64>, disk: Value, disks: Map<String, Value>) -> Facts {
        let [load, load5, load15] = self.loads;
        let mib = |bytes: u64| bytes as f64 / MIB;
        Facts::new()
            .with("load", load)
            .with("load5", load5)
            .with("load15", load15)
            .with("cpus", self.cpus)
            .with("load_per_cpu", load / self.cpus.max(1) as f64)
            .with("cpu_pct", cpu_pct)
            .with("mem_total_mb", mib(self.memory))
            .with("mem_free_mb", mib(self.memory_free))
            .with(
                "mem_free_pct",
                100.0 * self.memory_free as f64 / self.memory.max(1) as f64,
            )
            .with("swap_total_mb", mib(self.swap))
            .with("swap_free_mb", mib(self.swap_free))
            .with("processes", self.processes)
            .with("files_open", self.files_open)
            .with("files_max", self.files_max)
            .with("uptime_s", self.uptime)
            .with("boot_id", self.boot_id.as_str())
            .with("disk", disk)
            .with("disks", disks)
    }
}

fn odd(path: &Path, error: &io::Error) -> ProbeError {
    ProbeError(format!("could not read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Bench, *};

    /// A `/proc` as it was on some machine.
    fn lay(dir: &Path) {
        for (name, text) in [
            ("uptime", "1000.50 900.00\n"),
            ("loadavg", "3.00 1.50 0.25 2/412 9999\n"),
            (
                "stat",
                "cpu  1000 10 500 8000 300 5 15 170 900 10\ncpu0 1 2 3 4 5\ncpu1 1 2 3 4 5\nintr 5\ncpufreq 3\n",
            ),
            (
                "meminfo",
                "MemTotal:        4096000 kB\nMemFree:          100000 kB\nMemAvailable:    1024000 kB\n\
                 SwapCached:            0 kB\nSwapTotal:       2048000 kB\nSwapFree:        1024000 kB\n",
            ),
            ("sys/fs/file-nr", "1531\t31\t200000\n"),
            ("sys/kernel/random/boot_id", "92ac61bd-30ff\n"),
        ] {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
    }

    fn look(bench: &Bench, proc: &Path) -> Result<Value, String> {
        let probe = HostProbe {
            disks: Vec::new(),
            proc: proc.to_owned(),
            apart: Apart::default(),
        };
        bench.look_with(&probe)
    }

    #[test]
    fn reads_what_proc_tells() {
        let (bench, dir) = (Bench::new(), tempfile::tempdir().expect("a directory"));
        lay(dir.path());
        look(&bench, dir.path()).expect("seen");
        fs::write(dir.path().join("uptime"), "1010.50 900.00\n").expect("a file");
        let later = "cpu  1100 10 600 9500 400 5 15 370 900 10\ncpu0 1\ncpu1 1\n";
        fs::write(dir.path().join("stat"), later).expect("a file");
        let seen = look(&bench, dir.path()).expect("seen");
        for (fact, expected) in [
            ("load", json!(3.0)),
            ("load5", json!(1.5)),
            ("load15", json!(0.25)),
            ("cpus", json!(2)),
            ("load_per_cpu", json!(1.5)),
            ("cpu_pct", json!(20.0)), // 100 + 100 + 200 stolen of 2000
            ("mem_total_mb", json!(4000.0)),
            ("mem_free_mb", json!(1000.0)),
            ("mem_free_pct", json!(25.0)),
            ("swap_total_mb", json!(2000.0)),
            ("swap_free_mb", json!(1000.0)),
            ("processes", json!(412)),
            ("files_open", json!(1500)),
            ("files_max", json!(200_000)),
            ("uptime_s", json!(1010.5)),
            ("boot_id", json!("92ac61bd-30ff")),
        ] {
            assert_eq!(seen[fact], expected, "{fact}");
        }
    }

    #[test]
    fn sees_this_machine_and_its_disks() {
        let bench = Bench::new();
        let rule = json!({"disks": ["/", "/proc", "${\"/tmp\"}"]});
        let seen = bench.look(&KIND, rule).expect("seen");
        assert!(
            seen["cpu_pct"]
                .as_f64()
                .is_some_and(|share| (0.0..=100.5).contains(&share))
        );
        assert!(seen["mem_free_mb"].as_f64() < seen["mem_total_mb"].as_f64());
        assert!(seen["uptime_s"].as_f64() > Some(0.0));
        for disk in [&seen["disk"], &seen["disks"]["/"], &seen["disks"]["/tmp"]] {
            let number = |name: &str| disk[name].as_f64().expect("a number");
            assert!(number("total_mb") > number("free_mb"));
            assert!((number("free_pct") + number("used_pct") - 100.0).abs() < 1e-9);
            assert_eq!(disk["read_only"], json!(false));
        }
        assert_eq!(seen["disks"]["/"]["mounted"], json!(true));
        assert_eq!(seen["disks"]["/proc"]["mounted"], json!(true));
        assert_eq!(
            seen["disks"]["/proc"]["free_pct"],
            json!(null),
            "it has no size"
        );
        assert_eq!(seen["disk"]["mounted"], json!(false), "a plain directory");
    }

    #[test]
    fn sizes_are_as_df_has_them() {
        let mut found = statvfs("/").expect("a disk");
        found.f_frsize = 4096;
        (found.f_blocks, found.f_bfree, found.f_bavail) = (1000 * 256, 400 * 256, 200 * 256);
        (found.f_files, found.f_ffree) = (100, 25);
        found.f_flag = StatVfsMountFlags::RDONLY;
        let disk = sizes(&found, true);
        assert_eq!(
            disk,
            json!({"total_mb": 1000.0, "free_mb": 200.0, "free_pct": 25.0, "used_pct": 75.0,
                "inodes_free_pct": 25.0, "read_only": true, "mounted": true})
        );
        found.f_files = 0;
        found.f_ffree = 0;
        assert_eq!(sizes(&found, true)["inodes_free_pct"], json!(null));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let bench = Bench::new();
        let gone = bench.look(&KIND, json!({"disks": ["/no/such/disk"]}));
        let gone = gone.expect_err("not there");
        assert!(
            gone.starts_with("could not look at the disk of /no/such/disk: "),
            "{gone}"
        );
        for name in ["uptime", "loadavg", "stat", "meminfo", "sys/fs/file-nr"] {
            for text in ["", "x", "cpu  x", "1 2 3", "MemTotal: many kB"] {
                let dir = tempfile::tempdir().expect("a directory");
                lay(dir.path());
                fs::write(dir.path().join(name), text).expect("a file");
                if text == "1 2 3" && ["uptime", "sys/fs/file-nr"].contains(&name) {
                    continue; // as it should be
                }
                let error = look(&bench, dir.path()).expect_err(name);
                assert!(
                    error.ends_with(&format!("{name}: it is not as expected")),
                    "{error}"
                );
            }
        }
        let nowhere = look(&bench, Path::new("/nowhere")).expect_err("no /proc");
        assert!(
            nowhere.starts_with("could not read /nowhere/uptime: "),
            "{nowhere}"
        );
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({}), &[][..]),
            (json!({"disks": ["var"]}), &["bad-value"]),
            (json!({"disks": ["/", ""]}), &["bad-value"]),
            (json!({"disks": "/"}), &["wrong-type"]),
            (json!({"disk": ["/"]}), &["unknown-key"]),
            (json!({"disks": vec!["/"; 101]}), &["bad-value"]),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
        let later = bench.look(&KIND, json!({"disks": ["${vars.name}"]}));
        assert_eq!(later, Err("\"x\" is no absolute path".to_owned()));
    }
}
