//! `defaults:` of a file, read once for all of its checks.

use chrono_tz::Tz;

use super::{
    super::{
        format::{DefaultRemediationRule, DefaultsRule, GuardRule, VerifyRule},
        reading,
        unit::{Notes, Reference, Unit},
        values::{BadStatus, StatusWord},
    },
    judging, remediation, trigger,
};
use crate::{
    model::{
        node::{Node, Tree},
        outline::Trigger,
        text::Text,
    },
    threshold::OnError,
};

/// What a check takes when it does not say it itself.
#[derive(Default)]
pub struct Defaults {
    pub node: Option<Node>,
    pub trigger: Option<Trigger>,
    /// Of cron expressions and calendars that say none.
    pub zone: Tz,
    pub timeout: Option<crate::model::span::Span>,
    pub tags: Option<Vec<String>>,
    pub needs: Vec<Text>,
    pub on_error: Option<OnError>,
    pub on_no_data: Option<StatusWord>,
    pub journal: Option<Text>,
    pub when: Option<Vec<BadStatus>>,
    pub verify: VerifyRule,
    pub guard: GuardRule,
    pub rollback: Option<bool>,
    pub approve: Option<bool>,
    pub approve_within: Option<std::time::Duration>,
    pub escalate: Option<Vec<Text>>,
    pub notify: Option<Vec<Text>>,
}

impl Defaults {
    pub fn read(node: Option<&Node>, notes: &mut Notes, unit: &mut Unit) -> Defaults {
        let Some(node) = node.filter(|node| !matches!(node.tree, Tree::Null)) else {
            return Defaults::default();
        };
        let mistakes = &mut notes.mistakes;
        let rule: DefaultsRule = reading::read(node, mistakes);
        let mut asks = Vec::new();
        let part = |key: &str, there: bool| node.get(key).filter(|_| there);
        let zone = rule
            .timezone
            .and_then(|text| trigger::zone(&text, mistakes));
        let zone = zone.unwrap_or_default();
        let mut calendars = Vec::new();
        let trigger = part("trigger", rule.trigger.is_some())
            .map(|node| trigger::read(node, zone, &mut asks, &mut calendars, mistakes));
        unit.calendars_named
            .extend(calendars.into_iter().map(|name| (name, None)));
        let needs = reading::check_names(rule.needs.unwrap_or_default(), mistakes);
        let mut defaults = Defaults {
            node: Some(node.clone()),
            trigger,
            zone,
            timeout: judging::timeout(node, rule.timeout, mistakes),
            tags: rule.tags,
            notify: rule
                .notify
                .map(|names| reading::check_names(names, mistakes)),
            on_error: part("on_error", rule.on_error.is_some())
                .and_then(|node| judging::on_error(node, mistakes)),
            on_no_data: rule.on_no_data,
            journal: rule
                .journal
                .filter(|text| reading::own_file(text, mistakes).is_some()),
            ..Defaults::default()
        };
        if let Some(node) = part("remediation", rule.remediation.is_some()) {
            let rule: DefaultRemediationRule = reading::read(node, mistakes);
            defaults.approve = rule.approve;
            defaults.approve_within =
                remediation::approve_within(node, rule.approve_within, mistakes);
            defaults.escalate = rule
                .escalate
                .map(|names| reading::check_names(names, mistakes));
            defaults.when = rule.when;
            defaults.rollback = rule.rollback;
            if let Some(node) = node.get("verify").filter(|_| rule.verify.is_some()) {
                defaults.verify = remediation::verify_rule(node, mistakes);
            }
            if let Some(node) = node.get("guard").filter(|_| rule.guard.is_some()) {
                defaults.guard = remediation::guard_rule(node, mistakes);
            }
        }
        asks.extend(needs.iter().cloned());
        let proves = defaults.verify.checks.iter().flatten().cloned();
        let reference = |looks: bool| {
            move |to| Reference {
                to,
                looks,
                rule: None,
            }
        };
        unit.references
            .extend(asks.into_iter().map(reference(false)));
        unit.references.extend(proves.map(reference(true)));
        defaults.needs = needs;
        defaults
    }
}
