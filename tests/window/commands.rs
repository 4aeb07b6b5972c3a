//! Every command of the window is asked for real, from the page, while the house is full of secrets: none is in an answer, in a
//! refusal, or in what the window is told by itself.

use crate::support::Desktop;
use crate::support::canary::{Search, nothing};
use crate::support::secrets::Secrets;
use crate::support::web_driver::Page;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// What a person types into the window: it goes in, and never comes out.
const PASSPHRASE: &str = "canary/passphrase=of~a-sealed.file.58d1e7";

/// Writes down whatever the window is told by itself.
const HEAR: &str = r#"
    const [then] = arguments;
    window.__heard = [];
    const { invoke, transformCallback } = __TAURI_INTERNALS__;
    const handler = transformCallback((event) => __heard.push(JSON.stringify(event)));
    const hear = (event) => invoke("plugin:event|listen", { event, target: { kind: "Any" }, handler });
    Promise.all([hear("house"), hear("page")]).then(then);
"#;

/// Asks without waiting: the answer needs somebody at the screen first.
const BEGIN: &str = r#"
    const [command, given] = arguments;
    window.__begun = null;
    __TAURI_INTERNALS__.invoke(command, given).then(
        (answer) => (window.__begun = { answer }),
        (refused) => (window.__begun = { refused }));
"#;

/// What became of the commands.
struct Asked<'a> {
    desktop: &'a Desktop,
    page: &'a Page,
    names: BTreeSet<String>,
    /// Command, and what came of it.
    said: Vec<(String, String)>,
}

impl Asked<'_> {
    fn note(&mut self, command: &str, came: &Result<Value, Value>) {
        self.names.insert(command.to_owned());
        let text = came.as_ref().map_or_else(|refused| format!("refused: {refused}"), |answer| format!("{answer}"));
        self.said.push((command.to_owned(), text));
    }

    /// What must be answered.
    #[track_caller]
    fn answers(&mut self, command: &str, arguments: Value) -> Value {
        let came = self.page.invoke(command, arguments);
        self.note(command, &came);
        came.unwrap_or_else(|refused| panic!("{command} is refused: {refused}"))
    }

    /// What the agent refuses, with this code: a refusal tells of what it is about.
    #[track_caller]
    fn refuses(&mut self, command: &str, arguments: Value, code: &str) {
        let came = self.page.invoke(command, arguments);
        self.note(command, &came);
        let refused = came.expect_err(command);
        assert_eq!(refused["code"], code, "{command}: {refused}");
    }

    /// What asks a person first: they close the dialog.
    #[track_caller]
    fn answers_when_closed(&mut self, command: &str, arguments: Value, dialog: &str) {
        self.page.run(BEGIN, json!([command, arguments]));
        let session = &self.desktop.session;
        let search = ["search", "--onlyvisible", "--name", dialog];
        let shown = || session.command("xdotool").args(search).output().expect("xdotool").stdout;
        session.wait_for(dialog, || !shown().is_empty());
        let mut came = Value::Null;
        session.wait_for("the dialog's end", || {
            // A dialog that is not drawn yet hears no key.
            if let Some(window) = String::from_utf8_lossy(&shown()).lines().next() {
                let _ = session.command("xdotool").args(["windowfocus", window, "key", "Escape"]).output();
            }
            came = self.page.run("return window.__begun", json!([]));
            !came.is_null()
        });
        assert!(came.get("answer").is_some(), "{command}: {came}");
        self.note(command, &Ok(came));
    }
}

/// The names of the commands, as the source has them.
fn commands() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src-tauri/app/src/commands.rs");
    let source = std::fs::read_to_string(path).expect("commands.rs");
    let names = source.split("#[tauri::command]\n").skip(1).map(|text| {
        let name = text.strip_prefix("pub async fn ").and_then(|text| text.split('(').next());
        name.expect("a command").to_owned()
    });
    names.collect()
}

#[test]
fn no_command_of_the_window_gives_a_secret_out() {
    let desktop = Desktop::new();
    let secrets = Secrets::signed_in(&desktop.session);
    let page = Page::open(&desktop, &[]);
    page.reads("work");
    page.run_until_told(HEAR, json!([]));
    let mut asked = Asked { desktop: &desktop, page: &page, names: BTreeSet::new(), said: Vec::new() };
    let issuer = secrets.provider.issuer.clone();

    // What is read.
    asked.answers("ready", json!({}));
    asked.answers("hears", json!({}));
    let house = asked.answers("house", json!({}));
    let account = house["accounts"][0]["id"].clone();
    let of = json!({ "account": account });
    let filter = json!({ "account": account, "kinds": [], "since": null, "words": "", "most": 1000 });
    assert!(!asked.answers("events", json!({})).as_array().expect("a list").is_empty());
    let history = asked.answers("history", json!({ "account": account, "since": 0 }));
    assert!(!history.as_array().expect("a list").is_empty());
    assert!(!asked.answers("last_uses", json!({})).as_array().expect("a list").is_empty());
    assert!(!asked.answers("activity", json!({ "filter": filter })).as_array().expect("a list").is_empty());
    asked.answers("settings", json!({}));
    asked.answers("policy", json!({}));
    asked.answers("own_redirect", json!({ "kind": "loopback" }));
    asked.answers("find", json!({ "url": issuer }));
    asked.answers("check_provider", json!({ "provider": "work" }));

    // What is done with an account and around it.
    asked.answers("refresh", of.clone());
    asked.answers("refresh_all", json!({}));
    asked.answers("test", of.clone());
    asked.answers("rename", json!({ "account": account, "label": "office" }));
    asked.answers("place", json!({ "account": account, "before": null }));
    asked.answers("set_policy", json!({ "program": "/usr/bin/git", "account": "office", "decision": "allow" }));
    asked.answers("remove_rule", json!({ "program": "/usr/bin/git", "account": "office" }));
    asked.answers("answer_prompt", json!({ "prompt": "none", "choice": "not-now" }));
    asked.answers("change_settings", json!({ "change": { "theme": "dark" } }));
    asked.answers("save_activity", json!({ "filter": filter, "format": "csv" }));
    // No file manager is installed.
    asked.refuses("open_folder", json!({}), "internal");
    asked.answers("copy_own_redirect", json!({ "kind": "deep-link" }));
    asked.answers("copy_redirect", json!({ "provider": "discord" }));
    asked.answers("open_registration", json!({ "provider": "discord" }));
    asked.answers("lock", json!({}));
    asked.answers("unlock", json!({}));

    // A sign-in, whose address is in the clipboard and nowhere else. The browser does nothing with it.
    desktop.browser_holds();
    let more = json!({ "scopes": [], "anew": true });
    let sign_in = json!({ "provider": "work", "account": null, "redirect": "loopback", "more": more });
    let attempt = json!({ "attempt": asked.answers("sign_in", sign_in) });
    asked.answers("open_again", attempt.clone());
    asked.answers("copy_link", attempt.clone());
    let address = url::Url::parse(&desktop.clipboard()).expect("the clipboard holds the address");
    asked.refuses("picture", attempt.clone(), "attempt-cancelled");
    asked.refuses("paste_address", json!({}), "bad-callback");
    asked.answers("cancel_sign_in", attempt);

    // Providers, with a secret each.
    let secret = crate::support::secrets::SECRET;
    let saved = json!({ "provider": "work", "clientId": "larder-test", "server": null, "secret": secret });
    asked.answers("save_client", saved);
    let provider = json!({ "title": "Another", "issuer": issuer, "client_id": "x", "scopes": "openid",
        "redirect": "loopback", "secret": secret });
    asked.answers("add_provider", json!({ "provider": provider }));
    asked.answers("adopt", json!({ "url": issuer }));

    // The account goes.
    asked.answers("sign_out_in_browser", of.clone());
    asked.answers("sign_out", of.clone());
    asked.answers("undo_sign_out", of.clone());
    asked.answers("export_accounts", json!({ "accounts": [account], "passphrase": PASSPHRASE }));
    asked.answers_when_closed("import_accounts", json!({ "passphrase": PASSPHRASE }), "Accounts of another machine");
    asked.answers("forget", of);
    asked.answers("reset", json!({}));

    assert_eq!(asked.names, commands(), "a command of the window that this test does not ask, or that is no more");
    let mut search = secrets.search().and("passphrase", PASSPHRASE.as_bytes());
    for name in ["state", "nonce", "code_challenge"] {
        let value = address.query_pairs().find(|(known, _)| known == name).expect(name).1.into_owned();
        search = search.and(name, value.as_bytes());
    }
    finds(&search, &secrets);
    for (command, said) in &asked.said {
        nothing(&search.text(&format!("what {command} gives"), said.as_bytes()), command);
    }
    let heard = page.run("return window.__heard", json!([]));
    let heard = heard.as_array().expect("a list");
    assert!(heard.len() > 5, "the window is told of changes: {heard:?}");
    for event in heard {
        nothing(&search.text("an event", event.as_str().expect("text").as_bytes()), "what the window is told");
    }
    let all = page.run("return document.documentElement.outerHTML", json!([]));
    nothing(&search.text("the page", all.as_str().expect("text").as_bytes()), "the page");
}

/// The search does find, and in JSON too.
fn finds(search: &Search, secrets: &Secrets) {
    for (what, secret) in &secrets.all {
        let Ok(text) = std::str::from_utf8(secret) else { continue };
        let told = json!({ "answer": [text] }).to_string();
        assert!(!search.text("a control", told.as_bytes()).is_empty(), "{what} is not found");
    }
}
