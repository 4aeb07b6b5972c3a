//! What older and newer programs make of each other's messages.

use larder_core::protocol::{Ask, OnWire, Rejected, Request};

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
