//! `run_script`: a Rhai script of the rules that gives steps. It cannot act, nor look: it makes steps out of what it is
//! given, and they are planned in its place (see [`crate::remediation`]), each prepared, permitted and shown as if a rule
//! had written it.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{Effect, Eyes, HandsError, KINDS, Kind, args};
use crate::{
    model::{
        node::{self, Node},
        step::Step,
        text::{Mistake, Text, meant},
    },
    permission::Permission,
};

pub static KIND: Kind = Kind {
    name: "run_script",
    about: "Does the steps that a Rhai script gives, at most 20: `[#{ remove_file: #{ file: path } }]`.",
    example: "run_script: { file: rules/scripts/fix.rhai, args: { files: '${files}' } }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// Does the steps that a script gives.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// `rules/scripts/NAME.rhai`.
    file: Text,
    /// What the script reads as `args`. Texts may hold `${…}`.
    #[schemars(with = "Option<Value>")]
    #[expect(dead_code, reason = "read where the step is compiled")]
    args: Option<IgnoredAny>,
}

fn check(node: &Node, _: &Permission, mistakes: &mut Vec<Mistake>) {
    if let Some(args) = node::decode::<Args>(node, mistakes)
        && args::constant(&args.file).is_none()
    {
        let help =
            "write it out, so that it is loaded with the rules: `file: rules/scripts/NAME.rhai`";
        let message = "the script is not named here";
        mistakes.push(Mistake::new("bad-value", message, args.file.place()).help(help));
    }
}

/// The script that a step of this kind runs.
pub fn constant_file(kind: &Kind, node: &Node) -> Option<Text> {
    (kind.name == KIND.name).then(|| node.get("file")?.text())?
}

/// Only a step that was not planned comes here.
fn prepare(args: &Map<String, Value>, _: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    Err(HandsError::Failed(format!(
        "the steps of {} were not planned",
        args.file
    )))
}

/// Makes a step of what a script gave.
pub fn step(name: &str, body: Value) -> Result<Step, String> {
    let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
        let names = KINDS.iter().map(|kind| kind.name);
        let names = names.filter(|name| *name != KIND.name);
        return Err(match meant(name, names) {
            Some(word) => format!("there is no step `{name}`; did you mean `{word}`?"),
            None => format!("there is no step `{name}`"),
        });
    };
    if kind.name == KIND.name {
        return Err("a script gives no scripts: it can give the steps themselves".to_owned());
    }
    let args = match (body, kind.shorthand) {
        (Value::Object(args), _) => args,
        (body, Some(key)) => Map::from_iter([(key.to_owned(), body)]),
        (body, None) => {
            return Err(format!("`{name}` has settings, a map, and not {body}"));
        }
    };
    Ok(Step {
        kind: Cow::Borrowed(kind.name),
        args,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hands::testing::{World, mistakes},
        remediation::{MOST_TARGETS, PlanError, StepPlan, StepScript, plan},
        script::{Engine, Ground, Known, Program, Scope, Scripts, TemplateTree},
    };

    /// The steps that a script gives for these args.
    fn steps(script: &str, args: Value) -> Result<Vec<(String, Value)>, String> {
        let engine = Engine::new();
        let mut scripts = Scripts::default();
        scripts.add(
            "scripts/fix.rhai",
            "rules/scripts/fix.rhai".into(),
            Some(script),
        );
        let mut wrong = Vec::new();
        let body = json!({"file": "rules/scripts/fix.rhai", "args": args});
        let tree = TemplateTree::compile(
            &engine,
            &Node::from_json(&body),
            &Known::default(),
            &mut wrong,
        );
        let known = Known::default().with("args", None).with("now", None);
        let text = scripts
            .find(&Text::bare("scripts/fix.rhai"), &mut wrong)
            .expect("it is there");
        let program = Program::of_step(&engine, text, &known, &mut wrong).expect("it compiles");
        let rung = [StepPlan {
            kind: KIND.name,
            each: None,
            args: tree.expect("no templates"),
            script: Some(StepScript { program, step }),
        }];
        let ground = Ground::default();
        match plan(&engine, &rung, &mut Scope::new(&ground)) {
            Ok(steps) => Ok(steps
                .into_iter()
                .map(|step| (step.kind.into_owned(), Value::Object(step.args)))
                .collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn its_steps_take_its_place() {
        let script = r#"
            let steps = [];
            for path in args.paths {
                steps.push(#{ move_file: #{ file: path, to: "state/quarantine/" } });
            }
            if args.paths.len() > 1 {
                steps.push(#{ run_checks: ["a", "b"] });
            }
            steps
        "#;
        assert_eq!(
            steps(script, json!({"paths": ["data/x", "data/y"]})),
            Ok(vec![
                (
                    "move_file".to_owned(),
                    json!({"file": "data/x", "to": "state/quarantine/"})
                ),
                (
                    "move_file".to_owned(),
                    json!({"file": "data/y", "to": "state/quarantine/"})
                ),
                ("run_checks".to_owned(), json!({"checks": ["a", "b"]})),
            ])
        );
        assert_eq!(
            steps(script, json!({"paths": []})),
            Ok(vec![]),
            "nothing to do"
        );
    }

    #[test]
    fn what_it_gives_is_checked_before_any_of_it_is_done() {
        for (script, told) in [
            (
                "3",
                "rules/scripts/fix.rhai: the script gave a number, not a list of steps",
            ),
            (
                "[3]",
                "rules/scripts/fix.rhai: step 1: a number, not a map like `#{ remove_file: #{ file: path } }`",
            ),
            (
                "[#{ remove_file: #{} }, #{}]",
                "rules/scripts/fix.rhai: step 2: a step is one kind, and this has 0 names",
            ),
            (
                "[#{ remove_file: #{}, each: [1] }]",
                "rules/scripts/fix.rhai: step 1: a step is one kind, and this has 2 names",
            ),
            (
                "[#{ remov_file: #{} }]",
                "rules/scripts/fix.rhai: step 1: there is no step `remov_file`; did you mean `remove_file`?",
            ),
            (
                "[#{ erase: #{} }]",
                "rules/scripts/fix.rhai: step 1: there is no step `erase`",
            ),
            (
                "[#{ remove_file: \"data/x\" }]",
                "rules/scripts/fix.rhai: step 1: `remove_file` has settings, a map, and not \"data/x\"",
            ),
            (
                "[#{ run_script: #{ file: \"rules/scripts/fix.rhai\" } }]",
                "rules/scripts/fix.rhai: step 1: a script gives no scripts: it can give the steps themselves",
            ),
            (
                "args.nothing",
                "rules/scripts/fix.rhai:1:6: no property `nothing`; the map is empty",
            ),
            (
                "throw \"not today\"",
                "rules/scripts/fix.rhai:1:1: not today",
            ),
            (
                "loop { }\n[]",
                "rules/scripts/fix.rhai:1:6: too much to calculate: the limit of 500000 operations is passed",
            ),
        ] {
            let told_here = steps(script, json!({})).expect_err(script);
            assert_eq!(told_here, told, "{script}");
        }
        let many = |count: usize| {
            let script = format!(
                "let all = []; for n in 0..{count} {{ all.push(#{{ remove_file: #{{ file: `data/${{n}}` }} }}); }} all"
            );
            steps(&script, json!({}))
        };
        assert_eq!(many(MOST_TARGETS).map(|steps| steps.len()), Ok(20));
        assert_eq!(many(21), Err(PlanError::TooMany(21).to_string()));
    }

    #[test]
    fn what_stands_in_a_step_is_no_template() {
        let script = r#"[#{ write_file: #{ file: "data/x", body: args.text } }]"#;
        // as if a fact had given it: rendered once, and never again
        let text = "$${env(\"SECRET\")}";
        assert_eq!(
            steps(script, json!({"text": text})),
            Ok(vec![(
                "write_file".to_owned(),
                json!({"file": "data/x", "body": "${env(\"SECRET\")}"})
            )])
        );
    }

    #[test]
    fn its_steps_are_permitted_as_every_other() {
        let world = World::new();
        for (kind, args) in [
            ("write_file", json!({"file": "../x", "body": ""})),
            ("remove_file", json!({"file": "rules/x"})),
            ("move_file", json!({"file": "data/x", "to": "/etc/x"})),
            ("run_command", json!({"argv": ["/bin/sh", "-c", "true"]})),
        ] {
            let step = step(kind, args).expect("a step");
            let error = super::super::prepare(&step, &world.eyes()).expect_err(kind);
            assert!(matches!(error, HandsError::Held { .. }), "{kind}: {error}");
        }
        let odd = step("write_file", json!({"file": "data/x", "bdy": ""})).expect("a step");
        let error = super::super::prepare(&odd, &world.eyes()).expect_err("unknown key");
        assert!(
            error
                .to_string()
                .starts_with("its arguments cannot be used: "),
            "{error}"
        );
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let world = World::new();
        let file = json!({"file": "rules/scripts/fix.rhai", "args": {"n": [1]}});
        assert_eq!(mistakes(&world, "run_script", file), []);
        let found = mistakes(&world, "run_script", json!({"file": "rules/scripts/${it}"}));
        assert_eq!((found[0].0, found[0].1), ("bad-value", 1));
        assert!(world.prepare("run_script", json!({"file": "x"})).is_err());
    }
}
