//! Words for codes: one sentence a problem, from `messages/`.

use crate::problem::Problem;
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// The English messages; the window reads the same file.
const ENGLISH: &str = include_str!("../messages/en.json");

/// What the catalogue's providers need, in words.
const CATALOGUE: &str = include_str!("../messages/catalogue.en.json");

fn messages() -> &'static Map<String, Value> {
    static MESSAGES: OnceLock<Map<String, Value>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let read = |text| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
        read(ENGLISH).into_iter().chain(read(CATALOGUE)).collect()
    })
}

/// The message `key`, each `{name}` in it replaced by the parameter of that name, in one pass: what a parameter
/// holds is text, and never read as a placeholder. A missing message is the key itself, so that nothing is ever silent.
pub fn message(key: &str, parameters: &Map<String, Value>) -> String {
    let Some(template) = messages().get(key).and_then(Value::as_str) else {
        return key.to_owned();
    };
    fill(template, |name| match parameters.get(name)? {
        Value::String(value) => Some(value.clone()),
        value => Some(value.to_string()),
    })
}

/// `template`, each `{name}` in it replaced by the parameter of that name, in one pass.
pub fn fill(template: &str, parameter: impl Fn(&str) -> Option<String>) -> String {
    let mut rest = template;
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((name, after)) = after.split_once('}') else { break };
        text.push_str(&parameter(name).unwrap_or_default());
        rest = after;
    }
    text.push_str(rest);
    text
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

/// What the provider itself said of `problem`, named as such: to stand beneath its sentence.
pub fn said_by_provider(problem: &Problem) -> Option<String> {
    let said = problem.said_by_provider()?;
    Some(message("said-by-provider", &Map::from_iter([("said".to_owned(), said.into())])))
}
