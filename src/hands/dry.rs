//! The hands of a dry run: they say what they would do.

use futures::future::{BoxFuture, FutureExt, ready};

use super::{Effect, Hands, HandsError};
use crate::model::step::{Outcome, Receipt};

/// Does nothing at all; shows the same difference or the same command line that [`super::live::Live`] would make.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dry;

impl Hands for Dry {
    fn commit<'a>(&'a self, effect: &'a Effect) -> BoxFuture<'a, Result<Receipt, HandsError>> {
        let (act, _, what) = effect.deed();
        let detail = format!("would {act} {what}");
        ready(Ok(effect.receipt(Outcome::Would, detail, None))).boxed()
    }
}
