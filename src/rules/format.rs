//! What may stand in a rule file: the keys and the form of their values, one type for each map. Reading and the JSON
//! Schema both come from these types; what the values mean is `compile`'s business.
//!
//! A [`Part`] is read by itself, so that a mistake in one part hides none in another.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    testing::TestForm,
    values::{Backoff, BadStatus, For, LimitText, NoticeStatus, StatusWord},
};
use crate::{
    hands,
    model::{node::Part, span::Span, text::Text},
    notify, probe,
};

/// A rule file of homeostat: any of these parts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// For every check of this file, unless it says otherwise.
    pub defaults: Option<Part<DefaultsRule>>,
    /// Values that expressions read as `vars.NAME`; `--set NAME=VALUE` overrides them.
    pub vars: Option<Part<BTreeMap<String, Value>>>,
    /// When something is open, by name: for `during` and `quiet` of triggers.
    pub calendars: Option<Part<BTreeMap<String, CalendarRule>>>,
    pub checks: Option<Part<Vec<CheckRule>>>,
    /// Root-cause sessions: sets of checks run together.
    pub investigations: Option<Part<Vec<InvestigationRule>>>,
    /// Who is told, by name: `notify` of checks and `escalate` of remediations name them.
    pub notifiers: Option<Part<BTreeMap<String, NotifierRule>>>,
    /// Tests of the rules, run by `homeostat test`.
    pub tests: Option<Part<Vec<TestForm>>>,
}

/// Somebody who is told: by one or more channels, of what, and when.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifierRule {
    /// Who that is, in a sentence.
    pub about: Option<String>,
    /// The file to which every page and notice is written as one line of JSON, below `data`, `state` or `logs`.
    pub journal: Option<Text>,
    /// An HTTP request: JSON, or as Slack, Discord, ntfy, Telegram or Teams want it.
    pub webhook: Option<Part<notify::WebhookForm>>,
    /// A mail by SMTP.
    pub email: Option<Part<notify::EmailForm>>,
    /// A program that homeostat.yaml allows.
    pub command: Option<Part<notify::CommandForm>>,
    /// A Prometheus Alertmanager.
    pub alertmanager: Option<Part<notify::AlertmanagerForm>>,
    /// Checks it is told of, beside those whose `notify` names it.
    #[serde(rename = "for")]
    pub which: Option<Part<ForForm>>,
    /// How bad an incident must be (critical).
    pub when: Option<Vec<NoticeStatus>>,
    /// Told only of what still stands after this (30s): repairs get their chance.
    pub after: Option<Span>,
    /// Told again in such intervals, as long as nobody acknowledges it.
    pub repeat: Option<Span>,
    /// Also of what was over before it was told (false).
    pub repaired: Option<bool>,
    /// At most so many notices in any window of that length; what is over it comes in one.
    pub limit: Option<LimitText>,
    /// Quiet hours: a calendar, while which is open nothing is told.
    pub quiet: Option<Part<QuietForm>>,
    /// Who is told when nobody acknowledges.
    pub escalate: Option<Part<NotifierEscalateRule>>,
}

/// Some checks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForRule {
    pub checks: Option<Vec<Text>>,
    /// Checks that have one of these.
    pub tags: Option<Vec<String>>,
    /// Checks whose first tag this is; of checks without tags, the name of their file.
    pub layers: Option<Vec<String>>,
}

/// `all`, or some checks.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum ForForm {
    All(String),
    Some(ForRule),
}

/// Quiet hours, with what is told all the same.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietRule {
    #[schemars(required)]
    pub calendar: Option<Text>,
    /// Statuses that are told all the same.
    pub but: Option<Vec<NoticeStatus>>,
}

/// The name of a calendar, or with what is told all the same.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum QuietForm {
    Calendar(String),
    But(QuietRule),
}

/// Who is told when nobody acknowledges within a time.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifierEscalateRule {
    #[schemars(required)]
    pub after: Option<Span>,
    /// Notifiers.
    #[schemars(required)]
    pub to: Option<Vec<Text>>,
}

/// What checks have in common.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsRule {
    pub trigger: Option<Part<TriggerRule>>,
    /// The time zone of cron expressions and calendars that say none (UTC).
    pub timezone: Option<Text>,
    /// The longest a look may take.
    pub timeout: Option<Span>,
    pub tags: Option<Vec<String>>,
    pub needs: Option<Vec<Text>>,
    /// Notifiers that are told of the incidents of these checks.
    pub notify: Option<Vec<Text>>,
    pub on_error: Option<Part<OnErrorForm>>,
    pub on_no_data: Option<StatusWord>,
    /// The file every look is written to.
    pub journal: Option<Text>,
    pub remediation: Option<Part<DefaultRemediationRule>>,
}

/// What the remediations of a file have in common; they have steps of their own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultRemediationRule {
    pub when: Option<Vec<BadStatus>>,
    pub verify: Option<Part<VerifyRule>>,
    pub guard: Option<Part<GuardRule>>,
    pub rollback: Option<bool>,
    pub approve: Option<bool>,
    pub approve_within: Option<Span>,
    pub escalate: Option<Vec<Text>>,
}

/// One named thing to watch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRule {
    /// Unique over all files: letters, digits, `_`, `-` and `.`.
    #[schemars(required)]
    pub name: Option<Text>,
    /// What holds when the check is OK, in a sentence.
    pub about: Option<String>,
    pub tags: Option<Vec<String>>,
    /// When to look.
    pub trigger: Option<Part<TriggerRule>>,
    /// The longest a look may take (10s).
    pub timeout: Option<Span>,
    /// Where to look: one kind with its settings. Its facts are names in the expressions.
    pub probe: Option<Part<ProbeForm>>,
    /// Several looks; the facts of each stand under its name.
    pub probes: Option<Part<BTreeMap<String, ProbeForm>>>,
    /// When this does not hold there is not enough to judge by, and the status is `on_no_data`.
    pub enough: Option<Text>,
    pub on_no_data: Option<StatusWord>,
    /// The status when the probe or an expression fails.
    pub on_error: Option<Part<OnErrorForm>>,
    /// Named values, computed when first used.
    #[serde(rename = "let")]
    pub lets: Option<Part<BTreeMap<String, Text>>>,
    /// What `above` and `below` compare.
    pub value: Option<Text>,
    /// What is bad.
    pub threshold: Option<Part<ThresholdRule>>,
    /// One text for every status, or one for each.
    pub message: Option<Part<MessageForm>>,
    /// State across looks, seen next time as `kept.NAME`.
    pub keep: Option<Part<BTreeMap<String, Text>>>,
    /// What `kept` is at the first look.
    pub keep_start: Option<Part<Map<String, Value>>>,
    /// What a person may confirm as meant so (`homeostat confirm CHECK`); expressions see what was as `baseline`.
    pub baseline: Option<Text>,
    /// What must hold too, when this check is asked to prove a repair (`verify.checks`). `acted` is when that acted, in
    /// epoch seconds: what was seen before it proves nothing.
    pub proves: Option<Text>,
    /// Keys merged into a JSON file after every look.
    pub publish: Option<Part<PublishRule>>,
    /// The checks it rests on: of several bad ones the probable cause is the deepest along these.
    pub needs: Option<Vec<Text>>,
    /// The file every look is written to.
    pub journal: Option<Text>,
    /// Notifiers that are told of its incidents.
    pub notify: Option<Vec<Text>>,
    /// What to do about it.
    pub remediation: Option<Part<RemediationForm>>,
}

/// When to look.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerRule {
    pub every: Option<Span>,
    pub events: Option<Part<Vec<EventRule>>>,
    /// Spread over the interval by a hash of the name (true).
    pub splay: Option<bool>,
    /// Clock times, instead of `every`: minute, hour, day of month, month, day of week; six fields begin with seconds.
    pub cron: Option<Text>,
    /// Of the clock that `cron` means (UTC).
    pub timezone: Option<Text>,
    /// A calendar: outside it the check is not looked at.
    pub during: Option<Text>,
    /// A calendar: while it is open the check is looked at, but neither repaired nor told of.
    pub quiet: Option<Text>,
}

/// When something is open: weekly sessions in a time zone, days that differ, one-off windows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarRule {
    pub about: Option<String>,
    /// Of its clock times and dates (UTC).
    pub timezone: Option<Text>,
    /// Sessions by day of the week: `Mon-Fri: '09:30-16:00'`. One that ends before it begins runs past midnight.
    pub weekly: Option<Part<BTreeMap<String, SessionsForm>>>,
    /// Dates on which no session begins.
    pub holidays: Option<Part<Vec<String>>>,
    /// Dates with other sessions than their day of the week.
    pub half_days: Option<Part<BTreeMap<String, SessionsForm>>>,
    /// Open besides.
    pub windows: Option<Part<Vec<WindowRule>>>,
    /// Closed, whatever else is said.
    pub except: Option<Part<Vec<WindowRule>>>,
    /// The first date its data knows of.
    pub since: Option<Text>,
    /// The last date its data knows of: later a check that goes by it is UNKNOWN.
    pub until: Option<Text>,
}

/// A one-off stretch of time. A clock time without a zone is one of the calendar's; a date means the whole day.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowRule {
    #[schemars(required)]
    pub from: Option<Text>,
    #[schemars(required)]
    pub to: Option<Text>,
}

/// One of: a look of another check with one of these statuses, a changed file, a named event.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRule {
    /// A check; at every look of it that gives one of `status`.
    pub check: Option<Text>,
    pub status: Option<Vec<StatusWord>>,
    /// A file below the root: when it changes, appears or vanishes.
    pub file: Option<Text>,
    /// Posted to the API or raised by a step.
    pub event: Option<Text>,
}

/// What is bad: `critical` is tried first, then `warning`; otherwise the check is OK.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdRule {
    pub critical: Option<Part<LevelForm>>,
    pub warning: Option<Part<LevelForm>>,
    /// Looks in a row before a status counts: `3`, or `2 of 3`.
    #[serde(rename = "for")]
    pub patience: Option<For>,
    /// OK looks in a row before a problem is over.
    #[schemars(range(min = 1, max = 100))]
    pub recover: Option<u32>,
}

/// A limit on `value`: once it is passed the check stays bad until `clear` is passed back.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelRule {
    pub above: Option<f64>,
    pub below: Option<f64>,
    pub clear: Option<f64>,
}

/// A message for each status.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessagesRule {
    pub ok: Option<Text>,
    pub warning: Option<Text>,
    pub critical: Option<Text>,
    pub unknown: Option<Text>,
    pub no_data: Option<Text>,
    pub error: Option<Text>,
}

/// The status when something failed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnErrorRule {
    /// The probe could not look.
    pub probe: Option<StatusWord>,
    /// An expression could not be evaluated.
    pub rule: Option<StatusWord>,
}

/// Keys merged into a JSON file after every look.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRule {
    #[schemars(required)]
    pub file: Option<Text>,
    #[schemars(required)]
    pub set: Option<Part<Map<String, Value>>>,
}

/// A ladder of steps, and what it is held by and proven by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemediationRule {
    /// The statuses that start it (critical).
    pub when: Option<Vec<BadStatus>>,
    /// The ladder: the next rung only when verification says that the last one did not help.
    #[schemars(required)]
    pub steps: Option<Part<Vec<RungForm>>>,
    pub verify: Option<Part<VerifyRule>>,
    pub guard: Option<Part<GuardRule>>,
    /// Undo what can be undone when verification fails (false).
    pub rollback: Option<bool>,
    /// A person must approve every rung first: `homeostat approve` (false).
    pub approve: Option<bool>,
    /// What nobody approves in time has expired (1h).
    pub approve_within: Option<Span>,
    /// Notifiers to page when the ladder is exhausted, the breaker opens or a guard holds a critical check.
    pub escalate: Option<Vec<Text>>,
}

/// Looking again after a rung: only that proves a repair.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRule {
    /// Wait so long before the first look (0s).
    pub after: Option<Span>,
    /// Go on looking for so long (three intervals, at most 15m).
    pub within: Option<Span>,
    /// What must hold (`status == "ok"`).
    pub until: Option<Text>,
    /// These are looked at afresh and must be OK too.
    pub checks: Option<Vec<Text>>,
}

/// What holds a remediation back. The defaults are on without writing anything.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardRule {
    /// Least time between the end of one repair and the start of the next (10m).
    pub cooldown: Option<Span>,
    /// At most so many rungs in any window of that length (3 per 1h).
    pub limit: Option<LimitText>,
    /// Wait after a repair that did not help, doubling from the first to the second (10s..5m).
    pub backoff: Option<Backoff>,
    /// After so many unverified repairs in a row the remediation is quarantined (3).
    #[schemars(range(min = 1, max = 1000))]
    pub breaker: Option<u32>,
}

/// A root-cause session.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvestigationRule {
    #[schemars(required)]
    pub name: Option<Text>,
    pub about: Option<String>,
    pub trigger: Option<Part<TriggerRule>>,
    /// So long after it began, events begin it no second time (0s). By hand and by `every` it always begins.
    pub cooldown: Option<Span>,
    /// The record's `trigger` (the investigation's name); `manual` when it is started by hand.
    pub cause: Option<Text>,
    #[schemars(required)]
    pub checks: Option<Part<Vec<MemberForm>>>,
    /// The file its record is written to.
    pub journal: Option<Text>,
}

/// A check of an investigation under another name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberRule {
    #[schemars(required)]
    pub check: Option<Text>,
    /// The name under which the record knows it.
    #[serde(rename = "as")]
    pub alias: Option<Text>,
}

/// An expression that is true when it is bad, or a limit on `value`.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum LevelForm {
    When(Text),
    Limit(LevelRule),
}

/// One message for all statuses, or one for each.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum MessageForm {
    All(Text),
    Each(Box<MessagesRule>),
}

/// One status for whatever fails, or one for each.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum OnErrorForm {
    All(StatusWord),
    Each(OnErrorRule),
}

/// A ladder by itself, or with its conditions.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum RemediationForm {
    Steps(Vec<RungForm>),
    Full(RemediationRule),
}

/// One step, or a list of steps done in order as one rung.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum RungForm {
    One(StepForm),
    Several(Vec<StepForm>),
}

/// The name of a check, or a check under another name.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum MemberForm {
    Name(String),
    Renamed(MemberRule),
}

/// One session, or several of a day.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum SessionsForm {
    One(String),
    Several(Vec<String>),
}

/// A probe: one key, its kind. The schema is made of the table of kinds.
pub struct ProbeForm;

impl JsonSchema for ProbeForm {
    fn schema_name() -> Cow<'static, str> {
        "Probe".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = probe::KINDS.iter().map(|kind| {
            let settings = (kind.schema)(generator);
            json_schema!({
                "type": "object",
                "description": kind.about,
                "properties": { kind.name: settings },
                "required": [kind.name],
                "additionalProperties": false
            })
        });
        let kinds: Vec<Schema> = kinds.collect();
        json_schema!({ "description": "Where to look: one kind with its settings.", "oneOf": kinds })
    }
}

/// A step: one key, its kind, and perhaps `each`. The schema is made of the table of kinds.
pub struct StepForm;

impl JsonSchema for StepForm {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let each = json_schema!({
            "type": "string",
            "description": "A list: the step is repeated with `it` bound to each of its items."
        });
        let kinds = hands::KINDS.iter().map(|kind| {
            let settings = (kind.schema)(generator);
            json_schema!({
                "type": "object",
                "description": kind.about,
                "properties": { "each": each, kind.name: settings },
                "required": [kind.name],
                "additionalProperties": false
            })
        });
        let kinds: Vec<Schema> = kinds.collect();
        json_schema!({ "description": "What to do: one kind with its settings.", "oneOf": kinds })
    }
}
