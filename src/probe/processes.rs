//! The processes of the machine, as `/proc` tells of them. For the `process` probe and the `signal_process` step.
//!
//! Only what is asked for is read: of each process its `stat`, and its command line or program only to tell whether it is
//! the one. Environments are never read. A process that ends while it is looked at was not there.
//!
//! Times are ticks of the boot clock, of which Linux shows programs 100 a second on every machine this runs on
//! (`USER_HZ`): setting the clock does not touch them.

use std::{
    collections::HashMap,
    fmt, fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use regex::Regex;

use crate::permission::{Denied, Permission};

/// Ticks of the boot clock a second.
pub const TICKS: f64 = 100.0;
/// `PF_KTHREAD`: a thread of the kernel.
const KERNEL: u64 = 0x0020_0000;
/// The kernel keeps so many bytes of a name.
const MOST_NAME: usize = 15;
/// Bytes read of a pid file: whoever writes more on its first line means no number.
const MOST_PID_FILE: u64 = 4096;

/// One process at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// Ticks from boot to its start: with `pid` it names a process for ever.
    pub started: u64,
    /// As the kernel has it: at most 15 bytes, and a program may change it.
    pub name: String,
    /// Ticks of processor time it has had.
    pub ticks: u64,
    pub is_kernel: bool,
    /// It has ended, and only its parent has not asked for it yet.
    pub is_dead: bool,
}

/// Which processes are meant.
#[derive(Clone, Debug)]
pub enum Who {
    /// By the name of the process or of its program file.
    Name(String),
    /// By a pattern somewhere in the command line, its words joined by spaces.
    Line(Regex),
}

/// The rest of a sentence about a process.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Name(name) => write!(f, "is named {name}"),
            Who::Line(pattern) => write!(f, "has a command line like {pattern}"),
        }
    }
}

/// Why a pid file gives no process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    pub why: String,
    /// The file is there, and what it says is wrong.
    pub is_there: bool,
}

/// Where processes are looked up.
#[derive(Clone, Debug)]
pub struct Proc {
    dir: PathBuf,
    /// The engine itself.
    own: i32,
}

impl Default for Proc {
    fn default() -> Proc {
        Proc {
            dir: PathBuf::from("/proc"),
            own: i32::try_from(std::process::id()).unwrap_or(0),
        }
    }
}

impl Proc {
    #[cfg(test)]
    pub fn at(dir: &Path, own: i32) -> Proc {
        Proc {
            dir: dir.to_owned(),
            own,
        }
    }

    fn file(&self, pid: i32, name: &str) -> PathBuf {
        self.dir.join(pid.to_string()).join(name)
    }

    /// Seconds since boot, time asleep included.
    pub fn uptime(&self) -> io::Result<f64> {
        let text = fs::read_to_string(self.dir.join("uptime"))?;
        let first = text.split_whitespace().next();
        first
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| io::Error::other("/proc/uptime holds no number"))
    }

    /// One process; `None` if there is none of that number.
    pub fn one(&self, pid: i32) -> Option<Process> {
        let text = fs::read(self.file(pid, "stat")).ok()?;
        parse(pid, &String::from_utf8_lossy(&text))
    }

    /// Its words; none if it has ended, is a thread of the kernel, or has wiped them.
    pub fn command_line(&self, pid: i32) -> Vec<String> {
        let text = fs::read(self.file(pid, "cmdline")).unwrap_or_default();
        let text = text.strip_suffix(b"\0").unwrap_or(&text);
        if text.is_empty() {
            return Vec::new();
        }
        text.split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    /// Bytes of memory it holds.
    pub fn resident(&self, pid: i32) -> Option<u64> {
        let text = fs::read(self.file(pid, "status")).ok()?;
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let number: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        number.checked_mul(1024)
    }

    /// The user whose rights it has.
    pub fn user(&self, pid: i32) -> Option<u32> {
        let found = fs::metadata(self.dir.join(pid.to_string())).ok()?;
        Some(found.uid())
    }

    /// The living processes that are meant, oldest first. Neither the engine nor what it runs is ever among them, and by
    /// its command line no other process of this program either: `homeostat explain bot` is no bot.
    pub fn find(&self, who: &Who) -> io::Result<Vec<Process>> {
        let mut parents = HashMap::new();
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Some(process) = self.one(pid) else {
                continue;
            };
            parents.insert(pid, process.parent);
            if !process.is_dead && self.is(&process, who) {
                found.push(process);
            }
        }
        found.retain(|process| !self.is_ours(process.pid, &parents));
        found.sort_by_key(|process| (process.started, process.pid));
        Ok(found)
    }

    /// The process that a pid file with this body (`None`: there is no such file) names, if it is alive and the one meant.
    pub fn named_by(
        &self,
        file: &str,
        body: Option<&[u8]>,
        who: Option<&Who>,
    ) -> Result<Process, Stale> {
        let stale = |why: String| Stale {
            why: format!("{file} {why}"),
            is_there: body.is_some(),
        };
        let body = body.ok_or_else(|| stale("is not there".to_owned()))?;
        let pid = pid_in(body).ok_or_else(|| stale("holds no process number".to_owned()))?;
        let Some(process) = self.one(pid) else {
            return Err(stale(format!("names {pid}, which is gone")));
        };
        if process.is_dead {
            return Err(stale(format!("names {pid}, which has ended (a zombie)")));
        }
        match who {
            Some(who) if !self.is(&process, who) => Err(stale(format!(
                "names {pid}, which is {:?} and not one that {who}",
                process.name
            ))),
            _ => Ok(process),
        }
    }

    /// The engine, or what it was started by.
    pub fn is_above(&self, pid: i32) -> bool {
        self.line_of(self.own).contains(&pid)
    }

    /// What the engine started, or what that started.
    pub fn is_below(&self, pid: i32) -> bool {
        self.line_of(pid).contains(&self.own)
    }

    /// A process and its parents, up to the first one.
    fn line_of(&self, pid: i32) -> Vec<i32> {
        let mut line = vec![pid];
        let mut at = pid;
        while let Some(process) = self.one(at)
            && process.parent > 0
            && !line.contains(&process.parent)
        {
            at = process.parent;
            line.push(at);
        }
        line
    }

    /// Whether this process is meant, by its name or its command line.
    pub fn is(&self, process: &Process, who: &Who) -> bool {
        match who {
            Who::Name(name) => {
                process.name == *name || (!process.is_kernel && self.runs(process, name))
            }
            Who::Line(pattern) => {
                let words = self.command_line(process.pid);
                !words.is_empty()
                    && pattern.is_match(&words.join(" "))
                    && !self.is_homeostat(process)
            }
        }
    }

    /// Whether its program file has this name. Not to be told of processes of other users, unless one is root; then the
    /// first word of the command line speaks for it if the kernel's shortened name does too.
    fn runs(&self, process: &Process, name: &str) -> bool {
        match fs::read_link(self.file(process.pid, "exe")) {
            Ok(program) => {
                let program = program.to_string_lossy();
                let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
                Path::new(program)
                    .file_name()
                    .is_some_and(|file| file == name)
            }
            Err(_) => {
                process.name.len() == MOST_NAME
                    && name.starts_with(&process.name)
                    && self.command_line(process.pid).first().is_some_and(|word| {
                        Path::new(word).file_name().is_some_and(|file| file == name)
                    })
            }
        }
    }

    /// Runs the program of this very process.
    fn is_homeostat(&self, process: &Process) -> bool {
        let file = |pid| {
            let found = fs::metadata(self.file(pid, "exe")).ok()?;
            Some((found.dev(), found.ino()))
        };
        file(self.own).is_some_and(|own| file(process.pid) == Some(own))
    }

    /// The engine or a descendant of it.
    fn is_ours(&self, pid: i32, parents: &HashMap<i32, i32>) -> bool {
        let mut at = pid;
        // parents are read one after the other, so they may go in a circle
        for _ in 0..=parents.len() {
            if at == self.own {
                return true;
            }
            match parents.get(&at) {
                Some(parent) => at = *parent,
                None => return false,
            }
        }
        false
    }
}

/// Reads a line of `/proc/PID/stat`. The name stands in brackets and may hold brackets and spaces itself.
fn parse(pid: i32, text: &str) -> Option<Process> {
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // a leader that has ended while other threads of it go on is no dead process
    let threads = number(17)?;
    let is_dead = matches!(*fields.first()?, "Z" | "X" | "x") && threads < 2;
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        started: number(19)?,
        name: name.to_owned(),
        ticks: number(11)?.checked_add(number(12)?)?,
        is_kernel: number(6)? & KERNEL != 0,
        is_dead,
    })
}

/// What stands in a pid file; `None` if there is none.
pub fn pid_file(permission: &Permission, file: &str) -> Result<Option<Vec<u8>>, Denied> {
    let Some(opened) = permission.read(file)? else {
        return Ok(None);
    };
    let mut body = Vec::new();
    opened
        .file
        .take(MOST_PID_FILE)
        .read_to_end(&mut body)
        .map_err(|source| Denied::Io {
            path: file.to_owned(),
            source,
        })?;
    Ok(Some(body))
}

/// The number in a pid file: alone on its first line, above 0.
pub fn pid_in(body: &[u8]) -> Option<i32> {
    let line = body.split(|byte| *byte == b'\n').next()?.trim_ascii();
    if line.is_empty() || !line.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let pid = std::str::from_utf8(line).ok()?.parse().ok()?;
    (pid > 0).then_some(pid)
}

#[cfg(test)]
pub mod testing {
    //! Processes for tests: real ones that are no children of ours, and a `/proc` made of files.

    use std::{
        fs,
        io::Read,
        path::Path,
        process::{Command, Stdio},
    };

    use super::Proc;
    use rustix::process::{Pid, Signal, kill_process};

    use crate::clock::Stopwatch;

    /// A process that is no descendant of the tests; it is killed in the end.
    pub struct Orphan {
        pub pid: i32,
    }

    impl Orphan {
        /// Runs a program; by a link of another name it gets that name.
        pub fn start(program: &Path, arguments: &[&str]) -> Orphan {
            // the shell in between ends at once, and whoever adopts orphans becomes the parent
            let script = r#""$0" "$@" >/dev/null 2>&1 & echo $!"#;
            let mut starter = Command::new("/bin/sh")
                .args(["-c", script])
                .arg(program)
                .args(arguments)
                .stdout(Stdio::piped())
                .spawn()
                .expect("a shell");
            let mut said = String::new();
            let mut output = starter.stdout.take().expect("piped");
            output.read_to_string(&mut said).expect("a number");
            starter.wait().expect("it ends");
            let pid = said.trim().parse().expect("a number");
            // what was forked is the shell still, until it runs the program
            let named = program
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let is_there = || Proc::default().one(pid).is_none_or(|it| it.name == named);
            assert!(becomes(is_there), "{program:?} does not start");
            Orphan { pid }
        }

        /// Sleeps for ten minutes under this name of at most 15 bytes.
        pub fn sleeping(dir: &Path, name: &str) -> Orphan {
            let link = dir.join(name);
            if !link.exists() {
                std::os::unix::fs::symlink("/bin/sleep", &link).expect("a link");
            }
            Orphan::start(&link, &["600"])
        }

        pub fn adopt(pid: i32) -> Orphan {
            Orphan { pid }
        }

        pub fn kill(&self) {
            if let Some(pid) = Pid::from_raw(self.pid) {
                let _ = kill_process(pid, Signal::KILL); // gone is what was wanted
            }
        }

        pub fn is_alive(&self) -> bool {
            Proc::default().one(self.pid).is_some_and(|it| !it.is_dead)
        }
    }

    impl Drop for Orphan {
        fn drop(&mut self) {
            self.kill();
        }
    }

    /// Waits for a state, at most ten seconds.
    pub fn becomes(state: impl Fn() -> bool) -> bool {
        let watch = Stopwatch::new();
        while watch.elapsed().as_secs() < 10 {
            if state() {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    /// Lays a process into a `/proc` made of files.
    pub fn lay(proc: &Path, pid: i32, stat: &str, line: &[&str]) {
        let dir = proc.join(pid.to_string());
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join("stat"), stat).expect("a file");
        let line: String = line.iter().map(|word| format!("{word}\0")).collect();
        fs::write(dir.join("cmdline"), line).expect("a file");
        fs::write(dir.join("status"), "Name:\tx\nVmRSS:\t    2048 kB\n").expect("a file");
    }

    /// A line of `stat` of a process that had `ticks` of processor time.
    pub fn stat(
        pid: i32,
        name: &str,
        state: char,
        parent: i32,
        ticks: u64,
        started: u64,
    ) -> String {
        format!(
            "{pid} ({name}) {state} {parent} 1 1 0 -1 4194304 1 0 0 0 {ticks} 0 9 9 20 0 1 0 {started} 1 1 1\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{Orphan, lay, stat},
        *,
    };

    fn name(name: &str) -> Who {
        Who::Name(name.to_owned())
    }

    fn line(pattern: &str) -> Who {
        Who::Line(Regex::new(pattern).expect("a pattern"))
    }

    fn pids(proc: &Proc, who: &Who) -> Vec<i32> {
        let found = proc.find(who).expect("a /proc");
        found.iter().map(|process| process.pid).collect()
    }

    #[test]
    fn a_line_of_stat_is_read_whatever_the_name() {
        for odd in ["bot", "a) S 1 (b", "(sd-pam)", "with space", ""] {
            let process = parse(7, &stat(7, odd, 'S', 3, 40, 500)).expect("a process");
            assert_eq!(process.name, odd);
            assert_eq!((process.pid, process.parent), (7, 3));
            assert_eq!((process.ticks, process.started), (40, 500));
            assert!(!process.is_dead && !process.is_kernel);
        }
        for broken in ["", "7 (bot", "7 (bot) S 1 2", "7 (bot) S x y z"] {
            assert_eq!(parse(7, broken), None, "{broken}");
        }
    }

    #[test]
    fn the_dead_the_kernel_and_the_engine_itself_do_not_count() {
        let dir = tempfile::tempdir().expect("a directory");
        let proc = Proc::at(dir.path(), 50);
        let lay = |pid, stat: String| lay(dir.path(), pid, &stat, &["/opt/bot", "--fast"]);
        lay(10, stat(10, "bot", 'S', 1, 0, 900));
        lay(11, stat(11, "bot", 'R', 1, 0, 300));
        lay(
            12,
            stat(12, "bot", 'Z', 1, 0, 100).replace(" 20 0 1 ", " 20 0 0 "),
        );
        // its first thread has ended, others go on
        lay(
            13,
            stat(13, "bot", 'Z', 1, 0, 400).replace(" 20 0 1 ", " 20 0 3 "),
        );
        lay(50, stat(50, "bot", 'S', 1, 0, 100)); // the engine
        lay(51, stat(51, "bot", 'S', 50, 0, 100)); // what it runs
        lay(52, stat(52, "bot", 'S', 51, 0, 100)); // and what that one runs
        lay(60, stat(60, "bot", 'S', 61, 0, 990)); // a circle, as it can be read
        lay(61, stat(61, "other", 'S', 60, 0, 990));
        fs::write(dir.path().join("loadavg"), "no process").expect("a file");
        fs::create_dir(dir.path().join("99")).expect("one that has just ended");
        assert_eq!(pids(&proc, &name("bot")), [11, 13, 10, 60], "oldest first");
        assert_eq!(
            pids(&proc, &line("^/opt/bot --fast$")),
            [11, 13, 10, 60, 61]
        );
        assert_eq!(
            pids(&proc, &name("bo")),
            Vec::<i32>::new(),
            "the whole name"
        );
        assert_eq!(pids(&proc, &line("slow")), Vec::<i32>::new());
        let thread = stat(70, "bot", 'S', 2, 0, 1).replace(" 4194304 ", " 2129984 ");
        super::testing::lay(dir.path(), 70, &thread, &[]);
        assert!(proc.one(70).expect("there").is_kernel);
        assert!(
            !pids(&proc, &line("")).contains(&70),
            "it has no command line"
        );
    }

    #[test]
    fn real_ones_by_name_program_and_command_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let orphan = Orphan::sleeping(dir.path(), "hs-by-name");
        let proc = Proc::default();
        assert_eq!(pids(&proc, &name("hs-by-name")), [orphan.pid]);
        assert!(
            pids(&proc, &name("sleep")).contains(&orphan.pid),
            "its program"
        );
        let pattern = format!(
            "^{}/hs-by-name 600$",
            regex::escape(&dir.path().display().to_string())
        );
        assert_eq!(pids(&proc, &line(&pattern)), [orphan.pid]);
        let found = proc.one(orphan.pid).expect("it is there");
        let age = proc.uptime().expect("a number") - found.started as f64 / TICKS;
        assert!((-0.5..60.0).contains(&age), "{age}");
        assert!(proc.resident(orphan.pid).is_some_and(|bytes| bytes > 4096));
        assert_eq!(
            proc.user(orphan.pid),
            Some(rustix::process::geteuid().as_raw())
        );
        orphan.kill();
        assert!(super::testing::becomes(
            || pids(&proc, &name("hs-by-name")).is_empty()
        ));
    }

    #[test]
    fn no_process_of_this_program_is_meant_by_its_command_line() {
        let proc = Proc::default();
        let own = std::env::args().next().expect("a name");
        assert_eq!(pids(&proc, &line(&regex::escape(&own))), Vec::<i32>::new());
        let this = proc.one(proc.own).expect("there");
        assert!(proc.is_homeostat(&this));
        let dir = tempfile::tempdir().expect("a directory");
        let orphan = Orphan::sleeping(dir.path(), "hs-stranger");
        let other = proc.one(orphan.pid).expect("there");
        assert!(!proc.is_homeostat(&other));
        // as if that one were the engine: a second one of its program is no bot either
        let engine = Proc {
            own: orphan.pid,
            ..Proc::default()
        };
        let second = Orphan::sleeping(dir.path(), "hs-second");
        assert!(engine.is_homeostat(&proc.one(second.pid).expect("there")));
        assert!(!pids(&engine, &line("hs-second")).contains(&second.pid));
        assert!(pids(&engine, &name("hs-second")).contains(&second.pid));
    }

    #[test]
    #[ignore = "prints how long it takes"]
    fn two_thousand_processes() {
        let script = "for i in $(seq 2000); do sleep 600 & done; wait";
        let mut shell = std::process::Command::new("/bin/sh")
            .args(["-c", script])
            .spawn()
            .expect("a shell");
        let proc = Proc {
            own: 1 << 30, // nobody's ancestor
            ..Proc::default()
        };
        let all = || pids(&proc, &name("sleep")).len();
        assert!(super::testing::becomes(|| all() >= 2000));
        for who in [name("sleep"), name("hs-none"), line("hs-none")] {
            let watch = crate::clock::Stopwatch::new();
            let count = pids(&proc, &who).len();
            println!("{who:?}: {count} found in {:?}", watch.elapsed());
        }
        for pid in pids(&proc, &name("sleep")) {
            if proc
                .one(pid)
                .is_some_and(|it| Some(it.parent) == i32::try_from(shell.id()).ok())
            {
                Orphan::adopt(pid).kill();
            }
        }
        shell.wait().expect("it ends");
    }

    #[test]
    fn a_pid_file_holds_one_number() {
        for (body, pid) in [
            ("123", Some(123)),
            (" 123 \n", Some(123)),
            ("123\n/var/lib/postgresql\n5432\n", Some(123)),
            ("1", Some(1)),
            ("", None),
            ("\n123", None),
            ("0", None),
            ("-123", None),
            ("+123", None),
            ("12 3", None),
            ("bot", None),
            ("12.5", None),
            ("99999999999999999999", None),
            ("4294967297", None),
            ("\u{ff11}", None),
        ] {
            assert_eq!(pid_in(body.as_bytes()), pid, "{body:?}");
        }
        assert_eq!(pid_in(&[b'1'; 1 << 20]), None);
        assert_eq!(pid_in(b"\xff1"), None);
    }
}
