//! Parameters of a query or a form.

use axum::http::{HeaderMap, header};
use url::form_urlencoded;

/// RFC 6749 3.1 and 3.2: a parameter without a value counts as left out, and none may come twice.
#[derive(Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    repeated: Option<String>,
}

impl Params {
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(text).into_owned() {
            if params.pairs.iter().any(|(had, _)| *had == name) {
                params.repeated.get_or_insert(name);
            } else {
                params.pairs.push((name, value));
            }
        }
        params
    }

    /// The first parameter that came more than once.
    pub(crate) fn repeated(&self) -> Option<&str> {
        self.repeated.as_deref()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(had, _)| had == name)?;
        (!value.is_empty()).then_some(value)
    }
}

/// RFC 6749 3.2 and RFC 7009 2.1: these endpoints read forms alone.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
