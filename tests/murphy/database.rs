//! The store under the engine's hands: written over, removed, replaced, made read-only. The engine lives, does nothing to
//! the world that it could not remember, and the next start knows what was done or starts paused.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    time::Duration,
};

use homeostat::{engine::live::Live, model::status::Status, store};

use crate::{
    common::{Root, SOON, until},
    disk::Disk,
    end, standing, status,
};

const RULES: &str = "
checks:
  - name: stuck
    about: Nothing is stuck.
    trigger: { every: 100ms }
    probe: { file: { file: data/stuck } }
    threshold: { critical: exists }
    journal: logs/checks.jsonl
    remediation:
      steps: [ { remove_file: { file: data/stuck } } ]
      guard: { cooldown: 0s, limit: 1000 per 1h, breaker: 1000 }
  - name: told
    about: Of what a program does, nothing needs to be kept for undoing it; the intent alone must be on the disk.
    trigger: { every: 100ms }
    probe: { file: { file: data/untold } }
    threshold: { critical: exists }
    remediation: [ { run_command: { argv: [/usr/bin/touch, data/told] } } ]
";

const STORE: &str = "state/homeostat/history.db";

async fn running(root: &Root) -> Live {
    root.put("rules/rules.yaml", RULES);
    root.put(
        "homeostat.yaml",
        "allow: { run: [ '/usr/bin/touch data/told' ] }\n",
    );
    let live = root.start().await.expect("it starts");
    mended(root, &live).await;
    live
}

/// Something goes wrong, and is repaired and verified.
async fn mended(root: &Root, live: &Live) {
    let count = || {
        let lines = root.lines("logs/checks.jsonl");
        lines.iter().filter(|line| line["verified"] == true).count()
    };
    let before = count();
    root.put("data/stuck", "");
    until(SOON, "a verified repair", async || {
        (count() > before).then_some(())
    })
    .await;
    until(SOON, "the end of the attempt", async || {
        standing(live, "stuck")
            .await
            .attempt
            .is_none()
            .then_some(())
    })
    .await;
}

/// Something goes wrong, and nothing is done about it, for some looks; the store is named as the reason.
async fn held(root: &Root, live: &Live) {
    root.put("data/stuck", "");
    root.put("data/untold", "");
    for name in ["stuck", "told"] {
        let by = until(
            SOON,
            &format!("{name}: a repair that is held"),
            async || standing(live, name).await.held_by,
        )
        .await;
        assert_eq!(by, "store");
    }
    let said = status(live).await.store;
    assert!(
        said.as_ref()
            .is_some_and(|said| said.contains("cannot be written")),
        "{said:?}"
    );
    let looks = standing(live, "stuck").await.looks;
    until(SOON, "more looks", async || {
        (standing(live, "stuck").await.looks >= looks + 5).then_some(())
    })
    .await;
    assert!(
        root.at("data/stuck").exists() && !root.at("data/told").exists(),
        "done without being written down"
    );
    assert_eq!(standing(live, "stuck").await.status, Status::Critical);
}

/// Whether the next start knows nothing and is therefore paused.
async fn starts_again(root: &Root) -> bool {
    fs::remove_file(root.at("data/stuck")).ok();
    let live = root.start().await.expect("it starts again");
    until(SOON, "a look", async || {
        (standing(&live, "stuck").await.looks > 0).then_some(())
    })
    .await;
    let paused = status(&live).await.paused.is_some();
    if paused {
        assert!(
            live.notes.iter().any(|note| note.contains("set aside")),
            "{:?}",
            live.notes
        );
    } else {
        mended(root, &live).await;
    }
    end(live).await;
    paused
}

fn verified(root: &Root) -> u64 {
    let store = store::snapshot(&root.at("state/homeostat")).expect("readable");
    store
        .expect("there is one")
        .verified(None)
        .expect("readable")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_removed_under_a_running_engine_is_written_anew() {
    let root = Root::new();
    let live = running(&root).await;
    fs::remove_file(root.at(STORE)).expect("there");
    mended(&root, &live).await;
    fs::remove_dir_all(root.at("state/homeostat")).expect("there");
    mended(&root, &live).await;
    end(live).await;
    assert_eq!(verified(&root), 3, "nothing was forgotten");
    assert!(!starts_again(&root).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_replaced_under_a_running_engine_holds_repairs() {
    for with in ["", "somebody's"] {
        let root = Root::new();
        let live = running(&root).await;
        let path = root.at(STORE);
        fs::remove_file(&path).expect("there");
        match with {
            "" => fs::create_dir(&path).expect("made"),
            text => fs::write(&path, text).expect("written"),
        }
        held(&root, &live).await;
        end(live).await;
        assert!(
            match with {
                "" => path.is_dir(),
                text => fs::read_to_string(&path).is_ok_and(|it| it == text),
            },
            "what is somebody else's was written"
        );
        assert!(starts_again(&root).await, "nobody knows what was spent");
    }
}

/// Some bytes in the middle, or all of it, is noise.
fn scribble(path: &Path, from: u64, noise: &[u8]) {
    let file = File::options().write(true).open(path).expect("there");
    file.write_all_at(noise, from).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_corrupted_under_a_running_engine_does_no_harm() {
    for file in [
        STORE,
        "state/homeostat/history.db-wal",
        "state/homeostat/history.db-shm",
    ] {
        let root = Root::new();
        let live = running(&root).await;
        let path = root.at(file);
        let length = fs::metadata(&path).expect("there").len();
        assert!(length > 0, "{file}");
        scribble(&path, 0, &vec![0xA5; length as usize]);
        // Either the engine notices, and holds what it cannot write down, or what it writes is whole.
        root.put("data/stuck", "");
        let held = until(SOON, &format!("{file}: a repair, or a word"), async || {
            let standing = standing(&live, "stuck").await;
            let held = standing.held_by.as_deref() == Some("store");
            (held || !root.at("data/stuck").exists()).then_some(held)
        })
        .await;
        assert_eq!(held, root.at("data/stuck").exists(), "{file}");
        let looks = standing(&live, "stuck").await.looks;
        until(SOON, "more looks", async || {
            (standing(&live, "stuck").await.looks >= looks + 5).then_some(())
        })
        .await;
        until(SOON, "the end of the attempt", async || {
            standing(&live, "stuck")
                .await
                .attempt
                .is_none()
                .then_some(())
        })
        .await;
        let lines = root.lines("logs/checks.jsonl");
        let done = lines.iter().filter(|line| line["verified"] == true).count() as u64;
        end(live).await;
        let known = store::snapshot(&root.at("state/homeostat"))
            .ok()
            .flatten()
            .and_then(|store| store.verified(None).ok());
        // Who forgot what was spent does not go on as if nothing had been.
        let paused = starts_again(&root).await;
        assert!(
            paused || known == Some(done),
            "{file}: {known:?} of {done} are known"
        );
        let aside = fs::read_dir(root.at("state/homeostat"))
            .expect("there")
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("corrupt"));
        assert_eq!(paused, aside, "{file}");
        println!("{file}: held {held}, paused {paused}");
    }
}

/// Marks files as unchangeable, also for root; false where that is not permitted.
fn locked(paths: &[&Path], on: bool) -> bool {
    let done = Command::new("chattr")
        .arg(if on { "+i" } else { "-i" })
        .args(paths)
        .stderr(std::process::Stdio::null())
        .status();
    done.is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_made_read_only_under_a_running_engine_holds_repairs_until_it_is_not() {
    let root = Root::new();
    let live = running(&root).await;
    let (path, log) = (root.at(STORE), root.at("state/homeostat/history.db-wal"));
    let both = [path.as_path(), log.as_path()];
    if !locked(&both, true) {
        let _ = locked(&both, false);
        eprintln!("no right to make files unchangeable: not tried");
        return end(live).await;
    }
    let said = {
        root.put("data/stuck", "");
        let watched = async {
            until(
                Duration::from_secs(10),
                "a repair that is held",
                async || standing(&live, "stuck").await.held_by,
            )
            .await
        };
        // Whatever comes of it, the files must be removable afterwards.
        let watched = std::panic::AssertUnwindSafe(watched);
        futures::FutureExt::catch_unwind(watched).await
    };
    let there = root.at("data/stuck").exists();
    assert!(locked(&both, false));
    assert_eq!(said.expect("it was held"), "store");
    assert!(there, "done without being written down");
    until(SOON, "the repair", async || {
        (!root.at("data/stuck").exists()).then_some(())
    })
    .await;
    until(SOON, "a good word", async || {
        status(&live).await.store.is_none().then_some(())
    })
    .await;
    end(live).await;
    assert!(!starts_again(&root).await);
}

/// A whole disk that is read-only: no start, a word that says why, nothing changed; looking without repairing works.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_read_only_disk_it_does_not_start_but_a_dry_run_works() {
    let Some(disk) = Disk::new() else { return };
    let root = &disk.root;
    let live = running(root).await;
    end(live).await;
    root.put("data/stuck", "");
    let remount = |how: &str| {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(root.path())
            .status();
        assert!(done.is_ok_and(|status| status.success()));
    };
    remount("ro");
    let refused = root.start().await.err().map(|error| error.to_string());
    let refused = refused.expect("it cannot run");
    assert!(refused.to_lowercase().contains("read-only"), "{refused}");
    let dry = homeostat::engine::dry::run(root.options(), vec![], None)
        .await
        .expect("looking needs no writing");
    assert_eq!(dry.overall, Status::Critical);
    assert_eq!(dry.checks[0].remediation.steps.len(), 1);
    remount("rw");
    assert!(!starts_again(root).await);
}
