//! The feed daemon: it gathers option flow and keeps the flow cache.
//!
//! The feed is made up, but as a living one: each symbol has moods that last some minutes. What it says depends on the symbol
//! and the number of the cycle alone. Trades arrive raw; the bot's own parser puts them into its words.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    files,
    python::{Session, from_json},
    python_values::Value as Python,
    score::{decimals, number},
};

/// What the bot trades.
pub const SYMBOLS: [&str; 6] = ["AAPL", "MSFT", "NVDA", "QQQ", "SPY", "TSLA"];

/// The parser in the bot's main source.
const PARSER: &str = "Client._normalize_flow_trade";
/// How many cycles a mood lasts.
const MOOD: u64 = 5;

/// Writes the cache anew, unless somebody else holds its lock. Trades that the parser refuses are told in `errors`.
pub fn write(
    root: &Path,
    cycle: u64,
    now: DateTime<Utc>,
    parser: Option<&Session<'_>>,
    errors: &mut Vec<String>,
) {
    let lock = root.join(files::LOCK);
    let locked = files::make_room(&lock).and_then(|()| {
        std::fs::File::options()
            .write(true)
            .create_new(true)
            .open(&lock)
    });
    if let Err(error) = locked {
        errors.push(format!("the feed cannot lock its cache: {error}"));
        return;
    }
    let mut cache = Map::new();
    for symbol in SYMBOLS {
        let mut record = record(symbol, cycle, now);
        if let Err(why) = read_trades(&mut record, parser) {
            errors.push(format!("{symbol}: {why}"));
        }
        cache.insert(symbol.to_owned(), Value::Object(record));
    }
    let about = json!({"updated": now.timestamp(), "cycle": cycle, "symbols": SYMBOLS.len(), "source": "uw_flow_daemon"});
    cache.insert("_metadata".to_owned(), about);
    if let Err(why) = files::replace_json(root, files::CACHE, &Value::Object(cache), false, now) {
        errors.push(why);
    }
    if let Err(error) = std::fs::remove_file(&lock) {
        errors.push(format!("the feed cannot unlock its cache: {error}"));
    }
}

/// Sets sentiment and conviction of a record from its `flow_trades`, as the bot's parser reads them. Trades of which it says no
/// conviction or no type do not count; without any, the record is neutral and has no conviction.
pub fn read_trades(
    record: &mut Map<String, Value>,
    parser: Option<&Session<'_>>,
) -> Result<(), String> {
    let Some(trades) = record.get("flow_trades").and_then(Value::as_array) else {
        return Ok(());
    };
    let mut convictions = Vec::new();
    let mut lean = 0;
    let mut failed = None;
    for trade in trades {
        let arguments = vec![Python::None, from_json(trade)];
        let parsed = match parser.map(|it| it.call(PARSER, arguments)) {
            Some(Ok(parsed)) => parsed,
            Some(Err(error)) => {
                failed = Some(error.to_string());
                continue;
            }
            None => {
                failed = Some("no parser".to_owned());
                continue;
            }
        };
        let conviction = number(&parsed, "flow_conv");
        let kind = parsed.get("signal_type").and_then(Value::as_str);
        if let (Some(conviction), Some(kind)) = (conviction, kind) {
            convictions.push(conviction);
            lean += i32::from(kind.starts_with("BULLISH")) - i32::from(kind.starts_with("BEARISH"));
        }
    }
    let sentiment = match lean {
        1.. => "BULLISH",
        0 => "NEUTRAL",
        _ => "BEARISH",
    };
    let mean = if convictions.is_empty() {
        0.0
    } else {
        convictions.iter().sum::<f64>() / convictions.len() as f64
    };
    record.insert("sentiment".to_owned(), sentiment.into());
    record.insert("conviction".to_owned(), decimals(mean, 3).into());
    failed.map_or(Ok(()), |why| {
        Err(format!("a trade cannot be parsed: {why}"))
    })
}

/// What the feed says of a symbol in a cycle. `_last_update` lies two to six minutes back.
fn record(symbol: &str, cycle: u64, now: DateTime<Utc>) -> Map<String, Value> {
    let each = |label: &str, low: f64, high: f64| low + (high - low) * unit(symbol, cycle, label);
    let mood = unit(symbol, cycle / MOOD, "mood");
    let bearish = unit(symbol, cycle / MOOD, "side") < 0.15;
    let side = if bearish { "BEARISH" } else { "BULLISH" };
    let strong = mood < 0.70;
    let whale = (0.70..0.80).contains(&mood);
    let dark = (0.80..0.85).contains(&mood);
    let conviction = match () {
        () if strong => each("conviction", 0.82, 0.91),
        () if whale => each("conviction", 0.60, 0.66),
        () if dark => each("conviction", 0.42, 0.48),
        () => each("conviction", 0.40, 0.55),
    };
    let kinds = if strong || whale {
        [
            format!("{side}_SWEEP"),
            format!("{side}_BLOCK"),
            format!("{side}_SPLIT"),
        ]
    } else {
        ["BULLISH_SPLIT", "BEARISH_SPLIT", "NEUTRAL_CROSS"].map(str::to_owned)
    };
    let trades: Vec<Value> = kinds
        .iter()
        .zip([-0.02, 0.0, 0.02])
        .map(|(kind, off)| {
            let premium = each(kind, 4e4, 2e6).round();
            json!({"c": decimals(conviction + off, 3), "k": kind, "p": premium})
        })
        .collect();
    let lean = if bearish { -1.0 } else { 1.0 };
    let tide = if unit("tide", cycle / 30, "") < 0.5 {
        "BULLISH"
    } else {
        "NEUTRAL"
    };
    let notional = each("notional", 2e6, 6e6).round();
    let pool = if dark { side } else { "MIXED" };
    let signal = json!({
        "flow_trades": trades,
        "dark_pool": {"sentiment": pool, "total_notional": notional, "print_count": each("prints", 3.0, 20.0).round()},
        "insider": {"sentiment": "BULLISH", "net_buys": each("buys", 5.0, 90.0).round(), "conviction_modifier": 0.0},
        "market_tide": {"direction": tide},
        "iv_rank": each("iv_rank", 25.0, 75.0).round(),
        "iv_term_skew": decimals(lean * each("skew", 0.02, 0.08), 3),
        "smile_slope": decimals(each("smile", 0.01, 0.06), 3),
        "toxicity": decimals(each("toxicity", 0.05, 0.40), 3),
        "event_alignment": decimals(each("event", 0.10, 0.30), 3),
        "motif_whale": {"detected": whale, "avg_conviction": decimals(each("whale", 0.75, 0.95), 3)},
        "_last_update": now.timestamp() - each("age", 120.0, 360.0) as i64,
    });
    match signal {
        Value::Object(record) => record,
        _ => Map::new(),
    }
}

/// A number from 0 to 1 that looks random but depends on its arguments alone (FNV-1a, then the finalizer of splitmix64).
pub fn unit(symbol: &str, cycle: u64, label: &str) -> f64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let number = cycle.to_le_bytes();
    for byte in symbol.bytes().chain(number).chain(label.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
