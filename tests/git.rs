//! git gets its credentials from Larder: real clones and pushes over HTTP, with an old git and a new one, to a server that
//! takes Basic, Bearer or both.

use crate::support::git_server::{self, AUTHTYPE, gits};
use crate::support::resource::Resource;
use crate::support::{Provider, Session, program, recipes};
use std::path::Path;
use std::process::Output;

/// Signed in as `work` (Ada), with git set up as the documentation says.
fn signed_in() -> (Session, Provider) {
    let mut session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let folder = program("larder").parent().expect("a folder").display().to_string();
    session.set("PATH", format!("{folder}:{}", std::env::var("PATH").expect("PATH")));
    session.set("GIT_CONFIG_NOSYSTEM", "1");
    // Where the helper gives nothing, git fails instead of asking somebody.
    session.set("GIT_TERMINAL_PROMPT", "0");
    session.ran("sh", &["-euc", &recipes::snippet("git", "sh")]);
    session.ran("git", &["config", "--global", "user.name", "Ada"]);
    session.ran("git", &["config", "--global", "user.email", "ada@x.example"]);
    (session, provider)
}

/// A rule for this server.
fn rule(server: &Resource, more: &str) -> String {
    format!("[[git.rule]]\nhost = \"{}\"\n{more}\n", server.host())
}

fn settings(session: &Session, text: &str) {
    std::fs::write(session.profile().join("config.toml"), text).expect("config.toml");
}

fn git(session: &Session, git: &Path, arguments: &[&str]) -> Output {
    session.command(git).args(arguments).output().expect("git")
}

fn works(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What one of git's requests to `get` is answered.
fn get(session: &Session, description: &str) -> crate::support::larder::Ran {
    session.larder_reads(&["git-credential", "get"], description)
}

#[test]
fn a_clone_and_a_push_work_with_basic_and_with_bearer_in_old_git_and_new() {
    let (session, provider) = signed_in();
    for (challenges, name) in
        [(&["Basic realm=\"git\""][..], "basic"), (&["Bearer realm=\"git\"", "Basic realm=\"git\""], "both")]
    {
        let server = git_server::start(&session, &provider.issuer, challenges);
        settings(&session, &rule(&server, "account = \"work\""));
        for (program, version) in gits() {
            let folder = session.home().join(format!("{name}-{}.{}", version.0, version.1)).display().to_string();
            let before = server.seen().len();
            works(git(&session, &program, &["clone", "--quiet", &format!("{}/one/repo.git", server.at), &folder]));
            std::fs::write(Path::new(&folder).join("file"), format!("{name} {version:?}")).expect("a file");
            works(git(&session, &program, &["-C", &folder, "add", "file"]));
            works(git(&session, &program, &["-C", &folder, "commit", "--quiet", "--message=more"]));
            works(git(&session, &program, &["-C", &folder, "push", "--quiet", "origin", "HEAD:main"]));
            let seen = server.seen().split_off(before);
            let pushed = seen.iter().filter(|asked| asked.path.ends_with("git-receive-pack") && asked.method == "POST");
            assert!(pushed.clone().count() > 0 && pushed.clone().all(|asked| asked.status == 200), "{version:?}");
            let bearer = name == "both" && version >= AUTHTYPE;
            let token = session.larder(&["token", "work"]).ok();
            for asked in seen.iter().filter(|asked| asked.status == 200) {
                let expected = if bearer { ("Bearer", "") } else { ("Basic", "oauth2") };
                assert_eq!((asked.scheme.as_str(), asked.user.as_str()), expected, "{version:?} {name}");
                assert_eq!(asked.token, token);
            }
        }
    }
    // No git wrote a token anywhere.
    let token = session.larder(&["token", "work"]).ok();
    for file in crate::support::files_below(session.home()) {
        assert!(!crate::support::holds(&file, token.as_bytes()), "{} holds a token", file.display());
    }
}

#[test]
fn a_token_that_the_server_refuses_is_replaced_and_nobody_is_signed_out() {
    for (program, version) in gits() {
        let (session, provider) = signed_in();
        let server = git_server::start(&session, &provider.issuer, &["Bearer", "Basic realm=\"git\""]);
        settings(&session, &rule(&server, "account = \"work\""));
        let address = format!("{}/one/repo.git", server.at);
        let first = session.larder(&["token", "work"]).ok();
        server.refuse(&first);
        let refused = git(&session, &program, &["ls-remote", &address]);
        assert!(!refused.status.success(), "{version:?}");
        let refreshes = || provider.seen("/token").iter().filter(|seen| seen["grant_type"] == "refresh_token").count();
        assert_eq!(refreshes(), 1, "{version:?}");
        works(git(&session, &program, &["ls-remote", &address]));
        assert_ne!(session.larder(&["token", "work"]).ok(), first);
        assert_eq!(session.account("work")["state"], "fresh");
        // What git forgot long ago, or has from elsewhere, is no reason to refresh.
        let erase = |secret: &str| {
            let text = format!("protocol=http\nhost={}\nusername=oauth2\npassword={secret}\n\n", server.host());
            session.larder_reads(&["git-credential", "erase"], &text).ok()
        };
        assert_eq!((erase(&first), erase("a password")), (String::new(), String::new()));
        assert_eq!(refreshes(), 1);
    }
}

#[test]
fn two_accounts_at_one_host_are_told_apart_by_path_and_by_user_name() {
    let (session, provider) = signed_in();
    let url = session.larder(&["sign-in", "work", "--label", "home", "--no-browser"]).ok();
    let redirect = session.browse(&url, "grace", "allow");
    assert_eq!(session.larder_reads(&["callback"], &redirect).ok(), "home");
    let server = git_server::start(&session, &provider.issuer, &["Basic realm=\"git\""]);
    let rules = rule(&server, "path = \"two\"\naccount = \"home\"")
        + &rule(&server, "username = \"grace\"\naccount = \"home\"");
    settings(&session, &(rules + &rule(&server, "account = \"work\"")));
    session.ran("git", &["config", "--global", "credential.useHttpPath", "true"]);
    let token = |label: &str| session.larder(&["token", label]).ok();
    let (work, home) = (token("work"), token("home"));
    assert_ne!(work, home);
    let named = server.at.replace("://", "://grace@");
    for (program, _) in gits() {
        for (address, expected) in [
            (format!("{}/one/repo.git", server.at), &work),
            (format!("{}/two/repo.git", server.at), &home),
            (format!("{named}/one/repo.git"), &home),
        ] {
            works(git(&session, &program, &["ls-remote", &address]));
            assert_eq!(server.seen().last().map(|asked| asked.token.clone()), Some(expected.clone()), "{address}");
        }
    }
}

#[test]
fn without_a_rule_the_provider_s_own_host_is_known_and_no_other_one() {
    let (session, provider) = signed_in();
    let token = session.larder(&["token", "work"]).ok();
    let host = provider.issuer.trim_start_matches("http://");
    let known = get(&session, &format!("protocol=http\nhost={host}\n\n")).ok();
    let lines: Vec<&str> = known.lines().collect();
    assert_eq!(lines[..2], ["username=oauth2", format!("password={token}").as_str()]);
    let until =
        lines[2].strip_prefix("password_expiry_utc=").and_then(|text| text.parse::<i64>().ok()).expect("a time");
    assert_eq!(Some(until), session.account("work")["expires_at"].as_i64().map(|at| at / 1000));
    assert_eq!(lines.len(), 3);
    for description in [
        "protocol=https\nhost=git.example\n\n",
        "protocol=http\nhost=git.example\n\n",
        "protocol=ssh\nhost=git.example\n\n",
        "protocol=https\n\n",
        "\n",
        "",
    ] {
        let ran = get(&session, description);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""), "{description:?}");
    }
    // Plain http is for this computer alone, whatever a rule says.
    settings(&session, "[[git.rule]]\nhost = \"git.example\"\naccount = \"work\"\n");
    assert!(get(&session, "protocol=https\nhost=git.example\n\n").ok().contains(&token));
    assert_eq!(get(&session, "protocol=http\nhost=git.example\n\n").ok(), "");
    // Other operations are heard and not heeded.
    for operation in ["store", "capability", "what-comes-next"] {
        let text = format!("protocol=http\nhost={host}\nusername=a\npassword=b\n\n");
        let ran = session.larder_reads(&["git-credential", operation], &text);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""), "{operation}");
    }
}

#[test]
fn two_accounts_and_nothing_that_tells_them_apart_is_a_sentence_and_a_refusal_one_too() {
    let (session, provider) = signed_in();
    let url = session.larder(&["sign-in", "work", "--label", "home", "--no-browser"]).ok();
    let redirect = session.browse(&url, "grace", "allow");
    session.larder_reads(&["callback"], &redirect).ok();
    let host = provider.issuer.trim_start_matches("http://");
    let said = get(&session, &format!("protocol=http\nhost={host}\n\n")).fails(2);
    assert!(said.contains("work, home") && said.contains("LABEL@"), "{said}");
    let home = session.larder(&["token", "home"]).ok();
    assert!(get(&session, &format!("protocol=http\nhost={host}\nusername=home\n\n")).ok().contains(&home));
    session.larder(&["policy", "set", "deny", "--account", "home"]).ok();
    get(&session, &format!("protocol=http\nhost={host}\nusername=home\n\n")).fails(5);
    // One that is signed out is no candidate any more.
    session.larder(&["sign-out", "home"]).ok();
    let work = session.larder(&["token", "work"]).ok();
    assert!(get(&session, &format!("protocol=http\nhost={host}\n\n")).ok().contains(&work));
}
