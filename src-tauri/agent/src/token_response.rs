//! Token responses as servers really write them, straightened into what RFC 6749 section 5 says, before `oauth2` reads them.
//!
//! After a refresh a response that cannot be read is a session that is lost: the old token is spent and the new one is
//! in it. So whatever can only be meant one way is read that way.

use crate::http::{Response, without_mark};
use oauth2::http::{HeaderValue, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The response for `oauth2`, with its odd but harmless parts straightened.
pub fn straighten(response: Response) -> oauth2::HttpResponse {
    let object = object(without_mark(&response.body)).or_else(|| form(&response));
    let mut status = response.status;
    let mut headers = response.headers;
    let body = match object {
        Some(mut object) => {
            let granted = object.get("access_token").and_then(Value::as_str).is_some_and(|token| !token.is_empty());
            // Some answer errors with 200 (GitHub), some say `ok: false` beside them (Slack).
            if (200..300).contains(&status) && object.contains_key("error") && !granted {
                status = 400;
            }
            // What was created or is not authoritative (RFC 9110 section 15.3) is a grant too: the token that was sent is spent.
            if (200..300).contains(&status) && granted {
                status = 200;
            }
            if status == 200 {
                straighten_grant(&mut object);
            }
            headers.insert("content-type", HeaderValue::from_static("application/json"));
            serde_json::to_vec(&object).unwrap_or_default()
        }
        // Whatever it is, nobody reads it: no error can hold a part of it.
        None => Vec::new(),
    };
    let mut answer = oauth2::http::Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    *answer.headers_mut() = headers;
    answer
}

/// A JSON object, whatever is in the members that nobody needs: a number that no float holds, or a depth without an end,
/// makes the others no worse.
fn object(body: &[u8]) -> Option<Map<String, Value>> {
    let members: HashMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    Some(members.into_iter().map(|(name, member)| (name, value(member))).collect())
}

fn value(member: &RawValue) -> Value {
    let text = member.get();
    // 1e309 is more than any number can be here, and still a number.
    serde_json::from_str(text).unwrap_or_else(|_| match text.parse::<f64>() {
        Ok(number) => f64::MAX.copysign(number).into(),
        Err(_) => Value::Null,
    })
}

/// A form, which GitHub answers where JSON is not asked for, and others in any case.
fn form(response: &Response) -> Option<Map<String, Value>> {
    let kind = response.headers.get("content-type")?.to_str().ok()?;
    let is_form = kind.split(';').next()?.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded");
    is_form.then(|| {
        url::form_urlencoded::parse(&response.body)
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect()
    })
}

fn straighten_grant(object: &mut Map<String, Value>) {
    // Slack gives the person's token apart from the app's own, after the code; after a refresh at the top.
    if !object.contains_key("access_token")
        && let Some(Value::Object(person)) = object.remove("authed_user")
    {
        object.extend(person);
        object.insert("token_type".to_owned(), "Bearer".into());
    }
    match object.get("expires_in").and_then(seconds) {
        Some(seconds) => object.insert("expires_in".to_owned(), seconds.into()),
        // Zero, negative, or no number: it says nothing about the lifetime.
        None => object.remove("expires_in"),
    };
    // How long the refresh token lives: in no standard, and most often under one of these names. At some, zero is "for ever".
    let names = ["refresh_token_expires_in", "refresh_expires_in"];
    let lifetime = names.into_iter().filter_map(|name| object.remove(name)).find_map(|value| seconds(&value));
    if let Some(lifetime) = lifetime {
        object.insert(names[0].to_owned(), lifetime.into());
    }
    if !object.get("token_type").is_some_and(Value::is_string) {
        object.insert("token_type".to_owned(), "Bearer".into());
    }
    if let Some(Value::Array(scopes)) = object.get("scope") {
        let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
        let scopes = scopes.join(" ");
        object.insert("scope".to_owned(), scopes.into());
    }
    // RFC 6749 section 3.3 separates by spaces; some by commas, which no scope that is in use holds.
    if let Some(Value::String(scope)) = object.get("scope")
        && scope.contains(',')
    {
        let scopes: Vec<&str> = scope.split([',', ' ']).filter(|scope| !scope.is_empty()).collect();
        let scopes = scopes.join(" ");
        object.insert("scope".to_owned(), scopes.into());
    }
    for optional in ["refresh_token", "id_token", "scope"] {
        // What is no text is taken for what was not sent.
        if !object.get(optional).is_none_or(Value::is_string) {
            object.remove(optional);
        }
    }
}

/// A positive number of whole seconds, however it is written; what is beyond ten years is taken for ten.
fn seconds(value: &Value) -> Option<u64> {
    const TEN_YEARS: f64 = 10.0 * 366.0 * 86_400.0;
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        // Rust knows "inf" and "nan" as numbers; nobody means a lifetime by them.
        Value::String(text) if !text.contains(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E')) => {
            text.trim().parse::<f64>().ok()?
        }
        _ => return None,
    };
    // A float between one and ten years' seconds fits.
    (number >= 1.0).then(|| number.min(TEN_YEARS) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn straightened(status: u16, body: &Value) -> (u16, Value) {
        let response = Response {
            status,
            retry_after: None,
            headers: reqwest::header::HeaderMap::new(),
            body: body.to_string().into_bytes().into(),
        };
        let answer = straighten(response);
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    #[test]
    fn a_lifetime_is_read_however_it_is_written() {
        let lifetime = |value: Value| {
            straightened(200, &json!({ "access_token": "a", "expires_in": value })).1["expires_in"].clone()
        };
        for (written, read) in [(json!(3600), json!(3600)), (json!("3600"), json!(3600)), (json!(3600.0), json!(3600))]
        {
            assert_eq!(lifetime(written), read);
        }
        for nothing in [json!(0), json!(-1), json!("soon"), json!({}), json!(null)] {
            assert_eq!(lifetime(nothing.clone()), Value::Null, "{nothing}");
        }
        assert_eq!(lifetime(json!(1e300)), json!(316_224_000));
        assert_eq!(lifetime(json!(u64::MAX)), json!(316_224_000));
        assert_eq!(lifetime(json!("36e2")), json!(3600));
        for nothing in ["inf", "nan", "-1e309", "1 hour"] {
            assert_eq!(lifetime(json!(nothing)), Value::Null, "{nothing}");
        }
    }

    fn read(status: u16, body: &[u8]) -> (u16, Value) {
        let headers = reqwest::header::HeaderMap::new();
        let answer = straighten(Response { status, retry_after: None, headers, body: body.to_vec().into() });
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    #[test]
    fn what_no_number_or_stack_can_hold_costs_no_token() {
        for odd in ["1e309", "-1e309", "9223372036854775808", "1e-400", &"[".repeat(100_000), &"9".repeat(10_000)] {
            let odd = if odd.starts_with('[') { format!("{odd}{}", "]".repeat(odd.len())) } else { odd.to_owned() };
            for name in ["expires_in", "refresh_expires_in", "scope", "token_type", "of_no_standard"] {
                let body = format!(r#"{{"access_token":"a","refresh_token":"r","{name}":{odd}}}"#);
                let (status, answer) = read(200, body.as_bytes());
                assert_eq!((status, &answer["access_token"]), (200, &json!("a")), "{name}");
                assert_eq!(
                    (&answer["refresh_token"], &answer["token_type"]),
                    (&json!("r"), &json!("Bearer")),
                    "{name}"
                );
            }
        }
        assert_eq!(read(200, br#"{"access_token":"a","expires_in":1e309}"#).1["expires_in"], 316_224_000);
    }

    #[test]
    fn a_mark_before_the_json_is_passed_over() {
        assert_eq!(read(200, b"\xef\xbb\xbf{\"access_token\":\"a\"}").1["access_token"], "a");
        assert_eq!(read(400, b"\xef\xbb\xbf{\"error\":\"invalid_grant\"}").1["error"], "invalid_grant");
    }

    #[test]
    fn of_two_members_of_one_name_the_last_counts() {
        let body = br#"{"access_token":"a","access_token":"b","expires_in":60,"expires_in":"x"}"#;
        let (_, answer) = read(200, body);
        assert_eq!((&answer["access_token"], &answer["expires_in"]), (&json!("b"), &Value::Null));
    }

    #[test]
    fn a_grant_that_was_created_is_a_grant_and_an_empty_one_is_none() {
        for status in [200, 201, 203] {
            assert_eq!(straightened(status, &json!({ "access_token": "a" })).0, 200);
            for empty in [json!(""), json!(null), json!(7)] {
                let body = json!({ "access_token": empty, "error": "bad_refresh_token" });
                assert_eq!(straightened(status, &body).0, 400);
            }
        }
        assert_eq!(straightened(302, &json!({ "access_token": "a" })).0, 302);
        assert_eq!(straightened(500, &json!({ "access_token": "a" })).0, 500);
    }

    #[test]
    fn the_lifetime_of_a_refresh_token_is_read_under_either_name() {
        for (name, value, read) in [
            ("refresh_token_expires_in", json!(60), json!(60)),
            ("refresh_expires_in", json!("60"), json!(60)),
            ("refresh_expires_in", json!(0), json!(null)),
        ] {
            let (_, answer) = straightened(200, &json!({ "access_token": "a", name: value }));
            assert_eq!(answer["refresh_token_expires_in"], read, "{name}");
        }
    }

    #[test]
    fn an_error_in_a_200_is_an_error() {
        assert_eq!(straightened(200, &json!({ "error": "bad_refresh_token" })).0, 400);
        assert_eq!(straightened(200, &json!({ "ok": false, "error": "invalid_code" })).0, 400);
        assert_eq!(straightened(200, &json!({ "access_token": "a", "error": "" })).0, 200);
    }

    #[test]
    fn odd_but_harmless_parts_are_straightened() {
        let body = json!({ "access_token": "a", "scope": ["b", "c"], "refresh_token": null, "id_token": 7 });
        let (_, answer) = straightened(200, &body);
        assert_eq!(answer, json!({ "access_token": "a", "scope": "b c", "token_type": "Bearer" }));
    }

    #[test]
    fn the_answers_of_github_and_slack_are_read() {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"));
        let form = |body: &str| {
            let body = body.as_bytes().to_vec().into();
            let answer = straighten(Response { status: 200, retry_after: None, headers: headers.clone(), body });
            let value: Value = serde_json::from_slice(answer.body()).unwrap();
            (answer.status().as_u16(), value)
        };
        assert_eq!(
            form("access_token=gho_a&scope=repo%2Cread%3Aorg&token_type=bearer&expires_in=28800"),
            (
                200,
                json!({ "access_token": "gho_a", "scope": "repo read:org", "token_type": "bearer", "expires_in": 28800 })
            )
        );
        let (status, answer) = form("error=bad_verification_code&error_description=The+code+is+wrong.");
        assert_eq!((status, &answer["error_description"]), (400, &json!("The code is wrong.")));

        let slack = json!({ "ok": true, "app_id": "A", "authed_user": {
            "id": "U1", "scope": "users:read,chat:write", "access_token": "xoxp-1", "token_type": "user",
            "refresh_token": "xoxe-1", "expires_in": 43200 } });
        let (_, answer) = straightened(200, &slack);
        assert_eq!((&answer["access_token"], &answer["scope"]), (&json!("xoxp-1"), &json!("users:read chat:write")));
        assert_eq!((&answer["token_type"], &answer["refresh_token"]), (&json!("Bearer"), &json!("xoxe-1")));
        let again = json!({ "ok": true, "access_token": "xoxp-2", "refresh_token": "xoxe-2", "expires_in": 43200 });
        assert_eq!(straightened(200, &again).1["access_token"], json!("xoxp-2"));
    }

    #[test]
    fn what_is_no_object_goes_no_further() {
        for body in [&b"<html>"[..], b"[]", b"null", b"{\"a\":1}{\"b\":2}", b"{", b"\xff\xfe{\0}\0"] {
            let headers = reqwest::header::HeaderMap::new();
            let answer = straighten(Response { status: 200, retry_after: None, headers, body: body.to_vec().into() });
            assert_eq!((answer.status().as_u16(), answer.body().len()), (200, 0));
        }
    }
}
