//! The incidents that stopped the bot from trading, end to end: the real engine with the shipped rules, and the reference
//! bot that really stops and really trades again.
//!
//! | module | is about |
//! |---|---|
//! | [`repaired`] | each incident, and all of them together: found, repaired, and proven by orders |
//! | [`watched`] | the same without repairs: they are told, and nothing is touched |
//! | [`meant`] | thresholds that a person raised on purpose |

#[path = "../../examples/trading_bot/bot/mod.rs"]
mod bot;

#[path = "../common/mod.rs"]
mod common;
mod meant;
mod repaired;
mod watched;
mod world;
