//! A mail server: Dovecot, which takes XOAUTH2 and OAUTHBEARER alone and asks the authorization server about each token. What is
//! handed in for delivery it passes on to a sink in this process, which keeps it.

use super::{Child, PATIENCE, Session, tls};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;

/// Dovecot gives nobody's mail to root; where the tests are root's, its users are this one.
const NOBODY: u32 = 65_534;

/// The server. It ends with its test.
pub struct MailServer {
    /// The port for IMAP over TLS.
    pub imap: u16,
    /// The port for submission, with STARTTLS.
    pub submission: u16,
    /// What it proves itself with, as `localhost`.
    pub certificate: PathBuf,
    /// What was handed in, whole.
    pub sent: mpsc::Receiver<String>,
    folder: tempfile::TempDir,
    _dovecot: Child,
}

impl MailServer {
    /// Starts it, for the people of this issuer, by their e-mail addresses.
    pub fn start(session: &Session, issuer: &str) -> Self {
        // Outside of the session's home, where only its owner may look.
        let folder = tempfile::Builder::new().prefix("lm").tempdir().expect("a temporary folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["run", "mail"] {
            std::fs::create_dir(at(name)).expect("a folder");
        }
        let me = session.ran("id", &["-u"]).trim().parse().expect("a number");
        let user: u32 = if me == 0 { NOBODY } else { me };
        let group: u32 = if me == 0 { NOBODY } else { session.ran("id", &["-g"]).trim().parse().expect("a number") };
        session.ran("chown", &[&format!("{user}:{group}"), &at("mail")]);
        let internal = session.ran("id", &["-un"]).trim().to_owned();
        let internal = if me == 0 {
            String::new()
        } else {
            format!("default_internal_user = {internal}\ndefault_login_user = {internal}\n")
        };
        let (certificate, key) = tls::certificate(session);
        let sink = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let relay = sink.local_addr().expect("an address").port();
        let (imap, submission) = (free_port(), free_port());
        std::fs::write(
            at("oauth2"),
            format!(
                "introspection_mode = auth\nintrospection_url = {issuer}/userinfo\nusername_attribute = email\n\
                 username_format = %u\n"
            ),
        )
        .expect("a file");
        let listener = |service: &str, used: &str, other: &str, port: u16, ssl: &str| {
            format!(
                "service {service}-login {{\n  chroot =\n  inet_listener {used} {{\n    port = {port}\n    ssl = {ssl}\n  }}\n  inet_listener {other} {{\n    \
                 port = 0\n  }}\n}}\n"
            )
        };
        let configuration = format!(
            "base_dir = {run}\nstate_dir = {run}\nlog_path = {log}\nprotocols = imap submission\nlisten = 127.0.0.1\nssl = yes\n\
             ssl_cert = <{cert}\nssl_key = <{key}\nauth_mechanisms = xoauth2 oauthbearer\nmail_location = maildir:~/Maildir\n\
             hostname = localhost\nsubmission_relay_host = 127.0.0.1\nsubmission_relay_port = {relay}\n{internal}\
             passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {oauth2}\n}}\n\
             userdb {{\n  driver = static\n  args = uid={user} gid={group} home={mail}/%u allow_all_users=yes\n}}\n{}{}",
            listener("imap", "imaps", "imap", imap, "yes"),
            listener("submission", "submission", "submissions", submission, "no"),
            cert = certificate.display(),
            key = key.display(),
            run = at("run"),
            log = at("log"),
            oauth2 = at("oauth2"),
            mail = at("mail"),
        );
        std::fs::write(at("dovecot.conf"), configuration).expect("a file");
        let dovecot = session
            .command("dovecot")
            .args(["-F", "-c", &at("dovecot.conf")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dovecot");
        let (sender, sent) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in sink.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || keep(stream, &sender));
            }
        });
        let server = Self { imap, submission, certificate, sent, folder, _dovecot: Child(dovecot) };
        session.wait_for("the mail server", || {
            [imap, submission].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        });
        server
    }

    /// The next message that was handed in.
    #[track_caller]
    pub fn handed_in(&self) -> String {
        self.sent.recv_timeout(PATIENCE).expect("a message")
    }

    /// Puts a message into somebody's inbox, as a delivery does.
    pub fn deliver(&self, session: &Session, address: &str, message: &str) {
        let configuration = self.folder.path().join("dovecot.conf").display().to_string();
        let mut command = session.command("doveadm");
        command.args(["-c", &configuration, "save", "-u", address, "-m", "INBOX"]).stdin(Stdio::piped());
        let mut child = command.spawn().expect("doveadm");
        child.stdin.take().expect("piped").write_all(message.as_bytes()).expect("it reads");
        assert!(child.wait().expect("doveadm").success());
    }

    /// The mechanisms of the log-ins so far, of one service.
    pub fn log_ins(&self, service: &str) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines = log.lines().filter(|line| line.contains(&format!(" {service}-login: Info: Login:")));
        lines.filter_map(|line| Some(line.split_once("method=")?.1.split(',').next()?.to_owned())).collect()
    }

    /// Its folder, to look for what must not be there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A port that is free now. Dovecot cannot take one of the system's choice.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// One session of SMTP (RFC 5321), in which everything is welcome.
fn keep(stream: TcpStream, sender: &mpsc::Sender<String>) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    out.write_all(b"220 sink ESMTP\r\n").ok()?;
    let mut message: Option<String> = None;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if let Some(text) = &mut message {
            if line == "." {
                sender.send(std::mem::take(text)).ok()?;
                message = None;
                out.write_all(b"250 kept\r\n").ok()?;
            } else {
                text.push_str(&line);
                text.push('\n');
            }
            continue;
        }
        let answer: &[u8] = match line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => b"250-sink\r\n250 8BITMIME\r\n",
            "DATA" => {
                message = Some(String::new());
                b"354 go on\r\n"
            }
            "QUIT" => return out.write_all(b"221 bye\r\n").ok(),
            _ => b"250 ok\r\n",
        };
        out.write_all(answer).ok()?;
    }
    Some(())
}
