//! A disk that is full: at the start, and at every write of a repair. The root is a small file system of its own; with
//! room for 0, 1, 2 … more pages the disk fills up a little later each time, so that every write is once the first that
//! fails. Mounting needs the right to; without it these tests say so and do nothing.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use futures::{StreamExt, stream};
use homeostat::{engine::live::StartError, store};

use crate::{
    common::{Root, SOON, until},
    end, status,
};

const PAGE: u64 = 4096;
/// Disks at the same time.
const TOGETHER: usize = 13;

/// A root on a disk of 4 MiB.
pub struct Disk {
    pub root: Root,
}

impl Disk {
    pub fn new() -> Option<Disk> {
        let root = Root::new();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4M,mode=755", "tmpfs"])
            .arg(root.path())
            .stderr(Stdio::null())
            .status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("no right to mount a small disk: not tried");
            return None;
        }
        let disk = Disk { root };
        for dir in ["rules", "data", "state", "logs"] {
            fs::create_dir(disk.root.at(dir)).expect("made");
        }
        Some(disk)
    }

    /// Leaves room for so many pages.
    fn fill(&self, pages: u64) {
        let free = rustix::fs::statvfs(self.root.path())
            .expect("told")
            .f_bavail;
        let mut ballast = File::options()
            .append(true)
            .create(true)
            .open(self.root.at("ballast"))
            .expect("opened");
        for _ in pages..free {
            ballast.write_all(&[0; PAGE as usize]).expect("room");
        }
    }

    fn empty(&self) {
        fs::remove_file(self.root.at("ballast")).expect("there");
    }

    /// Everything that was set aside.
    fn aside(&self) -> Vec<String> {
        let own = self.root.at("state/homeostat");
        let entries = fs::read_dir(own).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains("corrupt"))
            .collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.root.path())
            .status();
    }
}

const RULES: &str = "
checks:
  - name: weights
    about: The weights are there.
    trigger: { every: 100ms }
    probe: { json: { file: data/weights.json } }
    threshold: { critical: missing }
    message: 'weights ${if missing { \"missing\" } else { \"there\" }}'
    journal: logs/checks.jsonl
    publish: { file: state/published.json, set: { status: '${status}' } }
    remediation:
      steps: [ { restore_file: { file: data/weights.json, from: rules/defaults/weights.json } } ]
      guard: { cooldown: 0s, limit: 1000 per 1h }
";

fn lay_out(root: &Root) {
    root.put("rules/rules.yaml", RULES);
    root.put("rules/defaults/weights.json", "{\"a\": 1}\n");
    root.put("data/weights.json", ""); // takes no page
}

/// How many repairs whoever started now would know of, done or begun.
fn on_disk(root: &Root) -> u64 {
    let store = store::snapshot(&root.at("state/homeostat")).expect("readable");
    let store = store.expect("there is one");
    let begun = store.load().expect("readable").attempts.len() as u64;
    store.verified(None).expect("readable") + begun
}

/// Journal lines that are whole: where the disk filled up in the middle of one, a piece of it may stand before it.
fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// What came of it when the disk filled up after so many pages more.
#[derive(Debug, PartialEq)]
enum Came {
    /// There was room for all.
    Well,
    /// The repair was done, and something else could not be written.
    Done,
    /// It was not done before there was room again.
    Waited,
}

async fn fills_up_after(pages: u64) -> Option<Came> {
    let disk = Disk::new()?;
    let root = &disk.root;
    lay_out(root);
    let live = root.start().await.expect("it starts");
    until(SOON, "the first look", async || {
        root.at("state/published.json").exists().then_some(())
    })
    .await;
    disk.fill(pages);
    fs::remove_file(root.at("data/weights.json")).expect("there");
    let target = root.at("data/weights.json");
    let mended = || fs::metadata(&target).is_ok_and(|found| found.len() > 0);
    // Either it is repaired, or the engine says that it cannot write.
    let full = until(
        SOON,
        &format!("{pages} pages: a word or a deed"),
        async || {
            let full = status(&live).await.store.is_some();
            (mended() || full).then_some(full)
        },
    )
    .await;
    let waited = !mended();
    if mended() {
        assert!(
            on_disk(root) > 0,
            "{pages} pages: done without an intent on the disk"
        );
    } else if full {
        let said = status(&live).await.store.expect("it says so");
        assert!(said.contains("full") || said.contains("space"), "{said}");
    }
    // It lives: it looks on and answers.
    let before = crate::standing(&live, "weights").await.looks;
    until(SOON, "more looks", async || {
        (crate::standing(&live, "weights").await.looks > before + 2).then_some(())
    })
    .await;
    if !waited {
        assert!(mended(), "{pages} pages: it came and went");
    }
    let failing = status(&live).await.store.is_some();
    disk.empty();
    until(SOON, &format!("{pages} pages: a recovery"), async || {
        let now = status(&live).await;
        let told = lines(&root.at("logs/checks.jsonl"))
            .iter()
            .any(|line| line["verified"] == true);
        (mended() && told && now.store.is_none()).then_some(())
    })
    .await;
    // The journal has lost nothing of it.
    let told = lines(&root.at("logs/checks.jsonl"));
    let bad = told.iter().position(|line| line["status"] == "CRITICAL");
    let good = told.iter().position(|line| line["verified"] == true);
    assert!(bad.is_some() && bad < good, "{pages} pages: {told:?}");
    let litter: Vec<_> = fs::read_dir(root.at("data"))
        .expect("there")
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name != "weights.json")
        .collect();
    assert!(litter.is_empty(), "{pages} pages: {litter:?}");
    end(live).await;
    assert!(disk.aside().is_empty());
    assert!(on_disk(root) > 0);
    // And it starts again from there, unpaused. A program that another disk of this test starts at this very moment has its
    // lock for as long as it takes from fork to exec.
    let live = until(SOON, "it starts again", async || match root.start().await {
        Ok(live) => Some(live),
        Err(StartError::Locked { .. }) => None,
        Err(error) => panic!("{pages} pages: {error}"),
    })
    .await;
    assert!(live.notes.is_empty(), "{:?}", live.notes);
    end(live).await;
    Some(match (waited, failing) {
        (true, _) => Came::Waited,
        (false, true) => Came::Done,
        (false, false) => Came::Well,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_at_any_write_of_a_repair() {
    let came: Vec<(u64, Option<Came>)> = stream::iter((0..24).chain([400]))
        .map(|pages| async move { (pages, fills_up_after(pages).await) })
        .buffered(TOGETHER)
        .collect()
        .await;
    let came: Vec<(u64, Came)> = came
        .into_iter()
        .filter_map(|(pages, came)| Some((pages, came?)))
        .collect();
    let Some((_, last)) = came.last() else { return };
    println!("{came:?}");
    assert_eq!(*last, Came::Well, "with room enough nothing fails");
    assert_eq!(came[0].1, Came::Waited, "without room nothing is done");
}

/// Without room an engine does not start, or starts and says what it cannot do; what there was is there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_loses_nothing() {
    let one = async |pages: u64| {
        let disk = Disk::new()?;
        let root = &disk.root;
        lay_out(root);
        fs::remove_file(root.at("data/weights.json")).expect("there");
        let live = root.start().await.expect("it starts");
        until(SOON, "a repair", async || {
            let told = lines(&root.at("logs/checks.jsonl"));
            told.iter().find(|line| line["verified"] == true).map(drop)
        })
        .await;
        end(live).await;
        let before = on_disk(root);
        disk.fill(pages);
        let started = match root.start().await {
            Ok(live) => {
                let looked =
                    async || (crate::standing(&live, "weights").await.looks > 2).then_some(());
                until(SOON, "looks", looked).await;
                end(live).await;
                true
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("no room") || said.contains("full"), "{said}");
                false
            }
        };
        assert!(disk.aside().is_empty(), "{pages} pages: {:?}", disk.aside());
        disk.empty();
        assert_eq!(on_disk(root), before, "{pages} pages");
        let live = root.start().await.expect("it starts with room");
        assert!(live.notes.is_empty(), "{pages} pages: {:?}", live.notes);
        until(Duration::from_secs(5), "looks", async || {
            (crate::standing(&live, "weights").await.looks > 2).then_some(())
        })
        .await;
        end(live).await;
        Some(started)
    };
    let came: Vec<Option<bool>> = stream::iter(0..24)
        .map(one)
        .buffered(TOGETHER)
        .collect()
        .await;
    let came: Vec<bool> = came.into_iter().flatten().collect();
    let (Some(first), Some(last)) = (came.first(), came.last()) else {
        return;
    };
    println!("{came:?}");
    assert!(!first && *last, "{came:?}");
}
