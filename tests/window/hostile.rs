//! What others wrote is text, whatever it is made to be: names, titles, scopes, errors and programs that would be scripts, pictures
//! or another direction of writing, on each page of the real window.

use crate::support::openid_provider::OpenIdProvider;
use crate::support::pages::Pages;
use crate::support::web_driver::Page;
use crate::support::{Child, Desktop, program};
use serde_json::json;
use std::cell::Cell;
use std::path::Path;
use std::process::Stdio;

/// What would act in a page: each asks the server that counts, or sets `__pwned`.
fn attacks(at: &str) -> Vec<String> {
    vec![
        format!("<img src={at}/img onerror=__pwned=1>"),
        format!("\"><script src={at}/script></script>"),
        "</title><svg onload=__pwned=1>".to_owned(),
        "<iframe srcdoc='<script>parent.__pwned=1</script>'></iframe>".to_owned(),
        "javascript:__pwned=1//".to_owned(),
        format!("<style>*{{background:url({at}/style)}}</style>"),
        "{{constructor.constructor('__pwned=1')()}}{@html x}${__pwned=1}".to_owned(),
        "\u{202e}moc.elpmaxe\u{2066}\u{200b}\u{feff}".to_owned(),
        "a\u{2028}b\u{2029}c".to_owned(),
    ]
}

/// All of it, and longer than anybody reads.
fn all_and_more(at: &str) -> String {
    format!("{} {}", attacks(at).join(" "), "x".repeat(10_000))
}

/// A program whose name and arguments would act in a page. A path has no slash within.
const PROGRAM: &str = "<img src=x onerror=__pwned=1>\"><svg onload=__pwned=1>\u{202e}\n.py";

/// What became of the page is looked at on each.
const LOOK: &str = r#"
    const made = "main :is(script, img, iframe, style, object, embed, link, form[action], base, meta, a[href])";
    const acts = "[onload], [onerror], [onclick], [srcdoc], [style*=url]";
    const said = [document.body.innerText,
        ...[...document.querySelectorAll("[aria-label], [title]")].map((one) => `${one.ariaLabel} ${one.title}`)].join(" ");
    return {
        pwned: window.__pwned ?? null,
        made: [...document.querySelectorAll(`${made}, ${acts}`)].map((one) => one.outerHTML.slice(0, 200)),
        steers: said.match(/[\u202a-\u202e\u2066-\u2069\u200b\ufeff\u2028\u2029]/g)?.length ?? 0,
        wide: document.documentElement.scrollWidth > innerWidth,
        title: document.title,
    };
"#;

/// A window on a house whose provider, accounts and programs are called to do harm.
struct Harm {
    desktop: Desktop,
    provider: OpenIdProvider,
    counts: Pages,
    page: Page,
    labels: Vec<String>,
    pictures: Cell<usize>,
}

impl Harm {
    fn begin() -> Self {
        let desktop = Desktop::new();
        let counts = Pages::start(|_| Vec::<(String, _)>::new());
        let at = counts.origin.clone();
        let harm = all_and_more(&at);
        let provider = OpenIdProvider::start();
        provider.tell(|told| {
            told.metadata = json!({
                "logo_uri": format!("{at}/logo"), "op_policy_uri": "data:text/html,<script>__pwned=1</script>",
                "service_documentation": format!("{at}/documentation"), "scopes_supported": attacks(&at),
            });
            let claims = json!({ "name": harm, "email": harm, "picture": format!("{at}/picture"),
                "logo_uri": "data:text/html,<script>__pwned=1</script>" });
            told.claims = claims.clone();
            told.userinfo = claims;
            // Scopes are separated by spaces, and a provider may say one twice.
            let scopes = attacks(&at)[..7].join(" ").replace(['"', '\\'], "");
            told.response = json!({ "scope": format!("openid openid {scopes}") });
        });
        provider.add(&desktop.session, "work", &[]);
        call_it(&desktop, &harm);
        let labels = attacks(&at);
        for (number, label) in labels.iter().enumerate() {
            provider.tell(|told| {
                told.claims["sub"] = json!(format!("subject-{number}"));
                told.userinfo["sub"] = json!(format!("subject-{number}"));
            });
            let url = desktop.session.larder(&["sign-in", "work", "--no-browser"]).ok();
            desktop.session.larder_reads(&["callback"], &provider.authorize(&url)).ok();
            desktop.session.larder(&["rename", "work", label]).ok();
        }
        let page = Page::open(&desktop, &[]);
        Self { desktop, provider, counts, page, labels, pictures: Cell::new(0) }
    }

    /// The page is there, with this to be read on it and in it what others wrote as text; nothing of that acts.
    #[track_caller]
    fn is_text(&self, name: &str, words: &str) {
        self.page.reads(words);
        self.page.is_drawn();
        let number = self.pictures.replace(self.pictures.get() + 1);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/desktop");
        std::fs::create_dir_all(&folder).expect("a folder");
        self.desktop.window_picture(&folder.join(format!("hostile-{number:02}-{name}.png")));
        let whole = json!({ "pwned": null, "made": [], "steers": 0, "wide": false, "title": "Larder" });
        assert_eq!(self.page.run(LOOK, json!([])), whole, "{name}: {:?}", self.page.trouble());
        assert_eq!(self.page.trouble(), Vec::<String>::new(), "{name}");
        assert_eq!(self.counts.requests(), Vec::<String>::new(), "{name}");
    }

    /// A program with a hostile name asks for this account's token.
    fn asks(&self, label: &str) -> Child {
        let path = self.desktop.session.home().join(PROGRAM);
        if !path.exists() {
            let python = std::fs::canonicalize("/usr/bin/python3").expect("Python");
            std::fs::copy(python, &path).expect("a program");
        }
        let code = "import subprocess, sys; sys.exit(subprocess.run([sys.argv[1], 'token', sys.argv[2]]).returncode)";
        let mut command = self.desktop.session.command(path);
        command.args(["-c", code]).arg(program("larder")).arg(label).args(&self.labels);
        Child(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started"))
    }
}

/// Gives the provider this title, as its definition may.
fn call_it(desktop: &Desktop, title: &str) {
    let file = desktop.session.profile().join("providers.toml");
    let text = std::fs::read_to_string(&file).expect("providers.toml");
    let line = text.lines().find(|line| line.starts_with("issuer")).expect("an issuer").to_owned();
    let titled = format!("title = {}\n{line}", toml::Value::String(title.to_owned()));
    std::fs::write(&file, text.replace(&line, &titled)).expect("providers.toml");
    desktop.session.larder(&["providers", "list"]).ok();
}

#[test]
fn what_others_wrote_is_text_on_every_page_of_the_window() {
    let harm = Harm::begin();
    let page = &harm.page;
    harm.is_text("accounts", "<img src=");
    let house = page.invoke("house", json!({})).expect("the house");
    let accounts = house["accounts"].as_array().expect("a list").clone();
    assert_eq!(accounts.len(), harm.labels.len());
    assert!(accounts.iter().all(|one| one["name"].as_str().is_some_and(|name| name.starts_with("<img src="))));
    harm.desktop.session.wait_for("the program", || harm.asks(&harm.labels[0]).0.wait().expect("it ends").success());
    // Refreshes that fail, with words of the provider's.
    let said = all_and_more(&harm.counts.origin);
    let refusals = ["invalid_grant", "invalid_client", "temporarily_unavailable", "<img src=x onerror=__pwned=1>"];
    for (error, account) in refusals.iter().zip(accounts.iter().rev()) {
        let answer = json!({ "error": error, "error_description": said, "error_uri": "javascript:__pwned=1" });
        harm.provider.tell(|told| told.response = answer);
        page.invoke("refresh", json!({ "account": account["id"] })).expect_err("refused");
    }
    harm.provider.tell(|told| told.response = json!({}));
    harm.is_text("accounts-in-trouble", "<img src=");
    // One that is well, and those that are not.
    for account in accounts[..1].iter().chain(&accounts[accounts.len() - refusals.len()..]) {
        let open = "document.querySelector(`[data-account='${arguments[0]}']`).click()";
        page.run(open, json!([account["id"]]));
        page.wait_for("the chart", || {
            page.run("return document.querySelector('main canvas')?.width > 0", json!([])) == true
        });
        harm.is_text("account", "Issuer");
        page.press("Accounts");
        page.reads(" ready");
    }
    page.press("Activity");
    harm.is_text("activity", "Token handed out");
    page.press("Settings");
    harm.is_text("settings", "Start when you log in");

    // A rule for the program, and a question of its.
    let path = harm.desktop.session.home().join(PROGRAM);
    let rule = json!({ "program": path, "account": harm.labels[0], "decision": "allow" });
    page.invoke("set_policy", rule).expect("a rule");
    page.press("Programs");
    harm.is_text("programs", "<img src=x");
    page.invoke("remove_rule", json!({ "program": path, "account": harm.labels[0] })).expect("no rule");
    page.invoke("set_policy", json!({ "program": null, "account": null, "decision": "ask" })).expect("a default");
    let _asking = harm.asks(&harm.labels[0]);
    harm.is_text("prompt", "Nothing is handed out while you decide");
    page.wait_for("a question that takes an answer", || {
        page.run("return document.querySelector('[aria-disabled=true]') === null", json!([])) == true
    });
    page.press("Not now");
    page.no_longer_reads("Nothing is handed out while you decide");

    // What leads to a sign-in.
    page.press("Find");
    page.reads("Esc");
    harm.is_text("palette", "<img src=");
    harm.desktop.keys(&["Escape"]);
    page.press("Accounts");
    page.press("Sign in…");
    harm.is_text("sign-in", "<img src=");
    page.press("Accounts");
    let open = "document.querySelector(`[data-account='${arguments[0]}']`).click()";
    page.run(open, json!([accounts[0]["id"]]));
    page.press("Add access…");
    harm.is_text("access", "<img src=");
    page.press("Accounts");
    page.run(open, json!([accounts[0]["id"]]));
    page.reads("Issuer");
    page.run("document.querySelector('dl button.link').click()", json!([]));
    harm.is_text("provider", "<img src=");
    page.press("Check");
    harm.is_text("report", "answers, and is the issuer that it says it is.");
    page.press("Accounts");
    harm.desktop.browser_holds();
    page.run(open, json!([accounts[0]["id"]]));
    page.press("Confirm it is you");
    harm.is_text("waiting", "Continue in your browser");
}
