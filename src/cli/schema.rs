//! `schema`: the JSON Schema of rule files, or of `homeostat.yaml`, from the types that read them.

use super::{
    outcome::{Failure, OK, Outcome, SOFTWARE},
    screen::Screen,
};
use crate::rules::schema;

pub fn schema(settings: bool, screen: &Screen) -> Outcome {
    let schema = if settings {
        schema::settings()
    } else {
        schema::rules()
    };
    if screen.json {
        screen.value(&schema);
        return Ok(OK);
    }
    let text = serde_json::to_string_pretty(&schema)
        .map_err(|error| Failure::new(SOFTWARE, format!("could not write the schema: {error}")))?;
    screen.print(&(text + "\n"));
    Ok(OK)
}
