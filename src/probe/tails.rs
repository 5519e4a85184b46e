//! The windows over logs that a running engine keeps, so that a look reads only what was appended; and what else looks
//! leave for the next.
//!
//! Bounded: at most [`MOST_WINDOWS`], holding records of at most [`MOST_BYTES`] of log; the one used longest ago goes
//! first. A window that another look holds (perhaps stuck on a dead disk) is not waited for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

use super::window::Window;
use crate::script::Ground;

const MOST_WINDOWS: usize = 1024;
const MOST_BYTES: u64 = 64 << 20;

/// How far log windows were read, by file and what is looked for in it.
#[derive(Default)]
pub struct Tails {
    shelf: Mutex<Shelf>,
    /// How much processor time had been used at the looks before.
    pub(super) usages: super::usage::Usages,
}

/// Which window: everything that decides what a line is taken for, except `vars` and `env` (see [`Place::ground`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) path: String,
    pub(super) filter: Option<Arc<str>>,
    pub(super) since: Option<Duration>,
    pub(super) last: Option<usize>,
    pub(super) time: Arc<[String]>,
    pub(super) max_scan: u64,
}

#[derive(Default)]
struct Shelf {
    places: HashMap<Key, Place>,
    uses: u64,
    bytes: u64,
}

struct Place {
    window: Arc<Mutex<Option<Window>>>,
    /// What `where` saw: with other `vars` the lines must be judged anew.
    ground: Ground,
    used: u64,
    bytes: u64,
}

impl Tails {
    /// Looks with the kept window of that key, or with none if it is in use. What the look leaves is kept.
    pub(super) fn with<T>(
        &self,
        key: &Key,
        ground: &Ground,
        look: impl FnOnce(&mut Option<Window>) -> T,
    ) -> T {
        let window = self.take_down(key, ground);
        let (done, weight) = match window.try_lock() {
            Ok(mut window) => used(&mut window, look),
            Err(TryLockError::Poisoned(broken)) => {
                let mut window = broken.into_inner();
                *window = None; // it was left in the middle of a look
                used(&mut window, look)
            }
            Err(TryLockError::WouldBlock) => return look(&mut None),
        };
        self.put_back(key, weight);
        done
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // nothing on it can be left half done
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_down(&self, key: &Key, ground: &Ground) -> Arc<Mutex<Option<Window>>> {
        let mut shelf = self.shelf();
        shelf.uses += 1;
        let uses = shelf.uses;
        match shelf.places.get_mut(key) {
            Some(place) => {
                if key.filter.is_some() && !is_same(&place.ground, ground) {
                    place.ground = ground.clone();
                    place.window = Arc::default();
                }
                place.used = uses;
                place.window.clone()
            }
            None => {
                let window = Arc::default();
                let place = Place {
                    window: Arc::clone(&window),
                    ground: ground.clone(),
                    used: uses,
                    bytes: 0,
                };
                shelf.places.insert(key.clone(), place);
                window
            }
        }
    }

    fn put_back(&self, key: &Key, weight: u64) {
        let mut shelf = self.shelf();
        let Some(place) = shelf.places.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut place.bytes, weight);
        shelf.bytes = shelf.bytes.saturating_sub(before).saturating_add(weight);
        while shelf.places.len() > MOST_WINDOWS || shelf.bytes > MOST_BYTES {
            let oldest = shelf.places.iter().min_by_key(|(_, place)| place.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            let gone = shelf.places.remove(&oldest);
            let bytes = gone.map_or(0, |place| place.bytes);
            shelf.bytes = shelf.bytes.saturating_sub(bytes);
        }
    }
}

fn used<T>(window: &mut Option<Window>, look: impl FnOnce(&mut Option<Window>) -> T) -> (T, u64) {
    let done = look(window);
    (done, window.as_ref().map_or(0, |window| window.weight))
}

fn is_same(one: &Ground, other: &Ground) -> bool {
    let vars = Arc::ptr_eq(&one.vars, &other.vars) || one.vars == other.vars;
    let env = Arc::ptr_eq(&one.env, &other.env) || one.env.listed == other.env.listed;
    vars && env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str, filter: Option<&str>) -> Key {
        Key {
            path: path.to_owned(),
            filter: filter.map(Into::into),
            since: None,
            last: Some(1),
            time: Arc::new([]),
            max_scan: 1,
        }
    }

    fn is_kept(tails: &Tails, key: &Key, ground: &Ground) -> bool {
        tails.with(key, ground, |kept| kept.is_some())
    }

    fn keep(tails: &Tails, key: &Key, weight: u64) {
        tails.with(key, &Ground::default(), |kept| {
            *kept = Some(Window::weighing(weight))
        });
    }

    #[test]
    fn each_key_has_its_own_and_the_oldest_go_first() {
        let tails = Tails::default();
        let ground = Ground::default();
        let [a, b, c] = ["a", "b", "c"].map(|path| key(path, None));
        keep(&tails, &a, MOST_BYTES / 2);
        keep(&tails, &b, MOST_BYTES / 2);
        assert!(is_kept(&tails, &a, &ground) && is_kept(&tails, &b, &ground));
        assert!(!is_kept(&tails, &key("a", Some("true")), &ground));
        assert!(is_kept(&tails, &a, &ground));
        keep(&tails, &c, MOST_BYTES / 2);
        assert!(!is_kept(&tails, &b, &ground));
        assert!(is_kept(&tails, &a, &ground) && is_kept(&tails, &c, &ground));
        for number in 0..MOST_WINDOWS + 10 {
            keep(&tails, &key(&number.to_string(), None), 1);
        }
        assert_eq!(tails.shelf().places.len(), MOST_WINDOWS);
        assert_eq!(tails.shelf().bytes, MOST_WINDOWS as u64);
    }

    #[test]
    fn with_other_vars_lines_are_judged_anew() {
        let tails = Tails::default();
        let key = key("a", Some("r.x == vars.x"));
        let other = Ground {
            vars: Arc::new([("x".to_owned(), 1.into())].into_iter().collect()),
            ..Ground::default()
        };
        keep(&tails, &key, 1);
        assert!(is_kept(&tails, &key, &Ground::default()));
        assert!(!is_kept(&tails, &key, &other));
    }

    #[test]
    fn one_in_use_is_not_waited_for() {
        let tails = Tails::default();
        let key = key("a", None);
        keep(&tails, &key, 1);
        tails.with(&key, &Ground::default(), |outer| {
            assert!(outer.is_some());
            assert!(
                !is_kept(&tails, &key, &Ground::default()),
                "another looks afresh meanwhile"
            );
        });
        assert!(is_kept(&tails, &key, &Ground::default()));
    }
}
