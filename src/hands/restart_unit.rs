//! `restart_unit`: restarts a unit of systemd that `homeostat.yaml` allows to be restarted.
//!
//! Nothing is asked before the act: a dry run starts no program. At the act `systemctl` is run without a shell, and the unit
//! is looked at before and after; one that is not active afterwards was not restarted.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Effect, Eyes, HandsError, Kind, args, denied};
use crate::{
    model::{
        node::{self, Node},
        span::Span,
        text::{Mistake, Text},
    },
    permission::{
        Permission,
        restarting::{self, Unit},
    },
};

pub static KIND: Kind = Kind {
    name: "restart_unit",
    about: "Restarts a unit of systemd that homeostat.yaml allows to be restarted (`allow.units`); it must be active afterwards.",
    example: "restart_unit: { unit: trading-bot.service, timeout: 30s }",
    shorthand: Some("unit"),
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// No step takes longer, whatever it says.
const LONGEST: Duration = Duration::from_secs(3600);

/// Restarts a unit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Its name; without a kind, as `.timer`, it is a service.
    unit: Text,
    /// Whose it is. By default of the system.
    #[serde(default)]
    scope: Scope,
    /// For the restart and the looks before and after it; then `systemctl` is killed. At most 1h.
    #[serde(default = "half_a_minute")]
    timeout: Span,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    System,
    /// Of the user that the engine runs as.
    User,
}

fn half_a_minute() -> Span {
    Span::seconds(30)
}

fn bounded(timeout: Span) -> Result<(), String> {
    match timeout.0 {
        Duration::ZERO => Err("a time limit of nothing leaves no time to restart".to_owned()),
        long if long > LONGEST => Err(format!(
            "`{timeout}` is longer than a step may take: at most 1h"
        )),
        _ => Ok(()),
    }
}

impl Args {
    fn unit(&self) -> Result<Unit, String> {
        Unit::new(self.unit.as_str(), self.scope == Scope::User)
    }
}

fn check(node: &Node, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    let Some(args) = node::decode::<Args>(node, mistakes) else {
        return;
    };
    if let Err(reason) = bounded(args.timeout) {
        let place = args::place(node, "timeout");
        mistakes.push(Mistake::new("bad-value", reason, place));
    }
    let refused = |reason: String, unit: Option<&Unit>| {
        Mistake::new("forbidden-unit", reason, args.unit.place()).help(restarting::help(unit))
    };
    if args::constant(&args.unit).is_none() {
        // which one is known only when it is filled in
        if let Err(error) = permission.may_restart_any() {
            mistakes.push(refused(error.told(), None));
        }
        return;
    }
    match args.unit() {
        Ok(unit) => {
            if let Err(error) = permission.may_restart(&unit) {
                mistakes.push(refused(error.told(), Some(&unit)));
            }
        }
        Err(reason) => mistakes.push(Mistake::new("bad-value", reason, args.unit.place())),
    }
}

fn prepare(args: &Map<String, Value>, eyes: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    bounded(args.timeout).map_err(HandsError::Failed)?;
    let unit = args.unit().map_err(HandsError::Failed)?;
    eyes.permission.may_restart(&unit).map_err(denied)?;
    Ok(Effect::Restart {
        unit,
        timeout: args.timeout.0,
    })
}

#[cfg(test)]
mod tests;
