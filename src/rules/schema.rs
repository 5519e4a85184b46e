//! The JSON Schema (draft 2020-12) of rule files, made from the types that read them and from the tables of kinds, for
//! yaml-language-server and other editors.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use super::format::RuleFile;
use crate::permission::Settings;

/// The schema of a rule file.
pub fn rules() -> Value {
    whole::<RuleFile>("Rules of homeostat")
}

/// The schema of `homeostat.yaml`.
pub fn settings() -> Value {
    whole::<Settings>("Settings of homeostat")
}

fn whole<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema
}

/// Absent and null are not the same in a rule: a key without a value is refused. So the `null` that optional fields
/// allow, and their `default: null`, are taken out.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("default") == Some(&Value::Null) {
                map.remove("default");
            }
            if let Some(Value::Array(kinds)) = map.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = &kinds[..] {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(any)) = map.get_mut("anyOf") {
                any.retain(|one| one.get("type").is_none_or(|kind| kind != "null"));
                if any.len() == 1
                    && let Some(Value::Object(only)) = any.pop()
                {
                    map.remove("anyOf");
                    for (key, value) in only {
                        map.entry(key).or_insert(value);
                    }
                }
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_kind_and_no_null() {
        let schema = rules();
        let text = schema.to_string();
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        assert!(!text.contains("\"null\""), "{text}");
        for kind in crate::probe::KINDS {
            assert!(text.contains(&format!("\"{}\"", kind.name)));
        }
        let steps = schema["$defs"]["Step"]["oneOf"].as_array().expect("a list");
        assert_eq!(steps.len(), crate::hands::KINDS.len());
        for step in steps {
            assert_eq!(step["additionalProperties"], false);
            assert!(step["properties"]["each"].is_object());
        }
        assert_eq!(schema["additionalProperties"], false);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let schema = rules();
        let mut todo = vec![&schema];
        let mut seen = 0;
        while let Some(value) = todo.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(to)) = map.get("$ref") {
                        let pointer = to.strip_prefix('#').expect("local");
                        assert!(schema.pointer(pointer).is_some(), "{to}");
                        seen += 1;
                    }
                    todo.extend(map.values());
                }
                Value::Array(items) => todo.extend(items),
                _ => {}
            }
        }
        assert!(seen > 10);
    }

    #[test]
    fn the_check_stands_as_its_type_says() {
        let schema = rules();
        let check = &schema["$defs"]["CheckRule"];
        insta::assert_json_snapshot!(check["required"], @r#"
        [
          "name"
        ]
        "#);
        insta::assert_json_snapshot!(check["properties"]["threshold"], @r##"
        {
          "description": "What is bad.",
          "$ref": "#/$defs/ThresholdRule"
        }
        "##);
        insta::assert_json_snapshot!(schema["$defs"]["ThresholdRule"], @r##"
        {
          "type": "object",
          "additionalProperties": false,
          "properties": {
            "critical": {
              "$ref": "#/$defs/LevelForm"
            },
            "warning": {
              "$ref": "#/$defs/LevelForm"
            },
            "for": {
              "description": "Looks in a row before a status counts: `3`, or `2 of 3`.",
              "anyOf": [
                {
                  "type": "integer",
                  "minimum": 1,
                  "maximum": 100
                },
                {
                  "type": "string",
                  "pattern": "^\\s*[0-9]+ of [0-9]+\\s*$"
                }
              ],
              "examples": [
                3,
                "2 of 3"
              ]
            },
            "recover": {
              "type": "integer",
              "format": "uint32",
              "minimum": 1,
              "description": "OK looks in a row before a problem is over.",
              "maximum": 100
            }
          },
          "description": "What is bad: `critical` is tried first, then `warning`; otherwise the check is OK."
        }
        "##);
    }
}
