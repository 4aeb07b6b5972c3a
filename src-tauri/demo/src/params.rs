//! Parameters of a query or a form.

use axum::http::{HeaderMap, header};
use url::form_urlencoded;

/// RFC 6749 3.1 and 3.2: a parameter without a value counts as left out, and none may come twice.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// A parameter came more than once; which one.
#[derive(Debug)]
pub(crate) struct Repeated(pub(crate) String);

impl Params {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Repeated> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text).into_owned() {
            if pairs.iter().any(|(had, _)| *had == name) {
                return Err(Repeated(name));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(had, _)| had == name)?;
        (!value.is_empty()).then_some(value)
    }
}

/// RFC 6749 3.2 and RFC 7009 2.1: these endpoints read forms alone.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
