//! The dead man's switch: a heartbeat out, to a URL or a file, only while the agenda makes progress.
//!
//! Who watches the watcher is elsewhere: a service that expects a ping every minute, or a program that looks at the age of
//! a file. Here is only the hand on the switch, and it lets go when the loop is stuck or its agenda is not worked off,
//! however well the process and its sockets may look.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reqwest::{Method, header::HeaderMap};
use serde_json::json;
use url::Url;

use super::progress::{Beat, Progress};
use crate::{
    clock::{self, Clock},
    model::moment::Moment,
    net::{
        exchange::{self, Request},
        tls::{Roots, Trust},
    },
    permission::{
        OWN, Permission, Settings,
        settings::{Allow, Heartbeat},
    },
};

/// A heartbeat that could not be sent is tried again after so long, or at its next time if that comes first.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a ping may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Where heartbeats go.
pub(super) struct Switch {
    url: Option<Url>,
    file: Option<PathBuf>,
    every: Duration,
    /// May reach the URL and nothing else.
    permission: Arc<Permission>,
}

impl Switch {
    /// Of the settings, if they ask for one. `value_of` is the environment.
    pub(super) fn of(
        settings: &Settings,
        root: &Path,
        rules: &Path,
        value_of: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Switch>, String> {
        let Some(Heartbeat {
            url,
            url_env,
            file,
            every,
        }) = &settings.heartbeat
        else {
            return Ok(None);
        };
        let url = match (url, url_env) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(name)) => Some(
                value_of(name)
                    .filter(|value| !value.is_empty())
                    .ok_or_else(|| format!("heartbeat: the variable {name} is not set"))?,
            ),
            (None, None) => None,
        };
        // The address may be a secret, so it is not repeated.
        let url = url
            .map(|text| exchange::url(&text).map_err(|_| "heartbeat: the URL cannot be read"))
            .transpose()?;
        if let Some(file) = file
            .as_deref()
            .filter(|file| !may_be_written(file, root, rules))
        {
            return Err(format!(
                "heartbeat: {file} is one of the engine's own files, or of the rules"
            ));
        }
        let reach = url.as_ref().and_then(|url| exchange::peer(url).ok());
        let permission = Permission::new(
            root,
            Settings {
                allow: Allow {
                    reach: reach
                        .iter()
                        .map(|to| format!("{}:{}", to.host, to.port))
                        .collect(),
                    ..Allow::default()
                },
                ..Settings::default()
            },
        )
        .map_err(|error| format!("heartbeat: {}", error.told()))?;
        Ok(Some(Switch {
            url,
            file: file.as_ref().map(|file| root.join(file)),
            every: every.0,
            permission: Arc::new(permission),
        }))
    }

    /// Sends heartbeats for as long as it is polled.
    pub(super) async fn hold(self, progress: Arc<Progress>, clock: Arc<dyn Clock>) {
        let mut held_back = false;
        loop {
            let health = progress.health();
            let now = clock.now();
            let wait = match health.why.filter(|_| !health.alive) {
                // Before the loop has gone round once, nothing can be said yet.
                Some(_) if !progress.has_begun() => AGAIN / 100,
                Some(why) => {
                    if !std::mem::replace(&mut held_back, true) {
                        tracing::error!(why, "no heartbeat is sent");
                    }
                    Duration::from_secs(1)
                }
                None => {
                    if std::mem::take(&mut held_back) {
                        tracing::info!("heartbeats are sent again");
                    }
                    let error = self.beat(now).await.err();
                    let failed = error.is_some();
                    if let Some(error) = &error
                        && progress.heartbeat().is_none_or(|beat| beat.error.is_none())
                    {
                        tracing::warn!(error, "the heartbeat could not be sent");
                    }
                    progress.beats(Beat {
                        at: now.seconds(),
                        error,
                    });
                    match failed {
                        true => self.every.min(AGAIN),
                        false => self.every,
                    }
                }
            };
            clock::sleep(wait).await;
        }
    }

    async fn beat(&self, now: Moment) -> Result<(), String> {
        let written = match self.file.clone() {
            Some(file) => tokio::task::spawn_blocking(move || write(&file, now))
                .await
                .unwrap_or_else(|error| Err(error.to_string())),
            None => Ok(()),
        };
        let pinged = match &self.url {
            Some(url) => self.ping(url.clone(), now).await,
            None => Ok(()),
        };
        written.and(pinged)
    }

    async fn ping(&self, url: Url, now: Moment) -> Result<(), String> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            trust: Trust {
                roots: Roots::System,
                verify: true,
                at: now,
            },
            timeout: LIMIT,
            most_body: 64 << 10,
            redirects: 0,
        };
        let done = exchange::exchange(&request, &self.permission).await;
        match (done.answer, done.error) {
            (Some(answer), _) if (200..300).contains(&answer.code) => Ok(()),
            (Some(answer), _) => Err(format!("{host} answered {}", answer.code)),
            (None, Some(error)) => Err(format!("{host}: {error}")),
            (None, None) => Err(format!("{host} gave no answer")),
        }
    }
}

/// Whether a heartbeat may stand there: not where the engine keeps its own, nor in its rules and settings.
fn may_be_written(file: &str, root: &Path, rules: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = root.join(file);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return false;
    };
    let (parent, root) = (real(parent), real(root));
    let settings = parent == root && name == crate::rules::settings::FILE;
    !(settings || parent.starts_with(root.join(OWN)) || parent.starts_with(real(rules)))
}

/// Whole or not at all: whoever reads it never finds half a line.
fn write(file: &Path, now: Moment) -> Result<(), String> {
    let told = |error: std::io::Error| format!("could not write {}: {error}", file.display());
    let parent = file.parent().unwrap_or(Path::new("."));
    let line = json!({"alive": now.iso(), "now": now.seconds(), "pid": std::process::id()});
    let mut temporary = tempfile::NamedTempFile::new_in(parent).map_err(told)?;
    writeln!(temporary, "{line}").map_err(told)?;
    temporary
        .persist(file)
        .map(drop)
        .map_err(|error| told(error.error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::SetClock,
        engine::progress::Said,
        model::span::Span,
        net::testing::{Server, answer},
    };

    fn settings(heartbeat: Heartbeat) -> Settings {
        Settings {
            heartbeat: Some(heartbeat),
            ..Settings::default()
        }
    }

    fn heartbeat() -> Heartbeat {
        Heartbeat {
            url: None,
            url_env: None,
            file: None,
            every: Span(Duration::from_millis(10)),
        }
    }

    #[test]
    fn what_cannot_work_is_told_at_start_without_the_address() {
        let root = tempfile::tempdir().expect("a directory");
        let rules = root.path().join("rules");
        let of = |heartbeat| Switch::of(&settings(heartbeat), root.path(), &rules, |_| None);
        for file in [
            "state/homeostat/token",
            "homeostat.yaml",
            "rules/a.json",
            "rules/sub/a.json",
        ] {
            let own = of(Heartbeat {
                file: Some(file.to_owned()),
                ..heartbeat()
            });
            let told = own.err().unwrap_or_default();
            assert!(told.contains(file), "{file}: {told}");
        }
        let unset = of(Heartbeat {
            url_env: Some("PING".to_owned()),
            ..heartbeat()
        });
        assert_eq!(
            unset.err().as_deref(),
            Some("heartbeat: the variable PING is not set")
        );
        let wrong = of(Heartbeat {
            url: Some("ftp://secret".to_owned()),
            ..heartbeat()
        });
        assert_eq!(
            wrong.err().as_deref(),
            Some("heartbeat: the URL cannot be read")
        );
        let none = Switch::of(&Settings::default(), root.path(), &rules, |_| None);
        assert!(none.is_ok_and(|it| it.is_none()));
    }

    #[tokio::test]
    async fn it_beats_while_the_loop_goes_round_and_not_when_the_agenda_lies_still() {
        let root = tempfile::tempdir().expect("a directory");
        let (tell, mut heard) = tokio::sync::watch::channel(0_u32);
        let server = Server::http(move |_| {
            tell.send_modify(|pings| *pings += 1);
            answer("200 OK", "", "")
        });
        let port = server.port;
        let switch = Switch::of(
            &settings(Heartbeat {
                url_env: Some("PING".to_owned()),
                file: Some("alive.json".to_owned()),
                ..heartbeat()
            }),
            root.path(),
            &root.path().join("rules"),
            |_| Some(format!("http://127.0.0.1:{port}/ping")),
        )
        .expect("settings")
        .expect("a switch");
        let progress = Arc::new(Progress::default());
        let turn = |now, due| {
            progress.goes_round(Said {
                now: Moment(now),
                next_due: Some(Moment(due)),
                missed: 0,
                stopping: false,
                store: None,
            });
        };
        turn(100_000, 0); // 100 s behind
        let clock = Arc::new(SetClock::at(Moment(100_000)));
        let task = tokio::spawn(switch.hold(progress.clone(), clock));
        tokio::task::yield_now().await;
        assert_eq!(*heard.borrow(), 0);
        assert!(!root.path().join("alive.json").exists());
        turn(100_000, 100_000);
        let bound = Duration::from_secs(20);
        tokio::time::timeout(bound, heard.wait_for(|pings| *pings >= 2))
            .await
            .expect("in time")
            .expect("the server lives");
        let text = std::fs::read_to_string(root.path().join("alive.json")).expect("written");
        assert!(text.contains("\"now\":100.0"), "{text}");
        let beat = progress.heartbeat().expect("it was sent");
        assert_eq!((beat.at, beat.error), (100.0, None));
        task.abort();
    }
}
