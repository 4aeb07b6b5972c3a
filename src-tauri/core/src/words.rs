//! Words for codes: one sentence a problem, from `messages/`.

use crate::problem::Problem;
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// The English messages; the window reads the same file.
const ENGLISH: &str = include_str!("../messages/en.json");

fn messages() -> &'static Map<String, Value> {
    static MESSAGES: OnceLock<Map<String, Value>> = OnceLock::new();
    MESSAGES.get_or_init(|| serde_json::from_str(ENGLISH).unwrap_or_default())
}

/// The message `key`, each `{name}` in it replaced by the parameter of that name.
/// A missing message is the key itself, so that nothing is ever silent.
pub fn message(key: &str, parameters: &Map<String, Value>) -> String {
    let Some(template) = messages().get(key).and_then(Value::as_str) else {
        return key.to_owned();
    };
    parameters.iter().fold(template.to_owned(), |text, (name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        text.replace(&format!("{{{name}}}"), &value)
    })
}

/// The one clear sentence for `problem`: what happened and what to do.
pub fn sentence(problem: &Problem) -> String {
    let mut parameters = match serde_json::to_value(problem) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let code = match parameters.remove("code") {
        Some(Value::String(code)) => code,
        _ => "internal".to_owned(),
    };
    // What is behind a reason is a message of its own, so that its sentence can be a whole one.
    let key = match parameters.get("why") {
        Some(Value::String(why)) => format!("problem.{code}.{why}"),
        _ => format!("problem.{code}"),
    };
    message(&key, &parameters)
}
