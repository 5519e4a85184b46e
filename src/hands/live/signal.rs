//! Sending signals, through handles (pidfds) that mean one process for ever.

use std::{os::fd::OwnedFd, time::Duration};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::timeout,
};

use super::super::{
    HandsError, denied,
    signal_process::{self, Signal, Target},
};
use crate::{clock::Stopwatch, model::span::Span, permission::Permission, probe::processes::Proc};

/// Signals each of them, if all that are still there are as they were looked at. Says what became of it.
pub(super) async fn send(
    permission: &Permission,
    signal: Signal,
    targets: &[Target],
    within: Option<Duration>,
) -> Result<String, HandsError> {
    let mut handles = Vec::new();
    for target in targets {
        handles.push(open(permission, target)?);
    }
    let mut sent: Vec<(&Target, OwnedFd)> = Vec::new();
    for (target, handle) in targets.iter().zip(handles) {
        let Some(handle) = handle else { continue };
        match pidfd_send_signal(&handle, signal.number()) {
            Ok(()) => sent.push((target, handle)),
            Err(Errno::SRCH) => {}
            Err(error) => {
                let (word, pid) = (signal.word(), target.pid);
                let already = match told(&sent).as_str() {
                    "" => String::new(),
                    told => format!(" (sent before: {told})"),
                };
                let reason = format!("could not send {word} to {pid}: {error}{already}");
                return Err(HandsError::Failed(reason));
            }
        }
    }
    if sent.is_empty() {
        return Ok("nothing: it had ended already".to_owned());
    }
    let mut detail = format!("sent {} to {}", signal.word(), told(&sent));
    let gone = targets.len() - sent.len();
    if gone > 0 {
        detail.push_str(&format!("; {gone} had ended already"));
    }
    let Some(within) = within else {
        return Ok(detail);
    };
    let watch = Stopwatch::new();
    let mut left = Vec::new();
    for (target, handle) in sent {
        if !ended(handle, within.saturating_sub(watch.elapsed())).await? {
            left.push(target.pid.to_string());
        }
    }
    let took = Span(Duration::from_millis(
        u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX),
    ));
    match left.is_empty() {
        true => Ok(format!("{detail}; ended after {took}")),
        false => Err(HandsError::Failed(format!(
            "{detail}; {} did not end within {}",
            left.join(", "),
            Span(within)
        ))),
    }
}

/// A handle of the very process that was looked at; `None` if that one has ended.
fn open(permission: &Permission, target: &Target) -> Result<Option<OwnedFd>, HandsError> {
    let pid = target.pid;
    let failed = |why: String| HandsError::Failed(format!("process {pid} {why}: nothing was sent"));
    let number = Pid::from_raw(pid).ok_or_else(|| failed("has no number".to_owned()))?;
    let handle = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(failed(format!("could not be opened: {error}"))),
    };
    // only now: what is read here is of the process that the handle means, or of one that started later
    let proc = Proc::default();
    let Some(process) = proc.one(pid).filter(|process| !process.is_dead) else {
        return Ok(None);
    };
    if process.started != target.started {
        return Err(failed("is another one than was looked at".to_owned()));
    }
    let line = proc.command_line(pid);
    if line != target.line {
        return Err(failed(
            "has another command line than when it was looked at".to_owned(),
        ));
    }
    signal_process::may_reach(&proc, &process, &line)
        .and_then(|()| permission.may_signal(&line))
        .map_err(denied)?;
    Ok(Some(handle))
}

fn told(sent: &[(&Target, OwnedFd)]) -> String {
    let each = sent.iter().map(|(target, _)| target.told());
    each.collect::<Vec<_>>().join(", ")
}

/// Whether a process ends in time. A dead one whose parent has not noticed has ended.
async fn ended(handle: OwnedFd, within: Duration) -> Result<bool, HandsError> {
    #[expect(
        deprecated,
        reason = "its successor is unsafe for types that give another descriptor each time; an OwnedFd does not"
    )]
    let handle = AsyncFd::with_interest(handle, Interest::READABLE)
        .map_err(|error| HandsError::Failed(format!("could not wait for its end: {error}")))?;
    Ok(timeout(within, handle.readable())
        .await
        .is_ok_and(|it| it.is_ok()))
}
