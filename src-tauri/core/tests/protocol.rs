//! What older and newer programs make of each other's messages.

use larder_core::protocol::{Answer, Ask, OnWire, Push, Rejected, Request};

#[test]
fn unlock_without_a_passphrase_is_the_message_that_it_was_before_there_were_any() {
    let ask: Ask = serde_json::from_str(r#"{"id":1,"request":{"do":"unlock"}}"#).unwrap();
    assert!(matches!(ask.request, Request::Unlock { passphrase: None }));
    assert_eq!(serde_json::to_string(&ask).unwrap(), r#"{"id":1,"request":{"do":"unlock"}}"#);
}

#[test]
fn a_rejected_token_goes_over_the_wire_and_nowhere_else() {
    let ask = |rejected| Request::Token {
        account: "a".to_owned(),
        min_validity: None,
        dpop: None,
        rejected,
        scopes: Vec::new(),
        resource: None,
    };
    assert_eq!(serde_json::to_string(&ask(None)).unwrap(), r#"{"do":"token","account":"a","min_validity":null}"#);
    let last = r#"{"do":"token","account":"a","min_validity":null,"rejected":"last"}"#;
    assert_eq!(serde_json::to_string(&ask(Some(Rejected::Last))).unwrap(), last);
    let request = ask(Some(Rejected::Token(OnWire::new("secret".to_owned()))));
    assert!(!format!("{request:?}").contains("secret"), "{request:?}");
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(text, r#"{"do":"token","account":"a","min_validity":null,"rejected":{"token":"secret"}}"#);
    let read: Request = serde_json::from_str(&text).unwrap();
    assert!(matches!(read, Request::Token { rejected: Some(Rejected::Token(read)), .. } if read.expose() == "secret"));
}

#[test]
fn a_passphrase_goes_over_the_wire_and_nowhere_else() {
    let request = Request::Unlock { passphrase: Some(OnWire::new("correct horse".to_owned())) };
    assert!(!format!("{request:?}").contains("correct"), "{request:?}");
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(text, r#"{"do":"unlock","passphrase":"correct horse"}"#);
    let read: Request = serde_json::from_str(&text).unwrap();
    assert!(matches!(read, Request::Unlock { passphrase: Some(read) } if read.expose() == "correct horse"));
}

/// What an answer holds that opens something somewhere. It does not compile when a kind of answer is added that nobody has
/// looked at; a new kind that holds such a thing is a hole in "only access tokens leave".
fn opens_something(answer: &Answer) -> &'static [&'static str] {
    match answer {
        // An access token, and the proof for one request.
        Answer::Token { .. } => &["access_token", "dpop"],
        Answer::Hello { .. }
        | Answer::Done
        | Answer::View(_)
        | Answer::Window { .. }
        | Answer::SignIn { .. }
        | Answer::AuthorizationUrl { .. }
        | Answer::Account(_)
        | Answer::GitAccounts { .. }
        | Answer::SignedOut { .. }
        | Answer::BrowserSignOut { .. }
        | Answer::Providers { .. }
        | Answer::Provider { .. }
        | Answer::Found { .. }
        | Answer::Adopted { .. }
        | Answer::Policy { .. }
        | Answer::Locked { .. }
        | Answer::Report { .. }
        | Answer::Moved { .. }
        | Answer::Audit { .. }
        | Answer::AuditVerified(_)
        | Answer::AuditHead(_)
        | Answer::Doctor { .. }
        | Answer::Tested { .. }
        | Answer::Settings(_)
        | Answer::LastUses { .. }
        | Answer::Events { .. } => &[],
    }
}

/// As [`opens_something`], of what comes unasked.
fn comes_unasked(push: &Push) {
    match push {
        Push::View(_) | Push::Event(_) | Push::ShowWindow { .. } => {}
    }
}

#[test]
fn no_message_asks_for_a_refresh_token_a_secret_or_a_key_and_no_answer_has_room_for_one() {
    let token = Answer::Token {
        access_token: OnWire::new("a".to_owned()),
        token_type: "Bearer".to_owned(),
        expires_at: None,
        scope: String::new(),
        account: String::new(),
        dpop: None,
    };
    assert_eq!(opens_something(&token), ["access_token", "dpop"]);
    assert!(opens_something(&Answer::Done).is_empty());
    comes_unasked(&Push::ShowWindow { activation_token: None });
    // A secret has a type of its own on the wire; this is every place where an answer has one.
    let source = include_str!("../src/protocol.rs");
    let answers = &source[source.find("pub enum Answer {").unwrap()..];
    let answers = &answers[..answers.find("\n}\n").unwrap()];
    let fields = answers.lines().filter(|line| line.contains("OnWire") && !line.contains("OnWire::"));
    let fields: Vec<&str> = fields.map(|line| line.trim().split(':').next().unwrap()).collect();
    assert_eq!(fields, ["access_token", "dpop"]);
    for kind in ["refresh-token", "refresh_token", "id-token", "client-secret", "secret", "data-key", "key", "tokens"] {
        let ask = format!(r#"{{"id":1,"request":{{"do":"{kind}","account":"work","provider":"work","name":"work"}}}}"#);
        assert!(serde_json::from_str::<Ask>(&ask).is_err(), "{kind}");
    }
}
