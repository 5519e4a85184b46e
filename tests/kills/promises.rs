//! The rules under which the engine is killed, and what they promise.

use std::time::Duration;

pub const SETTINGS: &str = "
allow: { run: [ '/bin/mkdir *' ] }
keep: { journal: 64 KiB x 2 }
";

/// `ladder` is never helped and climbs in one run. `slow` is never helped, settles and is verified over several runs and
/// is quarantined. `stuck` is helped. `stale` is helped or not as `data/need.json` says, waits between its rungs and is
/// undone when they are exhausted.
pub const RULES: &str = "
defaults:
  trigger: { every: 1h }
  journal: logs/checks.jsonl
checks:
  - name: ladder
    about: Never there, whatever is done.
    probe: { file: { file: data/never } }
    threshold: { critical: missing }
    message: 'there: ${exists}'
    remediation:
      steps:
        - run_command: { argv: [/bin/mkdir, 'data/acts/ladder/0-${now}'] }
        - run_command: { argv: [/bin/mkdir, 'data/acts/ladder/1-${now}'] }
      verify: { within: 5ms }
      guard: { cooldown: 3m, limit: 5 per 20m, backoff: 0s..0s, breaker: 1000 }
  - name: slow
    about: Never there, and it takes its time.
    probe: { file: { file: data/never } }
    threshold: { critical: missing }
    message: 'there: ${exists}'
    remediation:
      steps:
        - run_command: { argv: [/bin/mkdir, 'data/acts/slow/0-${now}'] }
      verify: { after: 20s, within: 2m }
      guard: { cooldown: 5m, limit: 2 per 30m, breaker: 3 }
  - name: stuck
    about: A lock that was left behind.
    probe: { file: { file: data/stuck.lock } }
    threshold: { warning: exists }
    message: 'there: ${exists}'
    remediation:
      when: [warning]
      steps:
        - - run_command: { argv: [/bin/mkdir, 'data/acts/stuck/0-${now}'] }
          - remove_file: { file: data/stuck.lock }
      verify: { within: 5ms }
      guard: { cooldown: 4m, limit: 3 per 20m, backoff: 0s..0s, breaker: 3 }
  - name: stale
    about: The settings are as new as they need to be.
    probes:
      has: { json: { file: data/settings.json } }
      need: { json: { file: data/need.json } }
    threshold: { critical: 'has.doc.stamp < need.doc.stamp' }
    message: 'of ${has.doc.stamp}'
    remediation:
      steps:
        - - run_command: { argv: [/bin/mkdir, 'data/acts/stale/0-${now}'] }
          - write_file: { file: data/settings.json, body: { stamp: '${now}' } }
        - - run_command: { argv: [/bin/mkdir, 'data/acts/stale/1-${now}'] }
          - write_file: { file: data/settings.json, body: { stamp: '${now}' } }
      verify: { within: 5ms }
      guard: { cooldown: 3m, limit: 4 per 30m, backoff: 10s..30s, breaker: 1000 }
      rollback: true
";

/// What the rules above promise of a check.
pub struct Promise {
    pub check: &'static str,
    pub cooldown: Duration,
    pub limit: usize,
    pub window: Duration,
}

const fn promise(check: &'static str, cooldown: u64, limit: usize, window: u64) -> Promise {
    Promise {
        check,
        cooldown: Duration::from_secs(cooldown * 60),
        limit,
        window: Duration::from_secs(window * 60),
    }
}

pub const PROMISES: [Promise; 4] = [
    promise("ladder", 3, 5, 20),
    promise("slow", 5, 2, 30),
    promise("stuck", 4, 3, 20),
    promise("stale", 3, 4, 30),
];
