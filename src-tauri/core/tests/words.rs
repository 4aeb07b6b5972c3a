//! One sentence a problem: what happened and what to do; and the exit code that a script branches on.

mod common;

use larder_core::problem::{Problem as P, Why};
use larder_core::words::{said_by_provider, sentence};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const WHYS: [Why; 7] = [
    Why::Testing,
    Why::Refused,
    Why::Interaction,
    Why::NoRefreshToken,
    Why::KeyMissing,
    Why::Unreadable,
    Why::IdTokenRejected,
];

/// One of every kind. [`exit`] does not compile when one is missing there, and its message is unused when it is missing here.
fn every_problem() -> Vec<P> {
    let s = str::to_owned;
    let mut all = vec![
        P::BadRequest { detail: s("DETAIL") },
        P::NoSuchAccount { account: s("ACCOUNT") },
        P::NoSuchProvider { provider: s("PROVIDER") },
        P::LabelTaken { label: s("LABEL") },
        P::ProviderInUse { provider: "PROVIDER".into(), accounts: s("ACCOUNTS") },
        P::MovedAway { account: s("ACCOUNT") },
        P::FileExists { path: s("PATH") },
        P::AccountHere { account: s("ACCOUNT") },
        P::ProviderDiffers { provider: s("PROVIDER") },
        P::ImportedBefore { path: s("PATH") },
        P::ExportSealed { path: s("PATH") },
        P::ExportUnreadable { path: s("PATH"), detail: s("DETAIL") },
        P::NoSuchAttempt { attempt: "ATTEMPT".into() },
        P::SignedOut { account: s("ACCOUNT") },
        P::ScopeNotGranted { account: s("ACCOUNT"), scope: s("SCOPE") },
        P::ResourceNotGranted { account: s("ACCOUNT"), resource: s("RESOURCE") },
        P::PartRefused { account: s("ACCOUNT"), detail: s("DETAIL") },
        P::TokenRejected { account: s("ACCOUNT") },
        P::Denied { program: s("PROGRAM"), account: s("ACCOUNT") },
        P::ConsentRefused { program: s("PROGRAM"), account: s("ACCOUNT") },
        P::ConsentTimeout { program: s("PROGRAM"), account: s("ACCOUNT"), seconds: 120 },
        P::NobodyToAsk { program: s("PROGRAM"), account: s("ACCOUNT") },
        P::TooManyPrompts { program: s("PROGRAM"), most: 16 },
        P::NoSuchPrompt { prompt: "PROMPT".into() },
        P::NoSuchRule { program: s("PROGRAM"), account: s("ACCOUNT") },
        P::Locked,
        P::Sealed,
        P::Unreachable { host: s("HOST") },
        P::ProviderTrouble { host: s("HOST"), status: 503 },
        P::RateLimited { host: s("HOST"), until: common::START.wall },
        P::NotYet { account: s("ACCOUNT") },
        P::Stopping,
        P::KeychainLocked,
        P::KeychainAbsent,
        P::KeychainTimeout { seconds: 5 },
        P::KeychainTrouble { detail: s("DETAIL") },
        P::PassphraseNeeded,
        P::PassphraseUnset,
        P::WrongPassphrase,
        P::CredentialUnusable { path: s("PATH"), detail: s("DETAIL") },
        P::NoAgent { path: s("PATH"), detail: s("DETAIL") },
        P::SocketPathTooLong { path: s("PATH"), length: 108, most: 107 },
        P::OtherProtocol { ours: 1, theirs: 2 },
        P::AlreadyRunning { path: s("PATH") },
        P::BadConfig { file: s("FILE"), line: 3, detail: s("DETAIL") },
        P::StoreChanged { store: s("STORE") },
        P::ForeignSocket { detail: s("DETAIL"), expected: s("EXPECTED") },
        P::BadProvider { provider: s("PROVIDER"), field: s("FIELD"), detail: s("DETAIL") },
        P::NotLoopback { field: s("FIELD"), url: s("URL") },
        P::IssuerMismatch { asked: s("ASKED"), answered: s("ANSWERED") },
        P::NotAnIssuer { issuer: s("ISSUER"), detail: s("DETAIL") },
        P::NoServer { url: s("URL"), detail: s("DETAIL") },
        P::BadResource { url: s("URL"), detail: s("DETAIL") },
        P::NoRegistration { issuer: s("ISSUER"), redirect: s("REDIRECT") },
        P::RegistrationRefused { issuer: s("ISSUER"), error: s("ERROR"), detail: s("DETAIL") },
        P::RegistrationEnded { issuer: s("ISSUER"), detail: s("DETAIL") },
        P::RegistrationLeft { issuer: s("ISSUER"), detail: s("DETAIL") },
        P::ClientRefused { provider: s("PROVIDER"), error: s("ERROR"), detail: s("DETAIL") },
        P::BadClientKey { provider: s("PROVIDER"), detail: s("DETAIL") },
        P::ProofRefused { provider: s("PROVIDER"), detail: s("DETAIL") },
        P::NotBound { account: s("ACCOUNT") },
        P::ScopeRefused { provider: s("PROVIDER"), detail: s("DETAIL") },
        P::BadCallback { detail: s("DETAIL") },
        P::UnknownCallback,
        P::CallbackUsed,
        P::ConsentDenied { provider: s("PROVIDER") },
        P::AuthorizationFailed { provider: s("PROVIDER"), error: s("ERROR"), detail: s("DETAIL") },
        P::CodeRefused { provider: s("PROVIDER") },
        P::IdTokenRejected { provider: s("PROVIDER"), detail: s("DETAIL") },
        P::UserinfoRejected { provider: s("PROVIDER"), detail: s("DETAIL") },
        P::OtherSubject { account: s("ACCOUNT") },
        P::OtherIssuer { account: s("ACCOUNT"), issuer: s("ISSUER") },
        P::EndpointMoved { account: s("ACCOUNT"), from: s("FROM"), to: s("TO") },
        P::AttemptExpired { minutes: 10 },
        P::AttemptCancelled,
        P::SchemeTaken { handler: s("HANDLER") },
        P::SchemeUnhandled,
        P::PortTaken { address: s("ADDRESS"), detail: s("DETAIL") },
        P::ClockSkew { host: s("HOST"), seconds: 90 },
        P::SecretNeeded { provider: s("PROVIDER") },
        P::DiskFull { file: s("FILE"), detail: s("DETAIL") },
        P::NotWritten { file: s("FILE"), detail: s("DETAIL") },
        P::LockNotKept { file: s("FILE"), detail: s("DETAIL") },
        P::DatabaseDamaged { file: s("FILE"), detail: s("DETAIL") },
        P::DatabaseSetAside { file: s("FILE"), kept: s("KEPT") },
        P::AuditDamaged { row: 12, detail: s("DETAIL") },
        P::NewerSchema { file: s("FILE"), found: 2, known: 1 },
        P::UnsafePath { path: s("PATH"), detail: s("DETAIL") },
        P::Internal { detail: s("DETAIL") },
    ];
    all.extend(WHYS.map(|why| P::SignInNeeded { account: "ACCOUNT".to_owned(), why }));
    all
}

/// The exit codes as they are documented.
fn exit(problem: &P) -> u8 {
    match problem {
        P::ProviderInUse { .. }
        | P::NoSuchAttempt { .. }
        | P::NoSuchPrompt { .. }
        | P::RegistrationLeft { .. }
        | P::TokenRejected { .. }
        | P::PartRefused { .. }
        | P::AlreadyRunning { .. }
        | P::BadCallback { .. }
        | P::UnknownCallback
        | P::CallbackUsed
        | P::AuthorizationFailed { .. }
        | P::CodeRefused { .. }
        | P::IdTokenRejected { .. }
        | P::UserinfoRejected { .. }
        | P::OtherSubject { .. }
        | P::OtherIssuer { .. }
        | P::EndpointMoved { .. }
        | P::AttemptExpired { .. }
        | P::AttemptCancelled
        | P::Internal { .. } => 1,
        P::BadRequest { .. }
        | P::NoSuchAccount { .. }
        | P::NoSuchProvider { .. }
        | P::LabelTaken { .. }
        | P::NoSuchRule { .. }
        | P::FileExists { .. }
        | P::AccountHere { .. }
        | P::ProviderDiffers { .. }
        | P::ImportedBefore { .. }
        | P::ExportSealed { .. }
        | P::NotBound { .. } => 2,
        P::SignInNeeded { .. }
        | P::SignedOut { .. }
        | P::MovedAway { .. }
        | P::ScopeNotGranted { .. }
        | P::ResourceNotGranted { .. } => 3,
        P::Unreachable { .. }
        | P::ProviderTrouble { .. }
        | P::RateLimited { .. }
        | P::NotYet { .. }
        | P::ProofRefused { .. } => 4,
        P::Denied { .. }
        | P::ConsentRefused { .. }
        | P::ConsentTimeout { .. }
        | P::NobodyToAsk { .. }
        | P::TooManyPrompts { .. }
        | P::Locked
        | P::ConsentDenied { .. } => 5,
        P::KeychainLocked
        | P::Sealed
        | P::KeychainAbsent
        | P::KeychainTimeout { .. }
        | P::KeychainTrouble { .. }
        | P::PassphraseNeeded
        | P::PassphraseUnset
        | P::WrongPassphrase
        | P::CredentialUnusable { .. } => 6,
        P::Stopping | P::NoAgent { .. } | P::SocketPathTooLong { .. } | P::OtherProtocol { .. } => 7,
        P::BadConfig { .. }
        | P::StoreChanged { .. }
        | P::ForeignSocket { .. }
        | P::BadProvider { .. }
        | P::NotLoopback { .. }
        | P::IssuerMismatch { .. }
        | P::NotAnIssuer { .. }
        | P::NoServer { .. }
        | P::BadResource { .. }
        | P::NoRegistration { .. }
        | P::RegistrationRefused { .. }
        | P::RegistrationEnded { .. }
        | P::ClientRefused { .. }
        | P::BadClientKey { .. }
        | P::ScopeRefused { .. }
        | P::SchemeTaken { .. }
        | P::SchemeUnhandled
        | P::PortTaken { .. }
        | P::ClockSkew { .. }
        | P::SecretNeeded { .. } => 8,
        P::DiskFull { .. }
        | P::NotWritten { .. }
        | P::LockNotKept { .. }
        | P::DatabaseDamaged { .. }
        | P::DatabaseSetAside { .. }
        | P::AuditDamaged { .. }
        | P::ExportUnreadable { .. }
        | P::NewerSchema { .. }
        | P::UnsafePath { .. } => 9,
    }
}

fn messages() -> Map<String, Value> {
    serde_json::from_str(include_str!("../messages/en.json")).unwrap_or_default()
}

fn parameters(problem: &P) -> Map<String, Value> {
    match serde_json::to_value(problem) {
        Ok(Value::Object(map)) => map,
        other => panic!("{problem:?} is {other:?}"),
    }
}

fn text<'a>(parameters: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    parameters.get(name).and_then(Value::as_str)
}

fn key(problem: &P) -> String {
    let parameters = parameters(problem);
    let code = text(&parameters, "code").unwrap_or_default().to_owned();
    match text(&parameters, "why") {
        Some(why) => format!("problem.{code}.{why}"),
        None => format!("problem.{code}"),
    }
}

fn template(problem: &P) -> String {
    text(&messages(), &key(problem)).unwrap_or_default().to_owned()
}

#[test]
fn every_problem_has_its_sentence_and_every_sentence_its_problem() {
    let used: BTreeSet<_> = every_problem().iter().map(key).collect();
    let there: BTreeSet<_> = messages().keys().filter(|key| key.starts_with("problem.")).cloned().collect();
    assert_eq!(used, there);
}

#[test]
fn a_sentence_is_whole() {
    for problem in every_problem() {
        let sentence = sentence(&problem);
        assert!(!sentence.contains(['{', '}']), "{sentence}");
        assert!(sentence.ends_with('.'), "{sentence}");
        assert!(!sentence.ends_with("..") && !sentence.contains("  "), "{sentence}");
        assert!(sentence.starts_with(|c: char| c.is_uppercase() || c == '“'), "{sentence}");
        assert!(sentence.chars().count() < 240, "{} characters: {sentence}", sentence.chars().count());
    }
}

#[test]
fn a_sentence_tells_every_parameter_that_a_person_can_use() {
    for problem in every_problem() {
        let sentence = sentence(&problem);
        for (name, value) in parameters(&problem) {
            // The code is for scripts, a reason has words of its own, an id says nothing, and a time the window words.
            if matches!(name.as_str(), "code" | "why" | "attempt" | "prompt" | "until") {
                continue;
            }
            // What the provider said stands beneath the sentence: the window tells it by this, that no sentence has it.
            let beneath = name == "detail" && problem.said_by_provider().is_some();
            if beneath {
                assert!(!template(&problem).contains("{detail}"), "{sentence}");
                assert_eq!(said_by_provider(&problem).as_deref(), Some("The provider says: DETAIL"));
                continue;
            }
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(sentence.contains(&value), "{name} is missing: {sentence}");
        }
    }
}

#[test]
fn a_sentence_says_what_to_do_or_that_there_is_nothing_to_do() {
    const WORDS: [&str; 33] = [
        "sign in",
        "sign them out",
        "start ",
        "ask again",
        "answer ",
        "asks again",
        "unlock",
        "tries again",
        "check",
        "choose",
        "correct",
        "install",
        "stop that",
        "set ",
        "use ",
        "make ",
        "move it",
        "report",
        "put back",
        "write ",
        "`larder",
        "nothing was sent again",
        "nothing else is",
        "sign in as",
        "see ",
        "try again",
        "give ",
        "look ",
        "quit ",
        "nothing is left to do",
        "paste",
        "change ",
        "sign account out",
    ];
    let silent: Vec<_> = every_problem()
        .iter()
        .map(sentence)
        .filter(|sentence| !WORDS.iter().any(|word| sentence.to_lowercase().contains(word)))
        .collect();
    assert!(silent.is_empty(), "these leave their reader alone: {silent:#?}");
}

#[test]
fn what_others_wrote_is_never_read_as_a_placeholder() {
    let problem = P::ClientRefused {
        provider: "PROVIDER".to_owned(),
        error: "{provider} $& {nothing}".to_owned(),
        detail: "{error} {said}".to_owned(),
    };
    let sentence = sentence(&problem);
    assert!(sentence.contains("({provider} $& {nothing})"), "{sentence}");
    assert_eq!(said_by_provider(&problem).as_deref(), Some("The provider says: {error} {said}"));
    let silent = P::ClientRefused { provider: "P".to_owned(), error: "e".to_owned(), detail: String::new() };
    assert_eq!(said_by_provider(&silent), None);
}

#[test]
fn a_missing_message_is_its_key() {
    assert_eq!(larder_core::words::message("problem.from-the-future", &Map::new()), "problem.from-the-future");
}

#[test]
fn the_exit_codes_are_as_documented() {
    for problem in every_problem() {
        assert_eq!(problem.exit() as u8, exit(&problem), "{problem:?}");
    }
}

#[test]
fn a_problem_comes_back_from_the_wire_as_it_was() {
    for problem in every_problem() {
        let wire = Value::Object(parameters(&problem));
        assert_eq!(serde_json::from_value::<P>(wire).ok(), Some(problem));
    }
}
