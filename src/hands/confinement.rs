//! Steps cannot be led astray: every kind that acts on a file against every trick with paths, links and swaps, and what
//! lies outside is as it was.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{
    testing::{SECRET, World, fifo, file_steps, world},
    *,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// What is at and below a path, with all by which a change would show.
fn shot(path: &Path) -> Vec<String> {
    let about = fs::symlink_metadata(path).expect("it is there");
    let mut found = vec![format!(
        "{path:?} {:o} {} {} {} {:?}",
        about.mode(),
        about.ino(),
        about.nlink(),
        about.len(),
        (about.mtime(), about.mtime_nsec()),
    )];
    if about.is_dir() {
        let entries = fs::read_dir(path).expect("a directory");
        let mut paths: Vec<PathBuf> = entries.map(|it| it.expect("an entry").path()).collect();
        paths.sort();
        found.extend(paths.iter().flat_map(|path| shot(path)));
    } else if about.is_file() {
        found.push(format!("{:?}", fs::read(path).expect("a file")));
    }
    found
}

fn held(kind: &str, file: &str, prepared: Result<Effect, HandsError>) {
    match prepared {
        Err(HandsError::Held {
            by: HeldBy::Permission,
            ..
        }) => {}
        other => panic!("{kind} {file:?}: {other:?}"),
    }
}

#[test]
fn a_target_that_steps_may_not_touch_is_held_and_untouched() {
    let world = world();
    let root = world.path(".").canonicalize().expect("a root");
    symlink(world.secret(), world.path("data/link")).expect("a link");
    symlink("x.json", world.path("data/inner")).expect("a link");
    symlink("nothing", world.path("data/dangling")).expect("a link");
    symlink(world.outside(), world.path("data/out")).expect("a link");
    symlink(".", world.path("data/here")).expect("a link");
    symlink("/proc/self/root", world.path("data/proc")).expect("a link");
    symlink("/dev/null", world.path("data/null")).expect("a link");
    symlink("../rules", world.path("data/rules")).expect("a link");
    symlink("homeostat", world.path("state/alias")).expect("a link");
    fs::hard_link(world.path("data/x.json"), world.path("data/hard")).expect("a link");
    fs::hard_link(world.path("rules/defaults/x.json"), world.path("data/rule")).expect("a link");
    world.put("logs/checks.jsonl", "{}\n");
    fs::hard_link(world.path("logs/checks.jsonl"), world.path("data/journal")).expect("a link");
    fs::create_dir(world.path("data/dir")).expect("a directory");
    fifo(&world.path("data/fifo"));
    std::os::unix::net::UnixListener::bind(world.path("data/socket")).expect("a socket");
    let device = rustix::fs::FileType::CharacterDevice;
    let zero = rustix::fs::makedev(1, 5);
    // only the superuser may make one
    let zero = rustix::fs::mknodat(CWD, world.path("data/zero"), device, 0o600.into(), zero);
    for path in [
        "state/homeostat/history.db",
        "state/homeostat/lock",
        "state/homeostat/paused",
    ] {
        world.put(path, "the engine's");
    }
    let (before, outside) = (world.tree(), shot(world.outside()));
    let through_root = format!("data/proc{}", world.secret().display());
    let absolute = root.join("data/x.json").display().to_string();
    let by_proc = format!("/proc/self/root{absolute}");
    let mut files = vec![
        "data/link",
        "data/inner",
        "data/dangling",
        "data/dangling/x",
        "data/out/secret",
        "data/out/new",
        "data/here/x.json",
        &through_root,
        "data/proc/etc/hostname",
        "data/null",
        "data/rules/a.yaml",
        "data/rules/defaults/x.json",
        "state/alias/history.db",
        "state/alias/new",
        "data/hard",
        "data/rule",
        "data/journal",
        "data/dir",
        "data/fifo",
        "data/socket",
        "data/fifo/x",
        // paths that are none, or lead elsewhere
        "data/../rules/x.json",
        "data/./../x",
        "data/x.json/..",
        "data/x.json/../../x",
        "../x.json",
        "..",
        ".",
        "./",
        "/",
        "//",
        "",
        " ",
        "data",
        "data/",
        "data//",
        "data/.",
        "data/x.json/",
        "data/x.json/.",
        "./data",
        "state",
        "logs/",
        &absolute,
        &by_proc,
        "/proc/self/cwd/data/x.json",
        "/proc/self/fd/0",
        "/proc/1/mem",
        "/dev/null",
        "/etc/hostname",
        "data/x\0.json",
        "\0",
        "data/\0",
        "data\0/x.json",
        // not where steps write, however it is spelt
        "rules/defaults/x.json",
        "homeostat.yaml",
        "x.json",
        "DATA/x.json",
        "Data/x.json",
        "d\u{430}ta/x.json",
        "data\u{2215}x.json",
        "data\\x.json",
        "datax/x.json",
        "data.json",
        "~/x",
        "$HOME/x",
        "%2e%2e/x",
        "file:data/x.json",
        // the engine's own
        "state/homeostat",
        "state/homeostat/history.db",
        "state/homeostat/lock",
        "state/homeostat/paused",
        "state/homeostat/new/x",
        "state/./homeostat/x",
        "state//homeostat/x",
        "./state/homeostat/x",
        "logs/checks.jsonl",
        "logs//checks.jsonl",
        "logs/./checks.jsonl",
        "logs/checks.jsonl.1",
        "logs/checks.1.jsonl",
        "logs/checks.jsonl.1.gz",
        "logs/.checks.jsonl.tmp",
        "logs/checks.jsonl~",
    ];
    files.extend(zero.is_ok().then_some("data/zero"));
    for file in files {
        for (kind, args) in file_steps(file) {
            let into = args["to"] == file && ["data/", "data//", "logs/"].contains(&file);
            if !into {
                // with a `/` at its end it is the directory to move to
                held(kind, file, world.prepare(kind, args));
            }
        }
    }
    assert_eq!(world.tree(), before);
    assert_eq!(shot(world.outside()), outside);
}

#[test]
fn odd_names_are_names_and_nothing_more() {
    let long = "n".repeat(255);
    for name in [
        "new\nline",
        "tab\t",
        "a b",
        "-rf",
        "$(id)",
        "`id`",
        ";id",
        "*",
        "?",
        "[a]",
        "...",
        ".hidden",
        "\u{1b}[2J",
        "é",
        "e\u{301}",
        "\u{202e}txt",
        "名前",
        "state",
        "homeostat",
        "data",
        &long,
    ] {
        let file = format!("data/{name}");
        for (kind, args) in file_steps(&file) {
            let world = world();
            let outside = shot(world.outside());
            if kind != "write_file" {
                world.put(&file, "{\"a\": 1}\n");
            }
            let effect = world.ready(kind, args);
            let told = world.dry(&effect);
            assert!(
                !told.diff.unwrap_or_default().contains('\u{1b}'),
                "it steers the terminal"
            );
            world
                .commit(&effect)
                .unwrap_or_else(|error| panic!("{kind} {name:?}: {error}"));
            let there = world.path(&file).exists();
            let goes = kind == "remove_file" || effect.target() == file && kind == "move_file";
            assert_eq!(there, !goes, "{kind} {name:?}");
            assert_eq!(shot(world.outside()), outside);
        }
    }
}

#[test]
fn a_name_that_no_file_system_takes_fails_and_makes_nothing() {
    let world = world();
    let before = world.tree();
    for name in ["n".repeat(300), "n".repeat(70_000), "n/".repeat(3000) + "x"] {
        for (kind, args) in file_steps(&format!("data/{name}")) {
            let done = world.prepare(kind, args).and_then(|effect| {
                // what is not there need not be removed or moved, whatever its name
                match effect {
                    Effect::Nothing { .. } => Err(HandsError::Failed("nothing".to_owned())),
                    effect => world.commit(&effect),
                }
            });
            assert!(done.is_err(), "{kind}");
        }
    }
    assert_eq!(world.tree(), before);
    world.assert_outside_is_untouched();
}

/// What may happen to a target between the look and the act.
type Swap = (&'static str, fn(&World, PathBuf));
const SWAPS: [Swap; 12] = [
    ("other body", |_, file| {
        fs::write(file, "{\"a\": 7}\n").expect("a file");
    }),
    ("same body, other file", |world, file| {
        fs::copy(&file, world.path("data/copy")).expect("a copy");
        fs::rename(world.path("data/copy"), file).expect("a rename");
    }),
    ("gone", |_, file| fs::remove_file(file).expect("a file")),
    ("a directory", |_, file| {
        fs::remove_file(&file).expect("a file");
        fs::create_dir(file).expect("a directory");
    }),
    ("a link to a file outside", |world, file| {
        fs::remove_file(&file).expect("a file");
        symlink(world.secret(), file).expect("a link");
    }),
    ("a link to itself elsewhere", |world, file| {
        fs::rename(&file, world.path("data/elsewhere")).expect("a rename");
        symlink("elsewhere", file).expect("a link");
    }),
    ("a second name of a file", |world, file| {
        fs::hard_link(file, world.path("data/second")).expect("a link");
    }),
    ("a FIFO", |_, file| {
        fs::remove_file(&file).expect("a file");
        fifo(&file);
    }),
    ("a socket", |_, file| {
        fs::remove_file(&file).expect("a file");
        std::os::unix::net::UnixListener::bind(file).expect("a socket");
    }),
    ("its directory leads outside", |world, _| {
        fs::rename(world.path("data"), world.path("old")).expect("a rename");
        symlink(world.outside(), world.path("data")).expect("a link");
        fs::write(world.outside().join("x.json"), "{\"a\": 1}\n").expect("a file");
    }),
    ("its directory leads to itself", |world, _| {
        fs::rename(world.path("data"), world.path("old")).expect("a rename");
        symlink("old", world.path("data")).expect("a link");
    }),
    ("its directory is a file", |world, _| {
        fs::rename(world.path("data"), world.path("old")).expect("a rename");
        fs::write(world.path("data"), "").expect("a file");
    }),
];

#[test]
fn a_target_swapped_between_look_and_act_is_left_alone() {
    for (name, swap) in SWAPS {
        for nth in 0..6 {
            let world = world();
            let Some((kind, args)) = file_steps("data/x.json").into_iter().nth(nth) else {
                panic!("six steps")
            };
            let effect = world.ready(kind, args);
            swap(&world, world.path("data/x.json"));
            let (before, outside) = (world.tree(), shot(world.outside()));
            let error = world.commit(&effect).expect_err(name);
            assert_eq!(world.tree(), before, "{kind}, {name}: {error}");
            assert_eq!(shot(world.outside()), outside, "{kind}, {name}");
        }
    }
}

/// Ends the other thread, also when an assertion fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does every kind of step on `data/sub/x.json` again and again while another thread exchanges two entries, each time at
/// another instant of the act.
fn race(world: &World, here: &Path, there: &Path) -> (usize, usize) {
    const ROUNDS: usize = 60;
    let (stop, flips) = (AtomicBool::new(false), AtomicU64::new(0));
    let outcomes = std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, here, CWD, there, RenameFlags::EXCHANGE);
                flips.fetch_add(1, Ordering::Relaxed);
                if flips.load(Ordering::Relaxed) % 7 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let _stopped = Stop(&stop);
        let mut outcomes = (0, 0);
        for round in 0.. {
            let enough = round >= ROUNDS && flips.load(Ordering::Relaxed) > 5000;
            if enough && outcomes.0 > 0 && outcomes.1 > 0 || round > 50 * ROUNDS {
                break;
            }
            for (kind, args) in file_steps("data/sub/x.json") {
                let done = world
                    .prepare(kind, args)
                    .and_then(|effect| world.commit(&effect));
                match done {
                    Ok(receipt) => {
                        let told = format!("{receipt:?}");
                        assert!(!told.contains(SECRET.trim()), "it was read: {told}");
                        outcomes.0 += 1;
                    }
                    Err(_) => outcomes.1 += 1,
                }
                let _ = fs::write(world.path("state/other.json"), "{\"a\": 3}\n");
            }
        }
        outcomes
    });
    assert!(flips.load(Ordering::Relaxed) > 5000, "there was a race");
    outcomes
}

#[test]
fn a_directory_that_is_swapped_for_a_link_during_the_act_leads_nowhere() {
    let world = world();
    fs::create_dir(world.path("data/sub")).expect("a directory");
    world.put("data/sub/x.json", "{\"a\": 1}\n");
    fs::write(world.outside().join("x.json"), "{\"a\": 1}\n").expect("a file");
    symlink(world.outside(), world.path("data/trap")).expect("a link");
    let outside = shot(world.outside());
    let (done, refused) = race(&world, &world.path("data/sub"), &world.path("data/trap"));
    assert_eq!(shot(world.outside()), outside);
    assert!(done > 0 && refused > 0, "{done} done, {refused} refused");
}

#[test]
fn a_file_that_is_swapped_for_a_link_during_the_act_leads_nowhere() {
    let world = world();
    fs::create_dir(world.path("data/sub")).expect("a directory");
    world.put("data/sub/x.json", "{\"a\": 1}\n");
    let outside = shot(world.outside());
    // the link is put in the place of whatever a step left there
    let trap = world.path("data/trap");
    symlink(world.secret(), &trap).expect("a link");
    let (done, refused) = race(&world, &world.path("data/sub/x.json"), &trap);
    assert_eq!(shot(world.outside()), outside);
    assert_eq!(fs::read_to_string(world.secret()).expect("a file"), SECRET);
    assert!(done > 0 && refused > 0, "{done} done, {refused} refused");
}

/// An undo acts like a step, and is led astray as little.
#[test]
fn an_undo_is_as_confined() {
    for (name, swap) in SWAPS {
        for nth in 0..6 {
            let world = world();
            let Some((kind, args)) = file_steps("data/x.json").into_iter().nth(nth) else {
                panic!("six steps")
            };
            let receipt = world.act(kind, args);
            if !world.path("data/x.json").exists() {
                world.put("data/x.json", "{\"a\": 1}\n");
            }
            swap(&world, world.path("data/x.json"));
            let (before, outside) = (world.tree(), shot(world.outside()));
            let undone =
                prepare_undo(&receipt, &world.eyes()).and_then(|effect| world.commit(&effect));
            assert!(
                undone.is_err() || name.starts_with("same") || name == "gone",
                "{kind}, {name}"
            );
            assert_eq!(shot(world.outside()), outside, "{kind}, {name}");
            if undone.is_err() {
                assert_eq!(world.tree(), before, "{kind}, {name}");
            }
        }
    }
}
