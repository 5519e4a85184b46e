//! The dry driver: the same loop and the same core, with hands that only say what they would do and nothing to remember
//! by. It ends with its one round.

use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    answer::Answer,
    driver::{Driver, Message, Parts},
    handle::Request,
};
use crate::{core::Core, model::Name};

/// How long the looks and preparations of a dry round may take together.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a dry round in the background and answers when it is done.
pub(super) fn spawn(parts: Parts, core: Core, names: Vec<Name>, reply: oneshot::Sender<Answer>) {
    let (news, _) = broadcast::channel(16);
    let (sender, receiver) = mpsc::unbounded_channel();
    let driver = Driver::new(parts, core, news, (sender.clone(), receiver));
    tokio::spawn(driver.run(Vec::new(), Vec::new()));
    tokio::spawn(async move {
        let (tell, told) = oneshot::channel();
        let check = Request::Check {
            names,
            fix: true,
            wait: PATIENCE,
            reply: tell,
        };
        if sender.send(Message::Request(check)).is_ok()
            && let Ok(answer) = told.await
        {
            let _ = reply.send(answer); // whoever asked may have gone
        }
        let (tell, told) = oneshot::channel();
        if sender.send(Message::Request(Request::Stop(tell))).is_ok() {
            let _ = told.await; // it ends either way
        }
    });
}
