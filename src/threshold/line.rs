//! Which line of a threshold holds: `enough` first, then `critical`, then `warning`. The first fault ends it: an error
//! in `critical` never hides behind a `warning` that holds.

use super::{Decided, Judging, Line, explain, why};
use crate::{
    model::{status::Status, verdict::Latch},
    script::{Engine, Expr, Fault, Scope},
};

pub(super) fn decide(
    engine: &Engine,
    judging: &Judging,
    scope: &Scope<'_>,
    latch: Latch,
) -> Decided {
    if let Some(enough) = &judging.enough {
        match enough.truth(engine, scope) {
            Ok(true) => {}
            Ok(false) => {
                return Decided {
                    status: judging.on_no_data.0,
                    no_data: true,
                    error: None,
                    why: Some(why::why("enough", enough, scope)),
                    latch,
                    value: None,
                    plain: "not enough data".to_owned(),
                };
            }
            Err(fault) => return failed(judging, "enough", &fault, Some(enough), scope, latch),
        }
    }
    let mut lines = Lines {
        engine,
        scope,
        value: judging.value.as_ref(),
        known: None,
    };
    // a line that is no longer in the rule holds nothing
    let mut held = Latch {
        critical: latch.critical && judging.critical.is_some(),
        warning: latch.warning && judging.warning.is_some(),
    };
    let found = lines.worst(judging, &mut held);
    let (status, line, name) = match found {
        Ok(None) => {
            return Decided {
                status: Status::Ok,
                no_data: false,
                error: None,
                why: None,
                latch: held,
                value: lines.number(),
                plain: "fine".to_owned(),
            };
        }
        Ok(Some((status, line))) => (status, line, status.word()),
        Err((name, line, fault)) => {
            return failed(judging, name, &fault, lines.expr(line), scope, latch);
        }
    };
    let why = lines.expr(line).map(|expr| why::why(name, expr, scope));
    Decided {
        status,
        no_data: false,
        error: None,
        plain: lines.told(line, why.as_ref()),
        value: lines.number(),
        why,
        latch: held,
    }
}

fn failed(
    judging: &Judging,
    name: &str,
    fault: &Fault,
    expr: Option<&Expr>,
    scope: &Scope<'_>,
    latch: Latch,
) -> Decided {
    let error = explain(name, fault);
    Decided {
        status: judging.on_error.rule,
        no_data: false,
        plain: error.clone(),
        error: Some(error),
        why: Some(why::fault(name, fault, expr, scope)),
        latch,
        value: None,
    }
}

/// The line that could not be decided: its name and why.
type Failed<'l> = (&'static str, &'l Line, Fault);

struct Lines<'a, 'b> {
    engine: &'a Engine,
    scope: &'a Scope<'b>,
    value: Option<&'a Expr>,
    /// The value of `value:`, once asked.
    known: Option<Result<f64, Fault>>,
}

impl<'a> Lines<'a, '_> {
    /// The first line that holds, and which sides of the hysteresis hold from now on. A line that fails says so.
    fn worst<'l>(
        &mut self,
        judging: &'l Judging,
        held: &mut Latch,
    ) -> Result<Option<(Status, &'l Line)>, Failed<'l>> {
        if let Some(line) = &judging.critical {
            let holds = self.holds(line, &mut held.critical);
            if holds.map_err(|fault| ("critical", line, fault))? {
                // the other side holds or lets go by the same value, which is known by now
                if let Some(warning @ (Line::Above { .. } | Line::Below { .. })) = &judging.warning
                {
                    let _ = self.holds(warning, &mut held.warning);
                }
                return Ok(Some((Status::Critical, line)));
            }
        }
        if let Some(line) = &judging.warning {
            let holds = self.holds(line, &mut held.warning);
            if holds.map_err(|fault| ("warning", line, fault))? {
                return Ok(Some((Status::Warning, line)));
            }
        }
        Ok(None)
    }

    /// Whether a line holds. `side` is whether it held before; a hysteresis holds on until `clear` is passed.
    fn holds(&mut self, line: &Line, side: &mut bool) -> Result<bool, Fault> {
        let holds = match *line {
            Line::When(ref expr) => {
                *side = false;
                return expr.truth(self.engine, self.scope);
            }
            Line::Above { limit, clear } => {
                let value = self.value()?;
                value > limit || *side && value > clear
            }
            Line::Below { limit, clear } => {
                let value = self.value()?;
                value < limit || *side && value < clear
            }
        };
        *side = holds;
        Ok(holds)
    }

    fn value(&mut self) -> Result<f64, Fault> {
        let (engine, scope, expr) = (self.engine, self.scope, self.value);
        self.known
            .get_or_insert_with(|| match expr {
                Some(expr) => expr.number(engine, scope),
                None => Err(Fault {
                    message: "`above` and `below` need a `value`".to_owned(),
                    place: Default::default(),
                    expression: String::new(),
                }),
            })
            .clone()
    }

    /// What `value` came to, if it was asked.
    fn number(&self) -> Option<f64> {
        self.known.as_ref()?.as_ref().ok().copied()
    }

    /// The expression that a line is about.
    fn expr<'l>(&self, line: &'l Line) -> Option<&'l Expr>
    where
        'a: 'l,
    {
        match line {
            Line::When(expr) => Some(expr),
            Line::Above { .. } | Line::Below { .. } => self.value,
        }
    }

    /// What a line that holds says by itself.
    fn told(&self, line: &Line, why: Option<&crate::model::verdict::Why>) -> String {
        let value = match &self.known {
            Some(Ok(value)) => *value,
            _ => f64::NAN,
        };
        match line {
            Line::When(expr) => match why {
                Some(why) => why::sentence(why),
                None => expr.text().to_string(),
            },
            Line::Above { limit, .. } if value > *limit => {
                format!("value {value:?} is above {limit:?}")
            }
            Line::Above { clear, .. } => {
                format!("value {value:?} is still above {clear:?}")
            }
            Line::Below { limit, .. } if value < *limit => {
                format!("value {value:?} is below {limit:?}")
            }
            Line::Below { clear, .. } => {
                format!("value {value:?} is still below {clear:?}")
            }
        }
    }
}
