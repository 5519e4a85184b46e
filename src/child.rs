//! Child processes: a clean environment, no input but what is given, the root as working directory, a time limit and an output limit; at
//! the end the whole group is killed, and what escaped it by `setsid` too.
//!
//! Every child carries its own marker in the environment, which its descendants inherit: by it those are found that left
//! the group. Each is killed through a pidfd that was opened before its marker was read again, so never a process that
//! merely got the number of one that is gone. The leader is reaped last, for its number names the group. Dropping the
//! future (the engine's own deadline) kills just as well. A descendant that was started with an emptied environment **and**
//! left the group is not found.
//!
//! There are at most [`MOST`] children at a time; others wait for their turn, within their own time limit. A program that
//! ends waits with [`all_gone`] for what is being killed.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::Stdio,
    sync::{
        Condvar, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest, unix::AsyncFd},
    process::{Child, Command},
    sync::Semaphore,
    time::timeout,
};
use tracing::warn;

use crate::clock::Stopwatch;

/// A program to run. No shell is ever involved.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Absolute program, then its arguments.
    pub argv: Vec<String>,
    /// Beside `PATH`, `LANG`, `HOME` and the marker: nothing of the engine's own environment.
    pub env: Vec<(String, String)>,
    pub dir: PathBuf,
    pub timeout: Duration,
    /// Bytes kept of each stream; the rest is read and dropped.
    pub most_output: usize,
    /// What it reads on its standard input; `None`: nothing is there.
    pub input: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub struct Finished {
    /// `None` when it was ended by a signal or by the time limit.
    pub exit: Option<i32>,
    /// What is no UTF-8 in it is replaced.
    pub stdout: String,
    pub stderr: String,
    /// A stream had more than was kept.
    pub cut: bool,
    pub timed_out: bool,
    pub duration: Duration,
}

/// Every child carries `HOMEOSTAT_CHILD=<engine>-<number>` in its environment: by it escaped descendants are found.
pub const MARKER: &str = "HOMEOSTAT_CHILD";
/// Where children look for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Children at a time: each holds four file descriptors, and many programs may run with 1024.
pub const MOST: usize = 128;
static TURNS: Semaphore = Semaphore::const_new(MOST);

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_millis(500);
/// How long what is left in the pipes is read once everything was killed.
const DRAIN: Duration = Duration::from_millis(500);
/// How long killed processes are waited for.
const SWEEP: Duration = Duration::from_secs(2);
/// Bytes looked at in a process's environment.
const MOST_ENVIRONMENT: u64 = 8 << 20;

/// Runs it to its end or to the time limit. An error only if it could not be started, also because its turn did not come
/// in time.
pub async fn run(errand: &Errand) -> io::Result<Finished> {
    run_marked(errand, next_marker(), &TURNS).await
}

async fn run_marked(errand: &Errand, marker: String, turns: &Semaphore) -> io::Result<Finished> {
    let waited = Stopwatch::new();
    let Ok(Ok(_turn)) = timeout(errand.timeout, turns.acquire()).await else {
        let full = format!("as many programs as may ({MOST}) ran all the time");
        return Err(io::Error::new(io::ErrorKind::TimedOut, full));
    };
    let left = errand.timeout.saturating_sub(waited.elapsed());
    let watch = Stopwatch::new();
    let mut running = Running::start(errand, marker)?;
    let timed_out = timeout(left, running.leader_ends()).await.is_err();
    if timed_out {
        running.guard.signal(Signal::TERM);
        // whether it ended by itself or not makes no difference now
        let _ = timeout(GRACE, running.leader_ends()).await;
    }
    let exit = running.end().await;
    Ok(Finished {
        exit: if timed_out { None } else { exit },
        cut: running.stdout.cut || running.stderr.cut,
        stdout: running.stdout.text(),
        stderr: running.stderr.text(),
        timed_out,
        duration: watch.elapsed(),
    })
}

/// Unique over all engines: the process number, a random number of this process, and a count.
fn next_marker() -> String {
    use std::hash::{BuildHasher, RandomState};
    static RANDOM: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("engine"));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}.{:016x}-{count}", std::process::id(), *RANDOM)
}

struct Running {
    /// Before `child`, so dropped before it: the group is killed while its number is still taken.
    guard: Guard,
    child: Child,
    /// Readable once the leader has ended, which leaves it unreaped.
    ended: AsyncFd<OwnedFd>,
    stdout: Stream<tokio::process::ChildStdout>,
    stderr: Stream<tokio::process::ChildStderr>,
}

impl Running {
    fn start(errand: &Errand, marker: String) -> io::Result<Running> {
        let (program, arguments) = errand.argv.split_first().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "there is no program to run")
        })?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .env(
                "HOME",
                std::env::var_os("HOME").unwrap_or_else(|| "/".into()),
            )
            .envs(errand.env.iter().map(|(name, value)| (name, value)))
            .env(MARKER, &marker)
            .current_dir(&errand.dir)
            .stdin(match errand.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(id as i32));
        let guard = Guard {
            group: leader,
            marker,
            living: Some(Living::new()),
        };
        let leader = leader.ok_or_else(|| io::Error::other("the child has no number"))?;
        let ended = pidfd_open(leader, PidfdFlags::empty())?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that give another descriptor each time; an OwnedFd does not"
        )]
        let ended = AsyncFd::with_interest(ended, Interest::READABLE)?;
        if let (Some(input), Some(mut stdin)) = (errand.input.clone(), child.stdin.take()) {
            // Whoever does not read all of it may end all the same; its end closes the pipe.
            tokio::spawn(async move {
                let _ = stdin.write_all(&input).await;
            });
        }
        Ok(Running {
            guard,
            ended,
            stdout: Stream::new(child.stdout.take(), errand.most_output),
            stderr: Stream::new(child.stderr.take(), errand.most_output),
            child,
        })
    }

    /// Reads both streams until the leader has ended.
    async fn leader_ends(&mut self) {
        let reading = async {
            futures::join!(self.stdout.fill(), self.stderr.fill());
            std::future::pending::<()>().await
        };
        tokio::select! {
            _ = self.ended.readable() => {}
            () = reading => {}
        }
    }

    /// Kills what is left of the group and what escaped it, reads what they left in the pipes, and reaps the leader.
    async fn end(&mut self) -> Option<i32> {
        self.guard.signal(Signal::KILL);
        let marker = self.guard.marker.clone();
        let sweeping = tokio::task::spawn_blocking(move || sweep(&marker));
        let reading = async { futures::join!(self.stdout.fill(), self.stderr.fill()) };
        let (swept, _) = futures::join!(sweeping, timeout(DRAIN, reading));
        let exit = match timeout(SWEEP, self.child.wait()).await {
            Ok(Ok(status)) => status.code(),
            _ => {
                warn!(marker = %self.guard.marker, "a killed child does not end");
                None
            }
        };
        self.guard.group = None;
        if swept.is_ok() {
            self.guard.living = None;
        } // else the runtime is ending: leave it to the guard
        exit
    }
}

/// Kills the group and what escaped it, unless that was done.
struct Guard {
    /// `None` once the leader is reaped: its number may mean somebody else.
    group: Option<Pid>,
    marker: String,
    /// `None` once everything was killed.
    living: Option<Living>,
}

impl Guard {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // nobody left in it is what was wanted
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(living) = self.living.take() else {
            return;
        };
        self.signal(Signal::KILL);
        let marker = std::mem::take(&mut self.marker);
        let name = "sweep".to_owned();
        // a thread and not a task: the runtime may be what is ending
        if let Err(error) = std::thread::Builder::new().name(name).spawn(move || {
            sweep(&marker);
            drop(living);
        }) {
            warn!(%error, "could not look for escaped children");
        }
    }
}

/// Children that may have left something that lives.
static LIVING: Mutex<usize> = Mutex::new(0);
static GONE: Condvar = Condvar::new();

/// Counts among [`LIVING`] as long as it is kept.
struct Living;

impl Living {
    fn new() -> Living {
        *LIVING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Living
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        *LIVING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        GONE.notify_all();
    }
}

/// Blocks until no child of this process is there and what was killed is gone, at most so long. Returns whether that is
/// so. For the end of the process: until then nobody else kills what escaped its group.
pub fn all_gone(within: Duration) -> bool {
    let living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
    match GONE.wait_timeout_while(living, within, |living| *living > 0) {
        Ok((living, _)) => *living == 0,
        Err(_) => false,
    }
}

/// One output of a child, kept up to a limit. Reading can be given up at any time without losing what was read.
struct Stream<R> {
    from: Option<R>,
    kept: Vec<u8>,
    most: usize,
    cut: bool,
}

impl<R: AsyncRead + Unpin> Stream<R> {
    fn new(from: Option<R>, most: usize) -> Stream<R> {
        Stream {
            from,
            kept: Vec::new(),
            most,
            cut: false,
        }
    }

    /// Reads to the end.
    async fn fill(&mut self) {
        let Some(from) = &mut self.from else { return };
        let mut chunk = [0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let room = self.most.saturating_sub(self.kept.len());
            self.kept.extend(chunk.iter().take(count.min(room)));
            self.cut |= count > room;
        }
        self.from = None;
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

/// Kills every process that carries this marker until none is left; gives up after [`SWEEP`].
fn sweep(marker: &str) {
    let watch = Stopwatch::new();
    loop {
        let killed = carriers(marker);
        if killed.is_empty() {
            return;
        }
        for carrier in &killed {
            // already gone is what was wanted
            let _ = pidfd_send_signal(carrier, Signal::KILL);
        }
        for carrier in &killed {
            let left = SWEEP.saturating_sub(watch.elapsed());
            let within = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            };
            // interrupted or not: the next round looks again
            let _ = poll(&mut [PollFd::new(carrier, PollFlags::IN)], Some(&within));
        }
        if watch.elapsed() >= SWEEP {
            warn!(
                marker,
                left = killed.len(),
                "could not kill what a child left behind"
            );
            return;
        }
    }
}

/// Handles of all living processes with this marker.
fn carriers(marker: &str) -> Vec<OwnedFd> {
    let wanted = format!("{MARKER}={marker}");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter_map(|pid| {
            if !carries(pid, wanted.as_bytes()) {
                return None;
            }
            let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            // the number may have changed hands between looking and opening
            carries(pid, wanted.as_bytes()).then_some(handle)
        })
        .collect()
}

/// Whether a process was started with this entry in its environment. Not of one that has ended or may not be looked at.
fn carries(pid: Pid, wanted: &[u8]) -> bool {
    use io::Read;
    let mut environment = Vec::new();
    fs::File::open(format!("/proc/{}/environ", pid.as_raw_nonzero()))
        .and_then(|file| file.take(MOST_ENVIRONMENT).read_to_end(&mut environment))
        .is_ok_and(|_| {
            environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == wanted)
        })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clock;

    fn shell(dir: &Path, script: &str, timeout: u64) -> Errand {
        Errand {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec![("GREETING".to_owned(), "hello".to_owned())],
            dir: dir.to_owned(),
            timeout: Duration::from_millis(timeout),
            most_output: 1000,
            input: None,
        }
    }

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    /// Waits for a state, at most two seconds.
    async fn becomes(state: impl Fn() -> bool) -> bool {
        let watch = Stopwatch::new();
        while watch.elapsed() < Duration::from_secs(2) {
            if state() {
                return true;
            }
            clock::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    fn is_alive(pid_file: &Path) -> bool {
        let pid = fs::read_to_string(pid_file).expect("a pid file");
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !(stat.is_empty() || stat.contains(") Z "))
    }

    /// Forks, ignores SIGTERM and leaves the group.
    const ESCAPE: &str = r#"trap "" TERM
        setsid /bin/sh -c 'trap "" TERM; echo $$ > escaped; while :; do sleep 1; done' &
        while [ ! -s escaped ]; do sleep 0.01; done"#;

    #[tokio::test]
    async fn gives_exit_and_both_streams() {
        let dir = dir();
        let done = run(&shell(
            dir.path(),
            "echo out; echo err >&2; pwd; cat; exit 3",
            5000,
        ))
        .await
        .expect("started");
        let pwd = dir.path().canonicalize().expect("real");
        assert_eq!(done.exit, Some(3));
        assert_eq!(done.stdout, format!("out\n{}\n", pwd.display()));
        assert_eq!(done.stderr, "err\n");
        assert!(!done.timed_out && !done.cut);
    }

    #[tokio::test]
    async fn the_environment_is_clean() {
        let dir = dir();
        let errand = Errand {
            argv: vec!["/usr/bin/env".to_owned()],
            ..shell(dir.path(), "", 5000)
        };
        let done = run(&errand).await.expect("started");
        let mut names: Vec<_> = done
            .stdout
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["GREETING", "HOME", MARKER, "LANG", "PATH"]);
    }

    #[tokio::test]
    async fn a_missing_program_is_an_error() {
        let dir = dir();
        let errand = Errand {
            argv: vec!["/no/such/program".to_owned()],
            ..shell(dir.path(), "", 5000)
        };
        let error = run(&errand).await.expect_err("it cannot be started");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let nothing = Errand {
            argv: Vec::new(),
            ..errand
        };
        assert!(run(&nothing).await.is_err());
    }

    #[tokio::test]
    async fn a_flood_is_cut_and_does_not_block() {
        let dir = dir();
        let script = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 0";
        let done = run(&shell(dir.path(), script, 10_000))
            .await
            .expect("started");
        assert_eq!(done.exit, Some(0));
        assert_eq!((done.stdout.len(), done.stderr.len()), (1000, 1000));
        assert!(done.cut);
    }

    #[tokio::test]
    async fn a_flood_without_end_ends_at_the_limit() {
        let dir = dir();
        let done = run(&shell(dir.path(), "cat /dev/zero", 200))
            .await
            .expect("started");
        assert!(done.timed_out && done.exit.is_none());
        assert_eq!(done.stdout.len(), 1000);
        assert!(
            done.duration < Duration::from_secs(3),
            "{:?}",
            done.duration
        );
    }

    #[tokio::test]
    async fn what_forks_ignores_and_escapes_is_gone_at_the_time_limit() {
        let dir = dir();
        let script = format!("{ESCAPE}\nwhile :; do sleep 1; done");
        let marker = next_marker();
        let done = run_marked(&shell(dir.path(), &script, 400), marker.clone(), &TURNS)
            .await
            .expect("started");
        assert!(done.timed_out);
        assert!(
            done.duration < Duration::from_secs(3),
            "{:?}",
            done.duration
        );
        assert!(!is_alive(&dir.path().join("escaped")));
        assert!(carriers(&marker).is_empty());
    }

    #[tokio::test]
    async fn what_is_left_after_a_normal_end_is_killed() {
        let dir = dir();
        let script = format!("{ESCAPE}\n(sleep 60; echo late) & echo done; exit 7");
        let marker = next_marker();
        let done = run_marked(&shell(dir.path(), &script, 10_000), marker.clone(), &TURNS)
            .await
            .expect("started");
        assert_eq!((done.exit, done.stdout.as_str()), (Some(7), "done\n"));
        assert!(
            done.duration < Duration::from_secs(5),
            "a held pipe is not waited for"
        );
        assert!(!is_alive(&dir.path().join("escaped")));
        assert!(carriers(&marker).is_empty());
    }

    #[tokio::test]
    async fn dropping_the_future_kills_too() {
        let dir = dir();
        let script = format!("{ESCAPE}\nwhile :; do sleep 1; done");
        let errand = shell(dir.path(), &script, 60_000);
        let marker = next_marker();
        let escaped = dir.path().join("escaped");
        let there = || fs::read_to_string(&escaped).is_ok_and(|pid| pid.ends_with('\n'));
        tokio::select! {
            _ = run_marked(&errand, marker.clone(), &TURNS) => panic!("it does not end by itself"),
            there = becomes(there) => assert!(there),
        }
        assert!(becomes(|| carriers(&marker).is_empty()).await);
        assert!(becomes(|| !is_alive(&escaped)).await);
    }

    #[tokio::test]
    async fn more_than_may_run_at_a_time_wait_for_their_turn_within_their_time() {
        let dir = dir();
        let turns = Semaphore::new(1);
        let go = |script, limit| {
            let (errand, turns) = (shell(dir.path(), script, limit), &turns);
            async move { run_marked(&errand, next_marker(), turns).await }
        };
        let running = "test ! -e here || exit 9; touch here; sleep 0.05; rm here";
        let (one, two) = futures::join!(go(running, 10_000), go(running, 10_000));
        for done in [one, two] {
            assert_eq!(done.expect("its turn came").exit, Some(0), "one at a time");
        }
        let watch = Stopwatch::new();
        let (hangs, waits) = futures::join!(go("sleep 60", 400), go("echo", 200));
        assert!(hangs.expect("started").timed_out);
        let error = waits.expect_err("its turn did not come in time");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(watch.elapsed() < Duration::from_secs(3));
        assert_eq!(
            go("exit 3", 10_000).await.expect("free again").exit,
            Some(3)
        );
    }

    #[tokio::test]
    async fn one_that_heeds_sigterm_may_tidy_up() {
        let dir = dir();
        let script = r#"trap 'echo bye; exit 0' TERM; while :; do sleep 0.02; done"#;
        let done = run(&shell(dir.path(), script, 200)).await.expect("started");
        assert!(done.timed_out && done.exit.is_none());
        assert_eq!(done.stdout, "bye\n");
    }
}
