//! From a raw signal to a decision: enrichment and freshness by the bot's sources, the composite score, the entry threshold.
//! The cycle and a mock signal go through the same.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    files::{self, Content},
    python::{Session, from_json},
    python_values::Value as Python,
    score::{self, Score, Weights},
};

/// The entry threshold when the file is absent.
const BASE: f64 = 2.7;
/// Highest toxicity and lowest freshness of a signal that enters.
const MAX_TOXICITY: f64 = 0.90;
const MIN_FRESHNESS: f64 = 0.3;
/// There is no model of regimes here.
const REGIME: &str = "mixed";

/// The numbers that a cycle reads afresh.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    pub weights: Weights,
    /// The score a signal needs, or why there is none; then nothing enters.
    pub threshold: Result<f64, String>,
    /// What `compute_freshness` is given.
    pub scoring: Value,
}

impl Numbers {
    /// Reads weights, adaptive multipliers, thresholds and scoring; what is broken is told and counts as absent, except that
    /// broken thresholds let nothing in.
    pub fn read(root: &Path, errors: &mut Vec<String>) -> Numbers {
        let weights = files::read(root, files::WEIGHTS).or(json!({}), errors);
        let adaptive = files::read(root, files::ADAPTIVE).or(json!({}), errors);
        let scoring = files::read(root, files::SCORING).or(json!({}), errors);
        let threshold = threshold(files::read(root, files::THRESHOLDS));
        errors.extend(threshold.clone().err());
        Numbers {
            weights: Weights::new(&weights, &adaptive["multipliers"]),
            threshold,
            scoring,
        }
    }
}

fn threshold(content: Content) -> Result<f64, String> {
    match content {
        Content::Absent => Ok(BASE),
        Content::Broken(why) => Err(why),
        Content::Json(doc) => match doc.as_object().map(|it| it.get("base")) {
            Some(None) => Ok(BASE),
            Some(Some(base)) => base.as_f64().ok_or(()),
            None => Err(()),
        }
        .map_err(|()| format!("{}: base is no number", files::THRESHOLDS)),
    }
}

/// What became of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    pub score: Score,
    /// Factor of at most 1.
    pub freshness: f64,
    pub toxicity: f64,
    pub enters: bool,
    /// Why it does not enter, or `clean`.
    pub reason: String,
    /// What `enrich_signal` answered.
    pub enriched: Value,
}

impl Judgement {
    pub fn decision(&self) -> &'static str {
        if self.enters { "signal" } else { "rejected" }
    }
}

/// What a cycle judges by.
pub struct Judge<'p> {
    pub numbers: Numbers,
    /// The started sources, or why there are none.
    pub enrichment: Result<Session<'p>, String>,
    pub main: Result<Session<'p>, String>,
}

impl Judge<'_> {
    /// Judges the signal of one symbol of the cache. `cache` is the whole cache as Python sees it, `record` the symbol's part.
    pub fn judge(
        &self,
        symbol: &str,
        cache: &Python,
        record: &Value,
        now: DateTime<Utc>,
    ) -> Result<Judgement, String> {
        let (enrichment, main) = (self.enrichment.as_ref()?, self.main.as_ref()?);
        let arguments = vec![
            Python::Text(symbol.into()),
            cache.clone(),
            Python::Text(REGIME.into()),
        ];
        let enriched = enrichment
            .call("enrich_signal", arguments)
            .map_err(|error| format!("{}: {error}", files::ENRICHMENT))?;
        let scoring = from_json(&self.numbers.scoring);
        let arguments = vec![from_json(record), Python::Int(now.timestamp()), scoring];
        let freshness = main
            .call("compute_freshness", arguments)
            .map_err(|error| format!("{}: {error}", files::MAIN))?
            .as_f64()
            .ok_or_else(|| format!("{}: the freshness is no number", files::MAIN))?;
        let score = score::composite(&enriched, &self.numbers.weights, freshness);
        let toxicity = score::toxicity(&enriched);
        let refused = self.refuse(score.total, toxicity, freshness);
        Ok(Judgement {
            score,
            freshness,
            toxicity,
            enters: refused.is_none(),
            reason: refused.unwrap_or_else(|| "clean".to_owned()),
            enriched,
        })
    }

    fn refuse(&self, score: f64, toxicity: f64, freshness: f64) -> Option<String> {
        match &self.numbers.threshold {
            Err(why) => Some(format!("no threshold: {why}")),
            Ok(base) if score < *base => Some(format!("score {score} below {base}")),
            Ok(_) if toxicity > MAX_TOXICITY => {
                Some(format!("toxicity {toxicity} above {MAX_TOXICITY}"))
            }
            Ok(_) if freshness < MIN_FRESHNESS => {
                Some(format!("freshness {freshness:.3} below {MIN_FRESHNESS}"))
            }
            Ok(_) => None,
        }
    }
}
