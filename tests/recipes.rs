//! docs/recipes.md, as it stands there: each program gets a token that works, from the lines that people are told to write.

use crate::support::resource::Resource;
use crate::support::{Provider, Session, program, recipes};

/// Signed in as `work` (Ada), with `larder` where scripts find it.
fn signed_in() -> (Session, Provider) {
    let mut session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let folder = program("larder").parent().expect("a folder").display().to_string();
    session.set("PATH", format!("{folder}:{}", std::env::var("PATH").expect("PATH")));
    (session, provider)
}

/// A resource server, and a documented snippet that goes there instead of `https://api.example`.
struct Documented {
    session: Session,
    resource: Resource,
    snippet: String,
    _provider: Provider,
}

impl Documented {
    fn new(heading: &str, language: &str) -> Self {
        let (session, provider) = signed_in();
        let resource = Resource::saying(&provider.issuer, "{\"hello\":\"ada\"}");
        let snippet = recipes::snippet(heading, language);
        assert!(snippet.contains("https://api.example"), "{snippet}");
        let snippet = snippet.replace("https://api.example", &resource.at);
        Self { session, resource, snippet, _provider: provider }
    }

    /// The server saw the account's own token at this path, and nothing else.
    #[track_caller]
    fn came(&self, path: &str) {
        let token = self.session.larder(&["token", "work"]).ok();
        let seen = self.resource.seen();
        assert!(!seen.is_empty());
        for asked in &seen {
            assert_eq!((asked.path.as_str(), asked.scheme.as_str(), asked.status), (path, "Bearer", 200));
            assert_eq!(asked.token, token);
        }
    }
}

#[test]
fn curl() {
    let documented = Documented::new("curl", "sh");
    let said = documented.session.ran("sh", &["-euc", &documented.snippet]);
    assert!(said.contains("\"ada\""), "{said}");
    documented.came("/me");
}
