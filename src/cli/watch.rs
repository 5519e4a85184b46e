//! `status --watch`: how everything stands, drawn anew until it is interrupted.
//!
//! On a terminal the screen is drawn over, as much as fits, the worst first. Elsewhere, and with `--json`, it is written
//! again when something has changed. An engine that does not answer is said to, loudly: what is shown then is old.

use std::time::Duration;

use serde_json::json;

use super::{
    check::listen,
    outcome::{Failure, OK, Outcome, UNAVAILABLE},
    screen::Screen,
    show::{Tone, standings, text},
    site::Site,
    status::{all_known, standing},
};
use crate::{
    clock::{self, Clock, SystemClock},
    engine::handle::StatusAnswer,
    model::moment::Moment,
};

/// An engine that gives no answer for so long is said to be silent.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENT: &str = "the engine gives no answer";

/// The other screen of a terminal, where nothing scrolls; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the corner, and clear what is below.
const CORNER: &str = "\x1b[H";
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_LINE: &str = "\x1b[K";

pub async fn watch(
    site: &Site,
    names: &[String],
    bad: bool,
    every: Duration,
    screen: &Screen,
) -> Outcome {
    let mut signals = listen()?;
    tokio::select! {
        asked = standing(site) => if let Ok((answer, _)) = asked {
            all_known(&answer, names)?;
        },
        () = clock::sleep(PATIENCE) => {}
    }
    let mut view = View::new(screen);
    view.enter();
    loop {
        let asked = tokio::select! {
            asked = standing(site) => asked,
            () = clock::sleep(PATIENCE) => Err(Failure::new(UNAVAILABLE, SILENT)),
            () = signals.next() => break,
        };
        match asked {
            Ok((answer, true)) => {
                let answer = standings::chosen(answer, names, bad);
                view.heard(answer, every);
            }
            Ok((answer, false)) => {
                let answer = standings::chosen(answer, names, bad);
                view.lost("no engine is running", Some(answer), every);
            }
            Err(failure) => view.lost(&failure.message, None, every),
        }
        tokio::select! {
            () = clock::sleep(every) => {}
            () = signals.next() => break,
        }
    }
    view.leave();
    Ok(OK)
}

struct View<'a> {
    screen: &'a Screen,
    /// What was heard last, and when.
    last: Option<(StatusAnswer, Moment)>,
    /// What was written last where there is no terminal, without what changes by itself.
    written: Option<String>,
    drawn: bool,
}

impl<'a> View<'a> {
    fn new(screen: &'a Screen) -> View<'a> {
        View {
            screen,
            last: None,
            written: None,
            drawn: screen.is_terminal() && !screen.json,
        }
    }

    fn enter(&self) {
        if self.drawn {
            self.screen.print(ENTER);
        }
    }

    fn leave(&self) {
        if self.drawn {
            self.screen.print(LEAVE);
        }
    }

    fn heard(&mut self, answer: StatusAnswer, every: Duration) {
        if self.drawn {
            self.draw(&answer, None, every);
        } else {
            self.tell(&answer, true);
        }
        self.last = Some((answer, SystemClock.now()));
    }

    fn lost(&mut self, why: &str, remembered: Option<StatusAnswer>, every: Duration) {
        let now = SystemClock.now();
        if self.drawn {
            let style = &self.screen.style;
            let said = match &self.last {
                Some((_, at)) => format!(
                    "NO WORD FROM THE ENGINE since {}: {}. What stands here is old.",
                    style.zone.relative(*at, now),
                    text::clean(why)
                ),
                None => format!("NO WORD FROM AN ENGINE: {}.", text::clean(why)),
            };
            let old = self.last.take();
            match old
                .as_ref()
                .map(|(answer, _)| answer)
                .or(remembered.as_ref())
            {
                Some(answer) => self.draw(answer, Some(&said), every),
                None => self.screen.print(&format!(
                    "{CORNER}{}{CLEAR_LINE}\n{CLEAR_BELOW}",
                    style.paint(Tone::Bad, &said)
                )),
            }
            self.last = old;
            return;
        }
        match remembered {
            Some(answer) => self.tell(&answer, false),
            None if self.written.as_deref() != Some(why) => {
                match self.screen.json {
                    true => self
                        .screen
                        .json_line(&json!({"running": false, "error": why})),
                    false => {
                        let said = format!("NO WORD FROM THE ENGINE: {}", text::clean(why));
                        let said = self.screen.style.paint(Tone::Bad, &said);
                        self.screen.print(&format!("{said}\n\n"));
                    }
                }
                self.written = Some(why.to_owned());
            }
            None => {}
        }
    }

    /// Over what stands there. Relative times go on, so it is drawn every time.
    fn draw(&self, answer: &StatusAnswer, trouble: Option<&str>, every: Duration) {
        let style = &self.screen.style;
        let rows = terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0));
        let mut shown = String::new();
        if let Some(trouble) = trouble {
            shown.push_str(&style.paint(Tone::Bad, trouble));
            shown.push_str("\n\n");
        }
        let foot = format!(
            "{}  every {}  Ctrl-C ends",
            style.zone.clock(SystemClock.now()),
            humantime::format_duration(every)
        );
        shown.push_str(&standings::watched(answer, rows, &foot, style));
        let mut drawn = String::from(CORNER);
        for line in shown.lines().take(rows.saturating_sub(1)) {
            drawn.push_str(line);
            drawn.push_str(CLEAR_LINE);
            drawn.push('\n');
        }
        drawn.push_str(CLEAR_BELOW);
        self.screen.print(&drawn);
    }

    /// Once more if something has changed.
    fn tell(&mut self, answer: &StatusAnswer, running: bool) {
        let mut value = json!(answer);
        if let Some(map) = value.as_object_mut() {
            map.insert("running".to_owned(), json!(running));
        }
        let news = standings::without_clocks(value.clone());
        if self.written.as_ref() == Some(&news) {
            return;
        }
        self.written = Some(news);
        match self.screen.json {
            true => self.screen.json_line(&value),
            false => {
                let shown = standings::status(answer, !running, &self.screen.style);
                self.screen.print(&format!("{shown}\n"));
            }
        }
    }
}
