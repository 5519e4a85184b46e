//! The engine is killed at every boundary of persisting and acting, and at any moment besides; and whatever the kill, the
//! next start goes on rightly: no act within its cooldown, no budget refunded, no attempt repeated blindly.
//!
//! Everything is judged from outside. Every act leaves a directory named by its rung and its instant, so what was done is
//! counted in the world and not by what the engine believes; the store is read from its files by a copy in memory. Hours
//! pass from one run to the next by `HOMEOSTAT_NOW`. The kills are `HOMEOSTAT_KILLS` (60 unless said otherwise), in series
//! of a fresh root each; `HOMEOSTAT_SEED` repeats those of a failure, whose root is left where the message says.
#![cfg(feature = "failpoints")]

mod judge;
mod plan;
mod promises;
mod world;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use homeostat::clock::Stopwatch;

use plan::{Dice, Kill};
use world::{ANY_MOMENT, World};

/// Every boundary of `src/engine/failpoint.rs`: each must have killed.
const BOUNDARIES: [&str; 14] = [
    "before-rows",
    "after-rows",
    "before-intent",
    "after-intent",
    "before-image",
    "after-image",
    "before-act",
    "after-act",
    "before-told",
    "after-told",
    "before-rollback",
    "after-rollback",
    "before-line",
    "after-line",
];
/// Kills of one root.
const SERIES: u64 = 50;
/// Roots that are tried at the same time.
const WORKERS: usize = 2;

/// So many kills of one root. The `first` is its number among all kills: every other one is of a chosen boundary, in
/// turn; the rest fall where the dice say.
fn series(seed: u64, first: u64, kills: u64) -> World {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (first + 1));
    let mut world = World::new(String::new());
    let mut done = 0;
    while done < kills {
        let run = world.runs.len();
        let number = first + done;
        let kill = match number % 2 {
            _ if dice.one_in(8) => Kill::Never,
            0 => {
                let boundary = BOUNDARIES[(number / 2) as usize % BOUNDARIES.len()];
                let nth = 1 + dice.below(3) * dice.below(2) * dice.below(2);
                Kill::At(format!("{boundary}:{nth}"))
            }
            _ if dice.one_in(5) => Kill::After(Duration::from_micros(dice.below(80_000))),
            _ => Kill::At((1 + dice.below(30)).to_string()),
        };
        let wait = ["0s", "50ms", "200ms"][dice.below(3) as usize];
        world.label = format!("seed {seed}, kill {number}, run {run}, {kill:?}, wait {wait}");
        assert!(
            run < 200 + 20 * kills as usize,
            "{}: it is never reached",
            world.label
        );
        world.stir(&mut dice);
        done += u64::from(world.run(&kill, wait).is_some());
        world.now = world.now.plus(dice.gap());
    }
    for _ in 0..2 {
        world.label = format!("seed {seed}, after kill {}", first + done);
        world.run(&Kill::Never, "200ms");
        world.now = world.now.plus(Duration::from_secs(3_600));
    }
    for id in &world.interrupted {
        let attempt = &world.attempts[id];
        assert!(!attempt.is_open(), "{}: {attempt:?}", world.label);
    }
    world
}

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => otherwise,
    }
}

#[test]
fn whatever_kills_it_the_engine_goes_on_rightly() {
    let kills = number("HOMEOSTAT_KILLS", 60);
    let seed = number("HOMEOSTAT_SEED", 1);
    let watch = Stopwatch::new();
    let next = AtomicU64::new(0);
    let work = || {
        let mut worlds = Vec::new();
        loop {
            let first = next.fetch_add(SERIES, Ordering::Relaxed);
            if first >= kills {
                return worlds;
            }
            worlds.push(series(seed, first, SERIES.min(kills - first)));
        }
    };
    let worlds: Vec<World> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|worlds| worlds.expect("what it found is above"))
            .collect()
    });
    let mut killed: BTreeMap<&str, u64> = BTreeMap::new();
    let sum = |count: fn(&World) -> usize| worlds.iter().map(count).sum::<usize>();
    for (boundary, times) in worlds.iter().flat_map(|world| &world.killed) {
        *killed.entry(boundary).or_default() += times;
    }
    println!(
        "{} kills in {} runs of {} roots, {:.0?}: {} attempts, {} of them interrupted, {} acts",
        killed.values().sum::<u64>(),
        sum(|world| world.runs.len()),
        worlds.len(),
        watch.elapsed(),
        sum(|world| world.attempts.len()),
        sum(|world| world.interrupted.len()),
        sum(|world| world.acts.values().map(Vec::len).sum()),
    );
    for (boundary, times) in &killed {
        println!("{times:>5}  {boundary}");
    }
    let strange: Vec<_> = killed
        .keys()
        .filter(|it| **it != ANY_MOMENT && !BOUNDARIES.contains(it))
        .collect();
    assert!(
        strange.is_empty(),
        "boundaries that are not listed: {strange:?}"
    );
    // With fewer kills not each has its turn.
    if kills >= 2 * BOUNDARIES.len() as u64 {
        let missed: Vec<_> = BOUNDARIES
            .iter()
            .filter(|it| !killed.contains_key(**it))
            .collect();
        assert!(missed.is_empty(), "never killed at {missed:?}");
    }
}
