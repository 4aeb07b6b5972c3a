//! The desktop app against a blank one: how soon its window shows, what it takes, and what it does while nobody looks.

use crate::figures::{Figure, Goal, Report, median};
use crate::processes::{Memory, memory_of, watch};
use crate::support::{Child, Desktop, PATIENCE, Provider, program, support};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Runs of each that show a window.
const SHOWN: usize = 30;

/// Runs of each whose memory is looked at.
const STARTS: usize = 3;

/// Sign-ins through a deep link.
const SIGN_INS: usize = 15;

/// What starts lazily has started, and what is freed is free, after this.
const SETTLE: Duration = Duration::from_secs(10);

/// GLib's spare threads have ended after this.
const IDLE: Duration = Duration::from_secs(45);

/// The two apps and the titles of their windows, and what of the toolkit works for them.
const APP: (&str, &str) = ("larder-desktop", "Larder");
const BLANK: (&str, &str) = ("blank", "Blank");
const HELPERS: [&str; 2] = ["WebKitWebProcess", "WebKitNetworkProcess"];

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Measures.
pub fn measure(report: &mut Report) {
    let own = std::env::current_exe().expect("the bench's own path");
    let programs = own.ancestors().nth(2).expect("target/PROFILE/deps/BENCH");
    if let Some(missing) = [APP.0, BLANK.0].iter().find(|name| !programs.join(name).is_file()) {
        return report.not_measured("the desktop app", format!("{missing} was not built"));
    }
    let desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, 3600);
    desktop.session.add("work", &provider);
    desktop.session.sign_in("work", "ada");
    // The app registers itself once; that is not measured.
    desktop.install();
    let bench = Bench { screen: Screen::watch(&desktop), desktop };
    bench.cold_starts(report);
    bench.reopening(report);
    bench.deep_link(&provider, report);
    bench.memory(report);
    bench.idle(report);
}

struct Bench {
    desktop: Desktop,
    screen: Screen,
}

/// A program that was started. It ends with this, and its web processes by themselves.
struct App {
    _child: Child,
    stdin: Option<ChildStdin>,
}

impl Bench {
    fn start(&self, name: &str, arguments: &[&str]) -> App {
        let mut command = self.desktop.session.command(program(name));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("an app");
        App { stdin: child.stdin.take(), _child: Child(child) }
    }

    fn end(&self, app: App) {
        drop(app);
        let session = &self.desktop.session;
        session.wait_for("its web processes' end", || HELPERS.iter().all(|name| self.desktop.running(name).is_empty()));
        self.desktop.wait_for_tray("nothing", |tray| tray.icon.is_none());
    }

    /// How long from the start of the process until its window shows, in milliseconds.
    fn shown(&self, (name, title): (&str, &str), arguments: &[&str]) -> f64 {
        let began = self.screen.now();
        let app = self.start(name, arguments);
        let (took, _) = self.shown_since(began, title);
        // Both are drawn and done before they end.
        std::thread::sleep(Duration::from_millis(500));
        self.end(app);
        took
    }

    /// Waits for the window with this title, and says how long it took, in milliseconds, and which it is. The toolkit
    /// shows other windows too, which nobody sees.
    fn shown_since(&self, began: Instant, title: &str) -> (f64, String) {
        let until = began + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (when, window) = self.screen.shown.recv_timeout(left).expect("a window in time");
            let name = self.desktop.session.command("xdotool").args(["getwindowname", &window]).output();
            if String::from_utf8_lossy(&name.expect("xdotool").stdout).trim() == title {
                return (when.duration_since(began).as_secs_f64() * 1000.0, window);
            }
        }
    }

    fn cold_starts(&self, report: &mut Report) {
        let (mut ours, mut drawn, mut at_once) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..=SHOWN {
            let larder = self.shown(APP, &[]);
            let (second, third) = (self.shown(BLANK, &["drawn"]), self.shown(BLANK, &["shown"]));
            // The first reads everything from the disk.
            if run > 0 {
                ours.push(larder);
                drawn.push(second);
                at_once.push(third);
            }
        }
        report.add(Figure {
            name: "window shown with its accounts, from the start of the process",
            unit: "ms",
            samples: ours.clone(),
            peer: Some(("blank, shown when loaded", drawn)),
            goal: Goal::Ratio(1.15, 1.25),
        });
        report.add(Figure {
            name: "window shown with its accounts, against an empty one",
            unit: "ms",
            samples: ours,
            peer: Some(("blank, shown at once and empty", at_once)),
            goal: Goal::Told,
        });
    }

    fn reopening(&self, report: &mut Report) {
        let larder = self.start(APP.0, &["--hidden"]);
        self.desktop.wait_for_tray("an icon", |tray| tray.entry(&["Open Larder"]).is_some());
        let ours = self.reopened(APP.1, || self.desktop.click_tray(&["Open Larder"]));
        self.end(larder);
        let mut blank = self.start(BLANK.0, &["tray"]);
        std::thread::sleep(Duration::from_secs(2));
        let mut stdin = blank.stdin.take().expect("piped");
        let theirs = self.reopened(BLANK.1, || writeln!(stdin, "open").expect("it reads"));
        self.end(blank);
        report.add(Figure {
            name: "window reopened from the tray",
            unit: "ms",
            samples: ours,
            peer: Some(("blank, shown when loaded", theirs)),
            goal: Goal::AtMost(250.0),
        });
    }

    fn reopened(&self, title: &str, mut open: impl FnMut()) -> Vec<f64> {
        let mut all = Vec::new();
        for _ in 0..=SHOWN {
            let began = self.screen.now();
            open();
            let (took, window) = self.shown_since(began, title);
            all.push(took);
            std::thread::sleep(Duration::from_millis(500));
            self.close(&window);
        }
        // The first one is not a reopening.
        all.split_off(1)
    }

    /// Closes a window as its corner's button does.
    fn close(&self, window: &str) {
        let session = &self.desktop.session;
        session.ran(support("screen-reader").to_str().expect("text"), &["close", window]);
        session.wait_for("the web process's end", || self.desktop.running("WebKitWebProcess").is_empty());
    }

    /// From the start of the process that the browser's redirect starts until the tray says that the account is fresh.
    fn deep_link(&self, provider: &Provider, report: &mut Report) {
        let session = &self.desktop.session;
        let larder = self.start(APP.0, &["--hidden"]);
        let (mut ours, mut asked) = (Vec::new(), Vec::new());
        for run in 0..=SIGN_INS {
            session.larder(&["sign-out", "work"]).ok();
            self.desktop.wait_for_tray("the sign-out", |tray| {
                tray.words("work").is_none_or(|words| !words.starts_with("fresh"))
            });
            let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
            let redirect = session.browse(&url, "ada", "allow");
            let took_by_provider = self.exchange(provider);
            let before = self.desktop.tray_history().len();
            let began = Instant::now();
            let link = self.start(APP.0, &[&redirect]);
            self.desktop.wait_for_tray("a fresh account", |tray| {
                tray.words("work").is_some_and(|words| words.starts_with("fresh"))
            });
            let history = self.desktop.tray_history();
            let fresh = history[before..]
                .iter()
                .find(|(_, tray)| tray.words("work").is_some_and(|words| words.starts_with("fresh")));
            let took = fresh.expect("just seen").0.duration_since(began).as_secs_f64() * 1000.0;
            drop(link);
            if let Some(window) = self.desktop.window() {
                std::thread::sleep(Duration::from_millis(500));
                self.close(&window);
            }
            if run > 0 {
                ours.push(took);
                asked.push(took_by_provider);
            }
        }
        self.end(larder);
        let provider_takes = median(&asked);
        let without = ours.iter().map(|took| took - provider_takes).collect();
        report.add(Figure::alone(
            "deep link until the tray says fresh, without the provider's time",
            "ms",
            without,
            Goal::Told,
        ));
        report.add(Figure::alone("the provider's time in it, measured apart", "ms", asked, Goal::Told));
    }

    /// What the provider takes for an exchange and its keys, asked by ourselves.
    fn exchange(&self, provider: &Provider) -> f64 {
        let Provider { issuer, .. } = provider;
        let redirect = "dev.larder.desktop:/callback";
        let url = format!(
            "{issuer}/authorize?response_type=code&client_id=larder-desktop&redirect_uri={redirect}&state=bench\
             &scope=openid%20profile%20email%20offline_access&code_challenge={CHALLENGE}&code_challenge_method=S256"
        );
        let answer = url::Url::parse(&self.desktop.session.browse(&url, "grace", "allow")).expect("a redirect");
        let code = answer.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let began = Instant::now();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", redirect),
            ("client_id", "larder-desktop"),
            ("code_verifier", VERIFIER),
        ];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = "application/x-www-form-urlencoded";
        let mut tokens = agent.post(format!("{issuer}/token")).header("content-type", kind).send(body).expect("tokens");
        tokens.body_mut().read_to_string().expect("a body");
        agent.get(format!("{issuer}/jwks")).call().expect("keys").body_mut().read_to_string().expect("a body");
        began.elapsed().as_secs_f64() * 1000.0
    }

    /// Both apps in the same three states, one app after the other.
    fn memory(&self, report: &mut Report) {
        let mut ours = [Vec::new(), Vec::new(), Vec::new()];
        let mut theirs = ours.clone();
        for _ in 0..STARTS {
            let larder = self.start(APP.0, &["--hidden"]);
            self.desktop.wait_for_tray("an icon", |tray| tray.entry(&["Open Larder"]).is_some());
            self.three_states(APP, || self.desktop.click_tray(&["Open Larder"]), &mut ours);
            self.end(larder);
            let mut blank = self.start(BLANK.0, &["tray"]);
            let mut stdin = blank.stdin.take().expect("piped");
            self.three_states(BLANK, || writeln!(stdin, "open").expect("it reads"), &mut theirs);
            self.end(blank);
        }
        let names = [
            ("app hidden, no window ever, PSS", Goal::AtMostMore(5.0)),
            ("app with its window open, all processes, PSS", Goal::Told),
            ("app with its window closed again, all processes, PSS", Goal::Told),
        ];
        for ((name, goal), (ours, theirs)) in names.into_iter().zip(ours.into_iter().zip(theirs)) {
            report.add(Figure {
                name,
                unit: "MB",
                samples: ours.iter().map(|memory| memory.pss).collect(),
                peer: Some(("blank", theirs.iter().map(|memory| memory.pss).collect())),
                goal,
            });
            report.remark(format!(
                "{name}: anonymous {:.1} MB, blank {:.1} MB",
                median(&ours.iter().map(|memory| memory.anonymous).collect::<Vec<_>>()),
                median(&theirs.iter().map(|memory| memory.anonymous).collect::<Vec<_>>()),
            ));
        }
    }

    fn three_states(&self, (name, title): (&str, &str), mut open: impl FnMut(), into: &mut [Vec<Memory>; 3]) {
        let look = || {
            std::thread::sleep(SETTLE);
            let all = [name, HELPERS[0], HELPERS[1]];
            let pids: Vec<i32> = all.iter().flat_map(|name| self.desktop.running(name)).collect();
            assert!(!pids.is_empty(), "{name} runs");
            memory_of(&pids)
        };
        into[0].push(look());
        let began = self.screen.now();
        open();
        let (_, window) = self.shown_since(began, title);
        into[1].push(look());
        self.close(&window);
        into[2].push(look());
    }

    fn idle(&self, report: &mut Report) {
        let larder = self.start(APP.0, &["--hidden"]);
        self.desktop.wait_for_tray("an icon", |tray| tray.entry(&["Open Larder"]).is_some());
        std::thread::sleep(IDLE);
        let pid = self.desktop.running(APP.0)[0];
        let minutes: Vec<_> = (0..3).map(|_| watch(pid, Duration::from_secs(60))).collect();
        self.end(larder);
        let wakes = minutes.iter().map(|minute| minute.wakes as f64).collect();
        let ran = minutes.iter().map(|minute| minute.ran.as_secs_f64() * 1e3).collect();
        report.add(Figure::alone("app hidden and idle, wake-ups a minute", "", wakes, Goal::AtMost(0.0)));
        report.add(Figure::alone("app hidden and idle, CPU time a minute", "ms", ran, Goal::Told));
        for minute in minutes {
            report.remark(format!("the app, woken in a minute: {}", minute.who));
        }
    }
}

/// Hears of every window that the X server shows, at the moment it does.
struct Screen {
    shown: Receiver<(Instant, String)>,
    _xev: Child,
}

impl Screen {
    fn watch(desktop: &Desktop) -> Self {
        let mut command = desktop.session.command("stdbuf");
        command.args(["-oL", "xev", "-root", "-event", "substructure"]).stdout(Stdio::piped());
        let mut xev = command.spawn().expect("xev: `.ci/packages bench`");
        let lines = BufReader::new(xev.stdout.take().expect("piped")).lines();
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut mapped = None;
            for line in lines.map_while(Result::ok) {
                if line.starts_with("MapNotify") {
                    mapped = Some(Instant::now());
                } else if let Some(when) = mapped.take() {
                    // `event 0x…, window 0x…, override_redirect NO`: the next line of the same event.
                    let window = line.split(", ").find_map(|part| part.strip_prefix("window 0x")).unwrap_or_default();
                    let window = u32::from_str_radix(window, 16).expect("a window's number");
                    if sender.send((when, window.to_string())).is_err() {
                        break;
                    }
                }
            }
        });
        // It says nothing when it begins to listen.
        std::thread::sleep(Duration::from_secs(1));
        Self { shown, _xev: Child(xev) }
    }

    /// Forgets what was shown until now.
    fn now(&self) -> Instant {
        while self.shown.try_recv().is_ok() {}
        Instant::now()
    }
}
