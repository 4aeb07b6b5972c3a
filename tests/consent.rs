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
        assert_eq!(events.matches(&format!("\"{kind}\"")).count(), times, "{kind}: {events}");
    }
    assert!(!events.contains("--secret"), "arguments are in the record: {events}");
    session.stop_agent();
    for file in crate::support::files_below(&session.profile()) {
        assert!(!crate::support::holds(&file, b"--secret"), "{} holds an argument", file.display());
    }
}
