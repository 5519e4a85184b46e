//! The composite score: what each part of an enriched signal is worth, summed, times freshness.
//!
//! Weights come from a file and nowhere else; one that is absent weighs nothing. The numbers of the parts are this bot's own.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The weights a bot is shipped with. `toxicity_penalty` is negative.
pub const WEIGHTS: [(&str, f64); 21] = [
    ("options_flow", 2.4),
    ("dark_pool", 1.3),
    ("insider", 0.5),
    ("iv_term_skew", 0.6),
    ("smile_slope", 0.35),
    ("whale_persistence", 0.7),
    ("event_alignment", 0.4),
    ("toxicity_penalty", -0.9),
    ("temporal_motif", 0.6),
    ("regime_modifier", 0.3),
    ("congress", 0.9),
    ("shorts_squeeze", 0.7),
    ("institutional", 0.5),
    ("market_tide", 0.4),
    ("calendar_catalyst", 0.45),
    ("etf_flow", 0.3),
    ("greeks_gamma", 0.4),
    ("ftd_pressure", 0.3),
    ("iv_rank", 0.2),
    ("oi_change", 0.35),
    ("squeeze_score", 0.2),
];

/// Highest score.
const CLAMP: f64 = 8.0;

/// Effective weights: those of the file times the adaptive multipliers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights(BTreeMap<String, f64>);

impl Weights {
    /// `weights` is the content of the weights file, `multipliers` the `multipliers` of the adaptive state. A weight that is
    /// absent or no number is 0, a multiplier 1.
    pub fn new(weights: &Value, multipliers: &Value) -> Weights {
        let effective = WEIGHTS.iter().map(|(name, _)| {
            let weight = number(weights, name).unwrap_or(0.0);
            let multiplier = number(multipliers, name).unwrap_or(1.0);
            ((*name).to_owned(), weight * multiplier)
        });
        Weights(effective.collect())
    }

    fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// All 21, in the order of [`WEIGHTS`], to six decimals.
    pub fn to_json(&self) -> Value {
        let pairs = WEIGHTS
            .iter()
            .map(|(name, _)| ((*name).to_owned(), decimals(self.of(name), 6).into()));
        Value::Object(pairs.collect())
    }
}

/// A score and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// 0 to 8, three decimals.
    pub total: f64,
    /// The parts before freshness, three decimals.
    pub components: Map<String, Value>,
}

/// Scores an enriched signal. `freshness` is a factor of at most 1.
pub fn composite(enriched: &Value, weights: &Weights, freshness: f64) -> Score {
    let parts = parts(enriched, weights);
    let raw: f64 = parts.iter().map(|(_, value)| value).sum();
    let components = parts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), decimals(value, 3).into()));
    Score {
        total: decimals((raw * freshness).clamp(0.0, CLAMP), 3),
        components: components.collect(),
    }
}

/// Toxicity of an enriched signal, 0 when it has none.
pub fn toxicity(enriched: &Value) -> f64 {
    number(enriched, "toxicity").unwrap_or(0.0)
}

fn parts(signal: &Value, weights: &Weights) -> Vec<(&'static str, f64)> {
    let side = text(signal, "sentiment");
    let w = |name: &str| weights.of(name);
    let direction = |field: &str| match text(&signal[field], "direction") {
        its if directional(its) && its == side => 1.0,
        its if directional(its) && directional(side) => -1.0,
        _ => 0.0,
    };
    vec![
        ("flow", w("options_flow") * flow(signal)),
        (
            "dark_pool",
            w("dark_pool") * dark_pool(&signal["dark_pool"]),
        ),
        ("insider", w("insider") * insider(&signal["insider"])),
        ("iv", w("iv_term_skew") * iv(signal, side)),
        (
            "smile",
            w("smile_slope") * number(signal, "smile_slope").unwrap_or(0.0).abs(),
        ),
        (
            "whale",
            w("whale_persistence") * whale(&signal["motif_whale"]),
        ),
        (
            "event",
            w("event_alignment") * number(signal, "event_alignment").unwrap_or(0.0),
        ),
        ("toxicity", w("toxicity_penalty") * poison(toxicity(signal))),
        ("motif", w("temporal_motif") * motifs(signal)),
        (
            "regime",
            w("regime_modifier") * (regime(signal, side) - 1.0) * 2.0,
        ),
        ("congress", w("congress") * 0.4 * direction("congress")),
        (
            "shorts",
            w("shorts_squeeze") * above(&signal["shorts"], "interest_pct", 20.0, 0.5),
        ),
        (
            "institutional",
            w("institutional") * institutional(signal, side),
        ),
        ("tide", w("market_tide") * 0.2 * direction("market_tide")),
        (
            "calendar",
            w("calendar_catalyst") * calendar(&signal["calendar"]),
        ),
        (
            "greeks",
            w("greeks_gamma") * above(&signal["greeks"], "gamma_exposure", 1e6, 0.3),
        ),
        (
            "ftd",
            w("ftd_pressure") * above(&signal["shorts"], "fails", 2e5, 0.5),
        ),
        ("iv_rank", w("iv_rank") * iv_rank(signal)),
        ("oi", w("oi_change") * 0.2 * direction("oi_change")),
        ("etf", w("etf_flow") * 0.2 * direction("etf_flow")),
        (
            "squeeze",
            w("squeeze_score") * number(signal, "squeeze_score").unwrap_or(0.0),
        ),
    ]
}

fn flow(signal: &Value) -> f64 {
    let conviction = number(signal, "conviction").unwrap_or(0.0);
    let lifted = if conviction < 0.3 {
        conviction + 0.2
    } else {
        conviction
    };
    lifted.min(1.0)
}

fn dark_pool(pool: &Value) -> f64 {
    if !directional(text(pool, "sentiment")) {
        return 0.2;
    }
    let notional = number(pool, "total_notional").unwrap_or(0.0).max(1.0);
    0.5 + (notional.log10() / 7.5).min(0.8)
}

fn insider(insider: &Value) -> f64 {
    let modifier = number(insider, "conviction_modifier").unwrap_or(0.0);
    match text(insider, "sentiment") {
        "BULLISH" => 0.5 + modifier,
        "BEARISH" => 0.5 - modifier.abs(),
        _ => 0.25,
    }
}

/// Skew counts more when it leans the way of the flow.
fn iv(signal: &Value, side: &str) -> f64 {
    let skew = number(signal, "iv_term_skew").unwrap_or(0.0);
    let aligned = skew > 0.0 && side == "BULLISH" || skew < 0.0 && side == "BEARISH";
    skew.abs() * if aligned { 1.3 } else { 0.7 }
}

fn whale(motif: &Value) -> f64 {
    if detected(motif) {
        number(motif, "avg_conviction").unwrap_or(0.0)
    } else {
        0.0
    }
}

fn poison(toxicity: f64) -> f64 {
    match toxicity {
        t if t > 0.5 => (t - 0.5) * 1.5,
        t if t > 0.3 => (t - 0.3) * 0.5,
        _ => 0.0,
    }
}

fn motifs(signal: &Value) -> f64 {
    let names = ["motif_staircase", "motif_burst", "motif_sweep_block"];
    let seen = names
        .iter()
        .filter(|name| detected(&signal[**name]))
        .count();
    0.3 * seen as f64
}

fn regime(signal: &Value, side: &str) -> f64 {
    match (text(signal, "regime"), side) {
        ("risk_on", "BULLISH") | ("risk_off", "BEARISH") => 1.1,
        ("risk_on", "BEARISH") | ("risk_off", "BULLISH") => 0.9,
        _ => 1.0,
    }
}

/// Filings lag by weeks: until there are some, the record of insiders stands in for them, with the side of the flow.
fn institutional(signal: &Value, side: &str) -> f64 {
    match text(&signal["institutional"], "direction") {
        its if directional(its) && its == side => 1.15,
        its if directional(its) => -0.3,
        _ if !filled(&signal["insider"]) => 0.0,
        _ if directional(side) => 1.15,
        _ => 0.15,
    }
}

fn calendar(calendar: &Value) -> f64 {
    match number(calendar, "days_to_event") {
        Some(days) if (0.0..=5.0).contains(&days) => 0.4,
        _ => 0.0,
    }
}

/// Options that are cheap against their own year are worth more.
fn iv_rank(signal: &Value) -> f64 {
    match number(signal, "iv_rank") {
        Some(rank) if rank < 20.0 => 0.5,
        Some(rank) if rank > 80.0 => -0.25,
        _ => 0.15,
    }
}

fn above(record: &Value, field: &str, limit: f64, worth: f64) -> f64 {
    match number(record, field) {
        Some(value) if value.abs() > limit => worth,
        _ => 0.0,
    }
}

fn directional(side: &str) -> bool {
    matches!(side, "BULLISH" | "BEARISH")
}

fn detected(motif: &Value) -> bool {
    motif["detected"] == Value::Bool(true)
}

fn filled(record: &Value) -> bool {
    record.as_object().is_some_and(|it| !it.is_empty())
}

/// A finite number of an object's field.
pub fn number(record: &Value, field: &str) -> Option<f64> {
    record.get(field)?.as_f64().filter(|it| it.is_finite())
}

fn text<'v>(record: &'v Value, field: &str) -> &'v str {
    record.get(field).and_then(Value::as_str).unwrap_or("")
}

/// Rounded to so many decimals.
pub fn decimals(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    let rounded = (value * scale).round() / scale;
    if rounded == 0.0 { 0.0 } else { rounded }
}
