//! A path of a rule: plain, or with templates that are filled in at each look; and what file kinds share.

use std::{borrow::Cow, io::Read};

use serde_json::Value;

use super::{Eyes, ProbeError, Workshop};
use crate::{
    model::{
        moment::Moment,
        text::{Mistake, Text},
    },
    permission::{Denied, Opened, settings::Size},
    script::{Scope, Template},
};

/// A text of a probe. One without `${…}` is taken apart at load and costs nothing at a look.
#[derive(Debug)]
pub(super) enum Filled {
    Plain(String),
    Template(Box<Template>),
}

impl Filled {
    pub(super) fn build(text: &Text, workshop: &mut Workshop<'_>) -> Option<Filled> {
        let template = Template::compile(workshop.engine, text, workshop.known, workshop.mistakes)?;
        Some(match template.constant() {
            Some(plain) => Filled::Plain(plain.to_owned()),
            None => Filled::Template(Box::new(template)),
        })
    }

    /// A path: one that may never be looked at is a mistake already at load.
    pub(super) fn path(text: &Text, workshop: &mut Workshop<'_>) -> Option<Filled> {
        let filled = Filled::build(text, workshop)?;
        if let Some(Err(denied)) = filled
            .plain()
            .map(|path| workshop.permission.may_look(path))
        {
            workshop.mistakes.push(not_allowed(&denied, text));
            return None;
        }
        Some(filled)
    }

    pub(super) fn plain(&self) -> Option<&str> {
        match self {
            Filled::Plain(text) => Some(text),
            Filled::Template(_) => None,
        }
    }

    pub(super) fn at(&self, eyes: &Eyes) -> Result<Cow<'_, str>, ProbeError> {
        match self {
            Filled::Plain(text) => Ok(Cow::Borrowed(text)),
            Filled::Template(template) => template
                .render(&eyes.engine, &Scope::new(&eyes.ground))
                .map(Cow::Owned)
                .map_err(|fault| ProbeError(format!("{}: {fault}", template.text()))),
        }
    }
}

impl Filled {
    /// As [`Filled::at`], but `None` if a `${…}` gives `()`.
    pub(super) fn given(&self, eyes: &Eyes) -> Result<Option<Cow<'_, str>>, ProbeError> {
        match self {
            Filled::Plain(text) => Ok(Some(Cow::Borrowed(text))),
            Filled::Template(template) => template
                .given(&eyes.engine, &Scope::new(&eyes.ground))
                .map(|given| given.map(Cow::Owned))
                .map_err(|fault| ProbeError(format!("{}: {fault}", template.text()))),
        }
    }
}

pub(super) fn not_allowed(denied: &Denied, text: &Text) -> Mistake {
    Mistake::new("not-allowed", denied.told(), text.place())
}

impl From<Denied> for ProbeError {
    fn from(denied: Denied) -> ProbeError {
        ProbeError(denied.told())
    }
}

/// All of a file; an error if there is more than `most`.
pub(super) fn whole(path: &str, opened: &mut Opened, most: Size) -> Result<Vec<u8>, ProbeError> {
    let too_large = || ProbeError(format!("{path} is larger than {most} (`max_size`)"));
    // Not read at all; and one that grows meanwhile not much further than that.
    if opened.stat.size > most.0 {
        return Err(too_large());
    }
    let expected = usize::try_from(opened.stat.size).unwrap_or(0);
    let mut bytes = Vec::with_capacity(expected.saturating_add(1));
    (&mut opened.file)
        .take(most.0.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| ProbeError(format!("could not read {path}: {error}")))?;
    if bytes.len() as u64 > most.0 {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Seconds from `then` to `now`; negative when `then` lies ahead.
pub(super) fn age(now: Moment, then: Moment) -> Value {
    Value::from(now.0.saturating_sub(then.0) as f64 / 1000.0)
}
