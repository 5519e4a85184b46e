//! The broker: a book of positions and cash, orders that fill at once, and quotes.
//!
//! Its book is kept in a file, so that a bot that is started again finds its positions.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    feed::unit,
    files::{self, Content},
    outside::Outside,
    score::decimals,
};

/// What an account starts with, in USD.
const START: f64 = 51_234.5;
/// A position that the broker has and nobody ordered, while its positions are at fault.
const STRANGER: &str = "AMD";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Long,
    Short,
}

impl Side {
    fn sign(self) -> f64 {
        match self {
            Side::Long => 1.0,
            Side::Short => -1.0,
        }
    }

    /// The order that opens such a position, and the one that closes it.
    pub fn orders(self) -> (&'static str, &'static str) {
        match self {
            Side::Long => ("buy", "sell"),
            Side::Short => ("sell", "buy"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    pub qty: u32,
    pub side: Side,
    /// USD a share.
    pub avg_entry_price: f64,
}

/// Realised results of one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Day {
    pub date: NaiveDate,
    pub pnl_usd: f64,
    /// Positions closed, and how many of them with a gain.
    pub trades: u32,
    pub won: u32,
}

impl Day {
    pub fn new(date: NaiveDate) -> Day {
        Day {
            date,
            pnl_usd: 0.0,
            trades: 0,
            won: 0,
        }
    }

    pub fn count(&mut self, pnl: f64) {
        self.pnl_usd += pnl;
        self.trades += 1;
        self.won += u32::from(pnl > 0.0);
    }
}

/// What is kept of the account and of the session under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// Realised gains since the start, in USD.
    pub realised: f64,
    pub positions: BTreeMap<String, Position>,
    pub day: Option<Day>,
}

impl Book {
    /// The kept book; a new one when there is none or it cannot be read, which is told.
    pub fn open(root: &Path) -> (Book, Option<String>) {
        let new = Book {
            realised: 0.0,
            positions: BTreeMap::new(),
            day: None,
        };
        match files::read(root, files::BOOK) {
            Content::Absent => (new, None),
            Content::Broken(why) => (new, Some(why)),
            Content::Json(value) => match serde_json::from_value(value) {
                Ok(book) => (book, None),
                Err(error) => (new, Some(format!("{}: {error}", files::BOOK))),
            },
        }
    }

    pub fn save(&self, root: &Path, now: DateTime<Utc>) -> Result<(), String> {
        let value = serde_json::to_value(self).map_err(|error| error.to_string())?;
        files::replace_json(root, files::BOOK, &value, false, now)
    }

    /// Opens a position.
    pub fn open_position(
        &mut self,
        symbol: &str,
        position: Position,
        outside: Outside,
    ) -> Result<(), String> {
        reachable(outside)?;
        self.positions.insert(symbol.to_owned(), position);
        Ok(())
    }

    /// The order that closes a position.
    pub fn closing_order(&self, symbol: &str) -> &'static str {
        let side = self.positions.get(symbol).map_or(Side::Long, |it| it.side);
        side.orders().1
    }

    /// Closes a position at a price and answers its quantity and the gain in USD.
    pub fn close_position(
        &mut self,
        symbol: &str,
        price: f64,
        outside: Outside,
    ) -> Result<(u32, f64), String> {
        reachable(outside)?;
        let refused = || format!("{symbol}: insufficient qty available");
        if outside.positions && self.lacking() == Some(symbol) {
            return Err(refused());
        }
        let position = self.positions.remove(symbol).ok_or_else(refused)?;
        let gain = position.side.sign() * (price - position.avg_entry_price);
        let pnl = decimals(gain * f64::from(position.qty), 2);
        self.realised = decimals(self.realised + pnl, 2);
        Ok((position.qty, pnl))
    }

    /// The position the broker lacks while its positions are at fault.
    fn lacking(&self) -> Option<&str> {
        self.positions.keys().next().map(String::as_str)
    }

    /// The positions as the broker tells them.
    pub fn told(&self, outside: Outside) -> BTreeMap<String, Position> {
        let mut told = self.positions.clone();
        if outside.positions {
            told.pop_first();
            let stranger = Position {
                qty: 10,
                side: Side::Long,
                avg_entry_price: 215.0,
            };
            told.insert(STRANGER.to_owned(), stranger);
        }
        told
    }

    /// `GET /v2/positions`
    pub fn positions_json(&self, outside: Outside) -> Value {
        let told = self.told(outside);
        let rows = told.iter().map(|(symbol, it)| {
            json!({
                "symbol": symbol,
                "qty": it.qty.to_string(),
                "side": it.side,
                "avg_entry_price": it.avg_entry_price.to_string(),
                "market_value": decimals(it.side.sign() * f64::from(it.qty) * it.avg_entry_price, 2).to_string(),
            })
        });
        Value::Array(rows.collect())
    }

    /// `GET /v2/account`. Amounts are text, in USD; positions count at their entry price.
    pub fn account_json(&self) -> Value {
        let bound: f64 = self
            .positions
            .values()
            .map(|it| it.side.sign() * f64::from(it.qty) * it.avg_entry_price)
            .sum();
        let equity = decimals(START + self.realised, 2);
        let cash = decimals(equity - bound, 2);
        json!({
            "id": "b7a1c9d2-paper",
            "status": "ACTIVE",
            "equity": equity.to_string(),
            "cash": cash.to_string(),
            "buying_power": decimals(cash.max(0.0) * 2.0, 2).to_string(),
        })
    }
}

fn reachable(outside: Outside) -> Result<(), String> {
    if outside.broker_down {
        return Err("the broker answers 503".to_owned());
    }
    Ok(())
}

/// What an order is filled at, in USD: a little inside the spread.
pub fn fill(symbol: &str, order: &str, now: DateTime<Utc>) -> f64 {
    const INSIDE: f64 = 0.000_04;
    let better = if order == "buy" { -INSIDE } else { INSIDE };
    decimals(quote(symbol, now) * (1.0 + better), 2)
}

/// The price of a symbol, in USD: a wave and noise.
pub fn quote(symbol: &str, now: DateTime<Utc>) -> f64 {
    let base = match symbol {
        "AAPL" => 250.0,
        "MSFT" => 480.0,
        "NVDA" => 140.0,
        "QQQ" => 520.0,
        "SPY" => 590.0,
        "TSLA" => 410.0,
        _ => 100.0,
    };
    let seconds = now.timestamp() as f64;
    let phase = unit(symbol, 0, "phase") * std::f64::consts::TAU;
    let wave = 0.002 * (seconds / 5820.0 + phase).sin();
    let tick = u64::try_from(now.timestamp()).unwrap_or(0);
    let noise = 0.0006 * (unit(symbol, tick, "noise") - 0.5);
    base * (1.0 + wave + noise)
}
