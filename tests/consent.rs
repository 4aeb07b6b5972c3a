//! An honest program gets a token only after its owner agreed. The window is played by a client of the same protocol.

use crate::support::larder::Ran;
use crate::support::{Provider, Session, program};
use larder_client::{Answer, Client, Profile, Push, Request, Start};
use larder_core::problem::Problem;
use larder_core::protocol::Choice;
use larder_core::view::{HouseView, PromptView};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

/// A window: attached, and told of every change.
struct Window {
    profile: Profile,
    views: mpsc::Receiver<Box<HouseView>>,
}

pub fn connect(session: &Session) -> Client {
    Client::connect(&profile(session), Start::Never).unwrap()
}

fn profile(session: &Session) -> Profile {
    let home = session.profile();
    Profile::locate(|name| (name == "LARDER_HOME").then(|| home.clone().into_os_string())).unwrap()
}

impl Window {
    fn attach(session: &Session) -> Self {
        let mut client = connect(session);
        client.set_timeout(None);
        let attach = Request::AttachWindow { activation_token: None, answers: true };
        assert!(matches!(client.ask(attach).unwrap(), Answer::Window { other: false }));
        let (sender, views) = mpsc::channel();
        let pushes = client.subscribe().unwrap();
        std::thread::spawn(move || {
            for push in pushes {
                let sent = match push {
                    Ok(Push::View(view)) => sender.send(view).is_ok(),
                    Ok(_) => true,
                    Err(_) => false,
                };
                if !sent {
                    break;
                }
            }
        });
        Self { profile: profile(session), views }
    }

    /// Waits until what waits is like this.
    fn prompts(&self, like: impl Fn(&[PromptView]) -> bool) -> Vec<PromptView> {
        loop {
            let view = self.views.recv_timeout(crate::support::PATIENCE).expect("a view with the prompts waited for");
            if like(&view.prompts) {
                return view.prompts;
            }
        }
    }

    fn prompt(&self) -> PromptView {
        self.prompts(|prompts| !prompts.is_empty()).remove(0)
    }

    /// The prompt after this one; older views may come first.
    fn prompt_after(&self, before: &PromptView) -> PromptView {
        self.prompts(|prompts| prompts.first().is_some_and(|prompt| prompt.id != before.id)).remove(0)
    }

    /// From another connection of the same process, as the window does.
    fn answer(&self, prompt: &PromptView, choice: Choice) -> Result<Answer, Problem> {
        let mut client = Client::connect(&self.profile, Start::Never)?;
        client.ask(Request::AnswerPrompt { prompt: prompt.id.clone(), choice })
    }
}

/// A session with an account `work`, in which programs have to be agreed to.
fn signed_in() -> (Session, Provider) {
    let session = Session::new().that_asks();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    (session, provider)
}

/// A person's script that asks for a token; it stays there while the command runs.
fn asks(session: &Session, arguments: &[&str]) -> Command {
    let mut command = session.command("/usr/bin/python3");
    let code = "import subprocess, sys; sys.exit(subprocess.run([sys.argv[1], 'token', 'work']).returncode)";
    command.args(["-c", code]).arg(program("larder")).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// How often something was recorded; repeats within a minute share a row.
fn count(events: &str, kind: &str) -> u64 {
    let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.filter(|event| event["kind"] == kind).map(|event| event["count"].as_u64().unwrap()).sum()
}

#[test]
fn a_program_gets_a_token_only_after_its_person_agreed_and_sees_what_asks() {
    let (session, _provider) = signed_in();
    let window = Window::attach(&session);
    let child = asks(&session, &["--secret=x\u{1b}[2K"]).spawn().unwrap();
    let prompt = window.prompt();
    assert_eq!((prompt.label.as_str(), prompt.waiting), ("work", 1));
    let asking = &prompt.program;
    assert!(asking.path.starts_with("/usr/bin/python3"), "{asking:?}");
    assert_eq!(asking.pid, i32::try_from(child.id()).unwrap());
    assert_eq!(asking.started_by.as_deref(), Some(std::env::current_exe().unwrap().to_str().unwrap()));
    assert!(asking.anything_run_by);
    assert_eq!(asking.arguments.last().unwrap(), "--secret=x\u{fffd}[2K");
    window.answer(&prompt, Choice::Once).unwrap();
    assert!(!said(child.wait_with_output().unwrap()).ok().is_empty());
    assert!(matches!(window.answer(&prompt, Choice::Once), Err(Problem::NoSuchPrompt { .. })));
    // Once is once.
    let child = asks(&session, &[]).spawn().unwrap();
    let prompt = window.prompt();
    window.answer(&prompt, Choice::NotNow).unwrap();
    let refused = said(child.wait_with_output().unwrap()).fails(5);
    assert!(refused.contains("You did not let"), "{refused}");
    // Whoever was refused is not asked about again at once.
    said(asks(&session, &[]).output().unwrap()).fails(5);
    let events = session.larder(&["events", "--json"]).ok();
    for (kind, times) in [("allowed-once", 1), ("handed-out", 1), ("refused", 2)] {
        assert_eq!(count(&events, kind), times, "{kind}: {events}");
    }
    assert!(!events.contains("--secret"), "arguments are in the record: {events}");
    session.stop_agent();
    for file in crate::support::files_below(&session.profile()) {
        assert!(!crate::support::holds(&file, b"--secret"), "{} holds an argument", file.display());
    }
}

#[test]
fn a_thousand_asks_of_one_program_make_one_prompt_and_all_get_its_answer() {
    let (session, _provider) = signed_in();
    let window = Window::attach(&session);
    const ASKS: u32 = 1000;
    let (first, tokens): (_, Vec<_>) = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..ASKS)
            .map(|_| {
                let ask = || connect(&session).token("work", None).map(|token| token.access_token);
                std::thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, ask).unwrap()
            })
            .collect();
        let mut prompts = window.prompts(|prompts| prompts.first().is_some_and(|prompt| prompt.waiting == ASKS));
        assert_eq!(prompts.len(), 1);
        window.answer(&prompts[0], Choice::Session).unwrap();
        (prompts.remove(0), asks.into_iter().map(|ask| ask.join().unwrap().unwrap()).collect())
    });
    assert_eq!(tokens.len(), 1000);
    // It holds for the session, and is listed; then it is taken back.
    connect(&session).token("work", None).unwrap();
    let listed = session.larder(&["policy", "list", "--json"]).ok();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let me = std::env::current_exe().unwrap().display().to_string();
    assert_eq!((&listed["default"], &listed["rules"]), (&"ask".into(), &serde_json::json!([])));
    assert_eq!(listed["session"][0]["program"], me);
    session.larder(&["policy", "remove", "--program", &me, "--account", "work"]).ok();
    session.larder(&["policy", "remove", "--program", &me, "--account", "work"]).fails(2);
    let asks = std::thread::spawn({
        let mut client = connect(&session);
        move || client.token("work", None)
    });
    window.answer(&window.prompt_after(&first), Choice::NotNow).unwrap();
    assert!(matches!(asks.join().unwrap(), Err(Problem::ConsentRefused { .. })));
}

#[test]
fn always_is_a_rule_that_lasts_and_never_is_one_too() {
    let (session, _provider) = signed_in();
    let window = Window::attach(&session);
    let child = asks(&session, &[]).spawn().unwrap();
    window.answer(&window.prompt(), Choice::Always).unwrap();
    said(child.wait_with_output().unwrap()).ok();
    let account = session.account("work")["id"].as_str().unwrap().to_owned();
    let policy = || std::fs::read_to_string(session.profile().join("policy.toml")).unwrap();
    // The account's id is written: another account may be called so one day.
    assert!(policy().contains(&account) && policy().contains("/usr/bin/python3"), "{}", policy());
    drop(window);
    session.stop_agent();
    said(asks(&session, &["anything run by python"]).output().unwrap()).ok();
    let listed = session.larder(&["policy", "list"]).ok();
    assert!(listed.contains("python3") && listed.contains("  work"), "{listed}");
    let python = listed.split_whitespace().find(|word| word.contains("python3")).unwrap().to_owned();
    session.larder(&["policy", "remove", "--program", &python, "--account", "work"]).ok();
    let window = Window::attach(&session);
    let child = asks(&session, &[]).spawn().unwrap();
    window.answer(&window.prompt(), Choice::Never).unwrap();
    said(child.wait_with_output().unwrap()).fails(5);
    let refused = said(asks(&session, &[]).output().unwrap()).fails(5);
    assert!(refused.contains("The policy does not let"), "{refused}");
    let events = session.larder(&["events", "--json"]).ok();
    assert!(count(&events, "policy-changed") >= 3, "{events}");
}

#[test]
fn only_the_window_answers_and_without_one_the_answer_is_no() {
    let (session, _provider) = signed_in();
    let refused = session.larder(&["token", "work"]).fails(5);
    assert!(refused.contains("larder policy set allow --program"), "{refused}");
    let window = Window::attach(&session);
    let child = asks(&session, &[]).spawn().unwrap();
    let prompt = window.prompt();
    // Another process: the protocol, spoken by python.
    let code = format!(
        "import json, socket\n\
         s = socket.socket(socket.AF_UNIX); s.connect({:?}); f = s.makefile('rw')\n\
         def ask(id, request):\n    f.write(json.dumps({{'id': id, 'request': request}}) + '\\n'); f.flush()\n    \
         print(f.readline())\n\
         ask(1, {{'do': 'hello', 'protocol': 1, 'build': '0'}})\n\
         ask(2, {{'do': 'attach-window', 'answers': True, 'activation_token': None}})\n\
         ask(3, {{'do': 'answer-prompt', 'prompt': {:?}, 'choice': 'always'}})\n",
        session.profile().join("run/agent.sock").display().to_string(),
        prompt.id.as_str(),
    );
    let answer = session.command("/usr/bin/python3").args(["-c", &code]).output().unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    assert!(answer.contains("bad-request") && answer.contains("only Larder's own window"), "{answer}");
    // The window goes while the program waits: it ends when it cannot show what changed.
    drop(window);
    session.larder(&["providers", "add", "other", "--issuer", "https://id.example.test", "--client-id", "c"]).ok();
    let refused = said(child.wait_with_output().unwrap()).fails(5);
    assert!(refused.contains("Nobody can be asked"), "{refused}");
}

#[test]
fn a_window_that_does_not_answer_counts_as_none() {
    let (session, _provider) = signed_in();
    let mut client = connect(&session);
    client.ask(Request::AttachWindow { activation_token: None, answers: false }).unwrap();
    session.larder(&["token", "work"]).fails(5);
}

#[test]
fn the_persons_own_command_is_asked_where_no_window_is() {
    let (session, _provider) = signed_in();
    let script = session.home().join("confirm");
    let seen = session.home().join("seen");
    let code = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$LARDER_PROGRAM\" \"$LARDER_ACCOUNT\" \"$LARDER_ARGUMENTS\" \"$1\" > {0}\ntest -e {0}.yes\n",
        seen.display()
    );
    std::fs::write(&script, code).unwrap();
    session.ran("chmod", &["700", &script.display().to_string()]);
    let settings = format!("confirm_cmd = [\"{}\", \"$(touch pwned)\"]\n", script.display());
    std::fs::write(session.profile().join("config.toml"), settings).unwrap();
    std::fs::write(session.home().join("seen.yes"), "").unwrap();
    said(asks(&session, &["$(touch pwned)"]).output().unwrap()).ok();
    let told = std::fs::read_to_string(&seen).unwrap();
    let told: Vec<_> = told.lines().collect();
    assert!(told[0].starts_with("/usr/bin/python3") && told[1] == "work", "{told:?}");
    assert!(told[2].ends_with("$(touch pwned)") && told[3] == "$(touch pwned)", "{told:?}");
    assert!(!session.home().join("pwned").exists());
    // Yes is once; anything else is no.
    std::fs::remove_file(session.home().join("seen.yes")).unwrap();
    let refused = said(asks(&session, &[]).output().unwrap()).fails(5);
    assert!(refused.contains("You did not let"), "{refused}");
    let settings = "confirm_cmd = [\"/nowhere/confirm\"]\n";
    std::fs::write(session.profile().join("config.toml"), settings).unwrap();
    session.larder(&["token", "work"]).fails(5);
    let events = session.larder(&["events", "--json"]).ok();
    assert_eq!(count(&events, "allowed-once"), 1, "{events}");
}

#[test]
fn what_runs_in_a_sandbox_is_not_taken_for_the_program_that_it_names_itself() {
    let (session, _provider) = signed_in();
    let window = Window::attach(&session);
    // In a mount namespace of its own, another file lies where the person's program does.
    let tool = session.home().join("tool");
    let fake = session.home().join("fake");
    std::fs::copy("/usr/bin/true", &tool).unwrap();
    std::fs::copy(std::fs::canonicalize("/usr/bin/python3").unwrap(), &fake).unwrap();
    session.larder(&["policy", "set", "allow", "--program", &tool.display().to_string(), "--account", "work"]).ok();
    let code =
        format!("import subprocess; subprocess.run([{:?}, 'token', 'work'])", program("larder").display().to_string());
    let line = format!(
        "mount --bind {} {} && {} -c \"{}\"; exit 0",
        fake.display(),
        tool.display(),
        tool.display(),
        code.replace('"', "'")
    );
    let mut command = session.command("unshare");
    let child = command
        .args(["--map-root-user", "--mount", "sh", "-c", &line])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let prompt = window.prompt();
    assert_ne!(prompt.program.path, tool.display().to_string());
    window.answer(&prompt, Choice::NotNow).unwrap();
    assert!(said(child.wait_with_output().unwrap()).stdout.is_empty());
}
