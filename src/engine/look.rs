//! One look: the probes, then the judgement. The same for every driver.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    clock::{self, Stopwatch},
    model::{facts::Facts, moment::Moment, standing::Prior, verdict::Verdict},
    probe::{Eyes, Look, Probe},
    rules::book::{Check, Probes},
    script::Expr,
    threshold::{self, Asked},
};

/// What one look is for.
#[derive(Clone, Default)]
pub struct Purpose {
    pub prior: Arc<Prior>,
    /// `verify.until`, from the plan of the attempt that is verified.
    pub until: Option<Expr>,
    /// When the repair acted that it is to prove.
    pub acted: Option<Moment>,
    pub keep: bool,
    pub ledger: Option<Value>,
}

/// Whether all probes of this check only read files, so that it may run in a batch.
pub fn is_quick(check: &Check) -> bool {
    match &check.probes {
        Probes::One(probe) => probe.quick().is_some(),
        Probes::Many(probes) => probes.iter().all(|(_, probe)| probe.quick().is_some()),
    }
}

/// Looks and judges on this thread. Only for checks that [`is_quick`].
pub fn take_quick(check: &Check, eyes: &Eyes, purpose: &Purpose) -> Verdict {
    let watch = Stopwatch::new();
    let one = |probe: &dyn Probe| match probe.quick().map(|look: &dyn Look| look.look(eyes)) {
        Some(Ok(facts)) => Ok(facts),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("this probe cannot run in a batch".to_owned()),
    };
    let looked = match &check.probes {
        Probes::One(probe) => one(probe.as_ref()),
        Probes::Many(probes) => probes
            .iter()
            .try_fold(Facts::new(), |facts, (name, probe)| {
                Ok(facts.with(name.clone(), named(name, one(probe.as_ref()))?))
            }),
    };
    judge(check, looked, eyes, purpose, watch)
}

/// What is judged of a look that could not be taken or has not come back. Nothing is looked at.
pub fn failed(check: &Check, eyes: &Eyes, purpose: &Purpose, why: String) -> Verdict {
    judge(check, Err(why), eyes, purpose, Stopwatch::new())
}

/// Why a look is given up that takes longer than its check lets it.
pub fn no_answer(limit: Duration) -> String {
    format!("no answer within {}", short(limit))
}

/// Looks with a time limit, then judges on a blocking thread.
pub async fn take(check: Arc<Check>, eyes: Eyes, purpose: Purpose) -> Verdict {
    let watch = Stopwatch::new();
    let looked = tokio::select! {
        looked = observe(&check, &eyes) => looked,
        () = clock::sleep(eyes.limit) => Err(no_answer(eyes.limit)),
    };
    let judged = tokio::task::spawn_blocking(move || judge(&check, looked, &eyes, &purpose, watch));
    judged
        .await
        .unwrap_or_else(|error| Verdict::unknown(format!("the look ended early: {error}")))
}

async fn observe(check: &Check, eyes: &Eyes) -> Result<Facts, String> {
    let one = |probe: Arc<dyn Probe>| {
        let eyes = eyes.clone();
        async move {
            probe
                .observe(&eyes)
                .await
                .map_err(|error| error.to_string())
        }
    };
    match &check.probes {
        Probes::One(probe) => one(probe.clone()).await,
        Probes::Many(probes) => {
            let all = probes.iter().map(|(_, probe)| one(probe.clone()));
            let all = futures::future::join_all(all).await;
            probes
                .iter()
                .zip(all)
                .try_fold(Facts::new(), |facts, ((name, _), looked)| {
                    Ok(facts.with(name.clone(), named(name, looked)?))
                })
        }
    }
}

fn named(name: &str, looked: Result<Facts, String>) -> Result<Value, String> {
    looked
        .map(|facts| facts.to_json())
        .map_err(|error| format!("{name}: {error}"))
}

fn judge(
    check: &Check,
    looked: Result<Facts, String>,
    eyes: &Eyes,
    purpose: &Purpose,
    watch: Stopwatch,
) -> Verdict {
    let asked = Asked {
        until: purpose.until.as_ref(),
        acted: purpose.acted,
        keep: purpose.keep,
        ledger: purpose.ledger.as_ref(),
    };
    let mut verdict = threshold::judge(
        &eyes.engine,
        &check.judging,
        looked,
        &purpose.prior,
        &eyes.ground,
        asked,
    );
    verdict.duration_ms = watch.milliseconds();
    // It is judged: from here on it is told.
    eyes.permission.secrets().hide_verdict(&mut verdict);
    verdict
}

fn short(span: Duration) -> String {
    humantime::format_duration(Duration::from_millis(span.as_millis() as u64)).to_string()
}
