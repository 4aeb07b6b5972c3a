//! docs/recipes.md, as it stands there: each program gets a token that works, from the lines that people are told to write.

use crate::support::resource::Resource;
use crate::support::tls::TlsFront;
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

#[test]
fn python_requests() {
    let documented = Documented::new("Python requests", "python");
    let said = documented.session.ran("/usr/bin/python3", &["-c", &documented.snippet]);
    assert!(said.contains("'ada'"), "{said}");
    documented.came("/me");
}

#[test]
fn node_fetch() {
    let documented = Documented::new("Node fetch", "js");
    let run = || documented.session.ran("node", &["--input-type=module", "--eval", &documented.snippet]);
    assert!(run().contains("ada"));
    documented.came("/me");
    // A token that the server refuses is replaced, by the same program that was given it.
    let first = documented.session.larder(&["token", "work"]).ok();
    documented.resource.refuse(&first);
    assert!(run().contains("ada"));
    let statuses: Vec<u16> = documented.resource.seen().iter().map(|asked| asked.status).collect();
    assert_eq!(statuses, [200, 401, 200]);
    assert_ne!(documented.session.larder(&["token", "work"]).ok(), first);
}

#[test]
fn rclone() {
    let (session, provider) = signed_in();
    let resource = Resource::start(&provider.issuer, &["Bearer"], |asked| match asked.method.as_str() {
        // RFC 4918 section 9.1: that there is such a file.
        "PROPFIND" => {
            let found = "<?xml version=\"1.0\"?><d:multistatus xmlns:d=\"DAV:\"><d:response><d:href>/dav/hello.txt</d:href>\
                         <d:propstat><d:prop><d:getcontentlength>5</d:getcontentlength><d:resourcetype/></d:prop>\
                         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>";
            (207, vec![("Content-Type".to_owned(), "application/xml".to_owned())], found.as_bytes().to_vec())
        }
        _ => (200, Vec::new(), b"hello".to_vec()),
    });
    let snippet = recipes::snippet("rclone", "ini").replace("https://files.example", &resource.at);
    let file = session.home().join("rclone.conf");
    std::fs::write(&file, snippet).expect("a file");
    let said = session.ran("rclone", &["--config", &file.display().to_string(), "cat", "files:hello.txt"]);
    assert_eq!(said, "hello", "{:?}", resource.seen());
    let token = session.larder(&["token", "work"]).ok();
    let seen = resource.seen();
    assert!(seen.iter().any(|asked| asked.method == "GET" && asked.path == "/dav/hello.txt"));
    assert!(seen.iter().all(|asked| asked.scheme == "Bearer" && asked.token == token), "{seen:?}");
}

#[test]
fn kubectl() {
    let (session, provider) = signed_in();
    let resource = Resource::start(&provider.issuer, &["Bearer"], |_| {
        let json = ("Content-Type".to_owned(), "application/json".to_owned());
        (200, vec![json], b"{\"kind\":\"APIVersions\",\"versions\":[\"v1\"]}".to_vec())
    });
    // It sends no token where there is no TLS.
    let port = resource.at.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let front = TlsFront::start(&session, port);
    let there = "server: \"https://kubernetes.example\"";
    let here =
        format!("server: \"https://localhost:{}\", certificate-authority: {}", front.port, front.certificate.display());
    let snippet = recipes::snippet("kubectl", "yaml");
    assert!(snippet.contains(there), "{snippet}");
    let mut snippet = snippet.replace(there, &here);
    let version = session.ran("kubectl", &["version", "--client", "--output=json"]);
    let version: serde_json::Value = serde_json::from_str(&version).expect("JSON");
    let minor: u32 = version["clientVersion"]["minor"]
        .as_str()
        .and_then(|text| text.trim_end_matches('+').parse().ok())
        .expect("a number");
    // As the comment there says.
    if minor < 22 {
        snippet = snippet.replace("k8s.io/v1 ", "k8s.io/v1beta1 ");
    }
    let file = session.home().join("kubeconfig");
    std::fs::write(&file, snippet).expect("a file");
    let said = session.ran("kubectl", &["--kubeconfig", &file.display().to_string(), "get", "--raw", "/api"]);
    assert!(said.contains("APIVersions"), "{said}");
    let token = session.larder(&["token", "work"]).ok();
    assert!(
        resource.seen().iter().any(|asked| asked.path == "/api" && asked.token == token && asked.scheme == "Bearer")
    );
}

#[test]
fn mcp_servers() {
    let (session, _provider) = signed_in();
    let server = session.home().join("notes-mcp-server");
    std::fs::write(&server, "#!/bin/sh\nread -r line\nprintf '%s %s %s' \"$1\" \"$NOTES_TOKEN\" \"$line\"\n")
        .expect("a file");
    std::fs::set_permissions(&server, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permissions");
    let configuration: serde_json::Value =
        serde_json::from_str(&recipes::snippet("MCP clients", "json")).expect("JSON");
    let notes = &configuration["mcpServers"]["notes"];
    let words: Vec<&str> = notes["args"].as_array().expect("a list").iter().filter_map(|word| word.as_str()).collect();
    assert_eq!(notes["command"], "larder");
    let before = words.iter().position(|word| *word == "--").expect("a command");
    let server = server.display().to_string();
    let words: Vec<&str> =
        words.iter().map(|word| if *word == "notes-mcp-server" { server.as_str() } else { word }).collect();
    assert_eq!(words[before + 1], server);
    let token = session.larder(&["token", "work"]).ok();
    let ran = session.larder_reads(&words, "{\"jsonrpc\":\"2.0\"}\n");
    assert_eq!((ran.code, ran.stdout), (0, format!("--stdio {token} {{\"jsonrpc\":\"2.0\"}}")));
}
