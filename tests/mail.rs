//! docs/recipes.md for mail: a real server that takes OAuth alone, and the programs as people are told to set them up.

use crate::support::mail_server::MailServer;
use crate::support::{Provider, Session, files_below, holds, program, recipes};
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

const MAIL: &str = "From: grace@x.example\nTo: ada@x.example\nSubject: the engine\n\nIt weaves patterns.\n";

struct Mail {
    session: Session,
    server: MailServer,
    address: String,
    _provider: Provider,
}

impl Mail {
    fn new() -> Self {
        let mut session = Session::new();
        let provider = Provider::start(&session, 600);
        session.add("work", &provider);
        session.sign_in("work", "ada");
        let folder = program("larder").parent().expect("a folder").display().to_string();
        session.set("PATH", format!("{folder}:{}", std::env::var("PATH").expect("PATH")));
        session.set("TERM", "xterm");
        let server = MailServer::start(&session, &provider.issuer);
        let address = session.account("work")["email"].as_str().expect("an address").to_owned();
        Self { session, server, address, _provider: provider }
    }

    /// A documented configuration, for this server.
    fn configuration(&self, heading: &str, replaced: &[(&str, &str)]) -> PathBuf {
        let mut text = recipes::snippet(heading, "conf").replace("ada@x.example", &self.address);
        for (documented, here) in replaced {
            assert!(text.contains(documented), "{documented} in {text}");
            text = text.replace(documented, here);
        }
        let file = self.session.home().join("configuration");
        std::fs::write(&file, text).expect("a file");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("permissions");
        file
    }

    /// Runs a program with this on its stdin.
    fn reads(&self, program: &str, arguments: &[&str], text: &str) -> String {
        let mut command = self.session.command(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// No program kept the token.
    fn nothing_kept(&self) {
        let token = self.session.larder(&["token", "work"]).ok();
        for file in files_below(self.session.home()).into_iter().chain(files_below(self.server.folder())) {
            assert!(!holds(&file, token.as_bytes()), "{} holds the token", file.display());
        }
    }
}

#[test]
fn msmtp() {
    let mail = Mail::new();
    let port = format!("port {}\ntls_trust_file {}", mail.server.submission, mail.server.certificate.display());
    let file = mail.configuration("msmtp", &[("smtp.example", "localhost"), ("port 587", &port)]);
    let send =
        |file: &PathBuf| mail.reads("msmtp", &["-C", &file.display().to_string(), "-a", "work", "bob@x.example"], MAIL);
    send(&file);
    assert!(mail.server.handed_in().contains("It weaves patterns."));
    assert_eq!(mail.server.log_ins("submission"), ["OAUTHBEARER"]);
    // The other mechanism, which is named there as well.
    let text = std::fs::read_to_string(&file).expect("the file").replace("auth oauthbearer", "auth xoauth2");
    std::fs::write(&file, text).expect("a file");
    send(&file);
    mail.server.handed_in();
    assert_eq!(mail.server.log_ins("submission"), ["OAUTHBEARER", "XOAUTH2"]);
    mail.nothing_kept();
}

#[test]
fn mbsync() {
    let mail = Mail::new();
    mail.server.deliver(&mail.session, &mail.address, MAIL);
    let port = format!("Port {}\nCertificateFile {}", mail.server.imap, mail.server.certificate.display());
    let file = mail.configuration("mbsync", &[("imap.example", "localhost"), ("Port 993", &port)]);
    std::fs::create_dir(mail.session.home().join("Mail")).expect("a folder");
    mail.session.ran("mbsync", &["-c", &file.display().to_string(), "work"]);
    let fetched = files_below(&mail.session.home().join("Mail"));
    assert!(fetched.iter().any(|file| holds(file, b"It weaves patterns.")), "{fetched:?}");
    assert_eq!(mail.server.log_ins("imap"), ["XOAUTH2"]);
    mail.nothing_kept();
}

#[test]
fn neomutt() {
    let mail = Mail::new();
    mail.server.deliver(&mail.session, &mail.address, MAIL);
    let (imap, smtp) = (format!("localhost:{}", mail.server.imap), format!("localhost:{}", mail.server.submission));
    let trust = format!("set ssl_force_tls = yes\nset certificate_file = \"{}\"", mail.server.certificate.display());
    let documented = [("imap.example:993", &imap), ("smtp.example:587", &smtp), ("set ssl_force_tls = yes", &trust)];
    let file = mail.configuration("neomutt", &documented.map(|(text, here)| (text, here.as_str())));
    let file = file.display().to_string();
    mail.reads("neomutt", &["-n", "-F", &file, "-s", "an answer", "bob@x.example"], "Looms too.\n");
    assert!(mail.server.handed_in().contains("Looms too."));
    assert_eq!(mail.server.log_ins("submission"), ["OAUTHBEARER"]);
    // It reads in a terminal alone.
    let keys = "push \"<pipe-message>cat >read<enter><quit>\"";
    let settings = "set wait_key=no quit=yes pipe_decode=yes confirmappend=no";
    let command = format!("neomutt -n -F {file} -e '{settings}' -e '{keys}'");
    mail.reads("timeout", &["60", "script", "--quiet", "--return", "--command", &command, "/dev/null"], "");
    assert!(holds(&mail.session.home().join("read"), b"It weaves patterns."));
    assert_eq!(mail.server.log_ins("imap"), ["OAUTHBEARER"]);
    mail.nothing_kept();
}

#[test]
fn by_hand() {
    let mail = Mail::new();
    mail.server.deliver(&mail.session, &mail.address, MAIL);
    let snippet = recipes::snippet("Other mail programs", "sh");
    let here = format!("-CAfile {} -verify_return_error", mail.server.certificate.display());
    let snippet = snippet.replace("imap.example:993", &format!("localhost:{} {here}", mail.server.imap));
    let said = mail.session.ran("sh", &["-euc", &snippet]);
    assert!(said.contains("(MESSAGES 1)"), "{said}");
    assert_eq!(mail.server.log_ins("imap"), ["XOAUTH2"]);
}
