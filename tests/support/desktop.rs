//! A desktop of its own around a [`Session`]: a screen without a monitor, a tray without a picture, a default browser
//! that is a script, and the accessibility bus, by which a test reads what the window says and where it says it.

#![allow(dead_code, reason = "the tests use one part of it, the demonstration another")]

use super::session::first_line;
use super::{Child, Keyring, PATIENCE, Session, program, support};
use serde::Deserialize;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at what nothing announces.
const PAUSE: Duration = Duration::from_millis(100);

/// For a picture alone: between two looks whether what the web view knows is drawn, which nothing announces.
const DRAWN: Duration = Duration::from_millis(150);

/// A web view that has drawn nothing yet has one colour, and no more than a few.
const BLANK: u32 = 8;

/// The kind of the links that the browser's answer comes back by.
const SCHEME_TYPE: &str = "x-scheme-handler/dev.larder.desktop";

/// An entry of the tray's menu.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the menu.
    pub id: i32,
    /// What it says.
    pub label: String,
    /// Whether it can be clicked.
    pub enabled: bool,
    /// What it leads to, for a menu in the menu.
    pub entries: Vec<Entry>,
}

/// The tray.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Tray {
    /// Which of the three icons it shows; none where nothing is in the tray.
    pub icon: Option<String>,
    /// Its menu.
    pub entries: Vec<Entry>,
}

impl Tray {
    /// The entry at the end of this path of labels.
    pub fn entry(&self, path: &[&str]) -> Option<&Entry> {
        let (first, rest) = path.split_first()?;
        let mut found = self.entries.iter().find(|entry| entry.label == *first)?;
        for label in rest {
            found = found.entries.iter().find(|entry| entry.label == *label)?;
        }
        Some(found)
    }

    /// What is said of this account, without its label.
    pub fn words(&self, account: &str) -> Option<&str> {
        let lines = self.entries.iter();
        lines
            .filter_map(|entry| entry.label.split_once(" — "))
            .find(|(label, _)| *label == account)
            .map(|(_, words)| words)
    }

    /// Whether the icon is this one.
    pub fn shows(&self, icon: &str) -> bool {
        self.icon.as_deref() == Some(icon)
    }
}

/// Something that shows on the screen.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    /// What it is, as assistive technology calls it.
    pub role: String,
    /// What it is called.
    pub name: String,
    /// What is written in it.
    pub text: String,
    /// Left, top, width, height.
    pub at: [i32; 4],
    /// `focused`, `expanded` and the like.
    pub states: Vec<String>,
}

impl Seen {
    /// Whether it says this, as its name or in its text.
    pub fn says(&self, words: &str) -> bool {
        self.name.contains(words) || self.text.contains(words)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Tray(Tray),
    Clicked { clicked: i32 },
    Refused { refused: String },
}

#[derive(Debug, Default)]
struct Told {
    /// Every state so far, with the moment it was heard of.
    states: Vec<(Instant, Tray)>,
    /// What became of the last click.
    click: Option<Result<(), String>>,
}

/// The desktop. Everything that runs in it ends with it.
#[derive(Debug)]
pub struct Desktop {
    /// The session below it.
    pub session: Session,
    told: Arc<(Mutex<Told>, Condvar)>,
    tray_stdin: Mutex<ChildStdin>,
    apps: Vec<Child>,
    _tray: Child,
    _accessibility: Child,
    _screen: Child,
}

impl Desktop {
    /// A desktop with an unlocked keychain.
    pub fn new() -> Self {
        Self::with(Keyring::Unlocked)
    }

    /// A desktop with the keychain in this state.
    pub fn with(keyring: Keyring) -> Self {
        let mut session = Session::with(keyring);
        let mut screen = session
            .command("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb");
        let number = first_line(screen.stdout.take().expect("piped"));
        let screen = Child(screen);
        for (name, value) in [
            ("DISPLAY", format!(":{number}").as_str()),
            ("XDG_CURRENT_DESKTOP", "GNOME"),
            ("LIBGL_ALWAYS_SOFTWARE", "1"),
            ("GSETTINGS_BACKEND", "memory"),
            ("TZ", "UTC"),
            // The throwaway home is not the default profile, and a build run from source registers itself there alone.
            ("LARDER_REGISTER", "1"),
        ] {
            session.set(name, value);
        }
        let accessibility = session
            .command("/usr/libexec/at-spi-bus-launcher")
            .arg("--launch-immediately")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("at-spi-bus-launcher");
        let accessibility = Child(accessibility);
        session.ran("gdbus", &["wait", "--session", "--timeout", "20", "org.a11y.Bus"]);
        let (tray, tray_stdin, told) = watch_tray(&session);
        let desktop = Self {
            session,
            told,
            tray_stdin: Mutex::new(tray_stdin),
            apps: Vec::new(),
            _tray: tray,
            _accessibility: accessibility,
            _screen: screen,
        };
        desktop.install_browser();
        desktop
    }

    /// Makes the scripted browser the one that http and https open in.
    fn install_browser(&self) {
        let folder = self.session.home().join("browser");
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("opened"), "").expect("a file");
        self.browser_signs_in("ada");
        let program = support("desktop-browser");
        let types = ["x-scheme-handler/http", "x-scheme-handler/https", "text/html"];
        self.add_program(
            "browser.desktop",
            &format!(
                "[Desktop Entry]\nType=Application\nName=Browser\nExec={} %u\nMimeType={};\n",
                program.display(),
                types.join(";"),
            ),
        );
        for kind in types {
            self.session.ran("xdg-mime", &["default", "browser.desktop", kind]);
        }
    }

    /// Installs a desktop entry.
    pub fn add_program(&self, name: &str, entry: &str) {
        let folder = self.session.home().join("data/applications");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(name), entry).expect("a desktop entry");
        self.session.ran("update-desktop-database", &[folder.to_str().expect("text")]);
    }

    /// Installs Larder's own desktop entry, as the package does.
    pub fn install(&self) {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("src-tauri/app/larder.desktop");
        let entry = fs::read_to_string(template).expect("the package's desktop entry");
        let program = program("larder-desktop");
        self.add_program(
            "larder.desktop",
            &entry.replace("{{exec}}", program.to_str().expect("text")).replace("{{icon}}", "larder"),
        );
        self.handle_links_with("larder.desktop");
    }

    /// Makes this desktop entry the one that Larder's links open in.
    pub fn handle_links_with(&self, entry: &str) {
        self.session.ran("xdg-mime", &["default", entry, SCHEME_TYPE]);
    }

    /// Who signs in at the provider from now on.
    pub fn browser_signs_in(&self, user: &str) {
        let folder = self.session.home().join("browser");
        fs::write(folder.join("user"), user).expect("a file");
        fs::write(folder.join("decision"), "allow").expect("a file");
    }

    /// Lets the browser open from now on, but go on only when it is [`Desktop::browser_goes_on`].
    pub fn browser_holds(&self) {
        let pipe = self.session.home().join("browser/hold");
        self.session.ran("mkfifo", &[pipe.to_str().expect("text")]);
    }

    /// Lets the browser that waits go on, and those to come.
    pub fn browser_goes_on(&self) {
        let pipe = self.session.home().join("browser/hold");
        fs::write(&pipe, "go\n").expect("a browser that waits");
        fs::remove_file(&pipe).expect("the pipe");
    }

    /// How often the browser was opened.
    pub fn browsers_opened(&self) -> usize {
        fs::read_to_string(self.session.home().join("browser/opened")).expect("a file").lines().count()
    }

    /// The environment of the browser that was opened last, a variable a line.
    pub fn browser_environment(&self) -> String {
        let opened = fs::read_to_string(self.session.home().join("browser/opened")).expect("a file");
        let process = opened.lines().last().expect("a browser");
        fs::read_to_string(format!("/proc/{process}/environ")).expect("a browser that runs").replace('\0', "\n")
    }

    /// Opens a link as any program does.
    pub fn open_link(&self, url: &str) {
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("a file");
        // What it starts inherits all of these, and may stay.
        let mut opener = self.session.command("xdg-open");
        assert!(opener.arg(url).stdout(Stdio::null()).stderr(log).status().expect("xdg-open").success());
    }

    /// Starts the app.
    pub fn start(&mut self, arguments: &[&str]) {
        self.start_with(arguments, &[]);
    }

    /// Starts the app with these variables.
    pub fn start_with(&mut self, arguments: &[&str], variables: &[(&str, &str)]) {
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("a file");
        let mut command = self.session.command(program("larder-desktop"));
        command.args(arguments).envs(variables.iter().copied()).stdout(Stdio::null()).stderr(log);
        self.apps.push(Child(command.spawn().expect("larder-desktop")));
    }

    /// What the app said.
    pub fn log(&self) -> PathBuf {
        self.session.home().join("app.log")
    }

    /// The same, as text.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Waits until the app that was started last has ended, and returns how.
    pub fn app_ended(&mut self) -> i32 {
        let mut app = self.apps.pop().expect("an app");
        let mut status = None;
        self.session.wait_for("the app's end", || {
            status = app.0.try_wait().expect("its status");
            status.is_some()
        });
        status.and_then(|status| status.code()).expect("an exit code")
    }

    /// The processes of this desktop that run this program, by their ids.
    pub fn running(&self, name: &str) -> Vec<i32> {
        let runs = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
            Path::new(&*String::from_utf8_lossy(first)).file_name().is_some_and(|file| file == name)
        };
        processes(self.session.home()).into_iter().filter(runs).collect()
    }

    /// Ends the app as `kill -9` does.
    pub fn kill_app(&mut self) {
        for pid in self.running("larder-desktop") {
            self.session.ran("kill", &["-9", &pid.to_string()]);
        }
        self.apps.clear();
        self.session.wait_for("the app's end", || self.running("larder-desktop").is_empty());
    }

    /// The window, if one shows.
    pub fn window(&self) -> Option<String> {
        let output = self.session.command("xdotool").args(["search", "--onlyvisible", "--name", "^Larder$"]).output();
        String::from_utf8(output.expect("xdotool").stdout).expect("text").lines().next().map(str::to_owned)
    }

    /// Waits until the window shows, and gives it the keyboard, as a window manager does.
    pub fn wait_for_window(&self) -> String {
        let mut window = None;
        self.session.wait_for("the window", || {
            window = self.window();
            window.is_some()
        });
        let window = window.expect("a window");
        self.session.ran("xdotool", &["windowfocus", &window]);
        window
    }

    /// Closes the window with the button in its corner, and waits until it and its web process are gone.
    pub fn close_window(&self) {
        let window = self.window().expect("a window");
        self.session.ran(support("screen-reader").to_str().expect("text"), &["close", &window]);
        self.session.wait_for("the window's end", || self.window().is_none());
        self.session.wait_for("the web process's end", || self.running("WebKitWebProcess").is_empty());
    }

    /// Makes the window this large.
    pub fn resize(&self, width: u32, height: u32) {
        let window = self.wait_for_window();
        self.session.ran("xdotool", &["windowsize", "--sync", &window, &width.to_string(), &height.to_string()]);
    }

    /// Presses keys, as xdotool names them.
    pub fn keys(&self, keys: &[&str]) {
        self.session.ran("xdotool", &[&["key", "--clearmodifiers"], keys].concat());
    }

    /// What shows on the screen.
    pub fn look(&self) -> Vec<Seen> {
        let text = self.session.ran(support("screen-reader").to_str().expect("text"), &["look"]);
        serde_json::from_str(&text).expect("what shows")
    }

    /// All that the screen says, for a failed test's message.
    pub fn said(&self) -> String {
        let words = |seen: &Seen| if seen.text.is_empty() { seen.name.clone() } else { seen.text.clone() };
        self.look().iter().map(words).filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" | ")
    }

    /// Waits until something on the screen is as told, and returns it.
    #[track_caller]
    pub fn find(&self, what: &str, is: impl Fn(&Seen) -> bool) -> Seen {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = self.look().into_iter().find(|seen| is(seen)) {
                return seen;
            }
            assert!(Instant::now() < until, "waited in vain for {what}; the screen says: {}", self.said());
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until the screen says this.
    #[track_caller]
    pub fn reads(&self, words: &str) -> Seen {
        self.find(words, |seen| seen.says(words))
    }

    /// Waits until nothing on the screen says this.
    #[track_caller]
    pub fn no_longer_reads(&self, words: &str) {
        let until = Instant::now() + PATIENCE;
        while self.look().iter().any(|seen| seen.says(words)) {
            assert!(Instant::now() < until, "{words} stays");
            std::thread::sleep(PAUSE);
        }
    }

    /// Clicks what has this role and name, with the mouse, once it shows and stands still.
    #[track_caller]
    pub fn click(&self, role: &str, name: &str) {
        let find = || self.find(&format!("{role} {name}"), |seen| seen.role == role && seen.name == name);
        let mut seen = find();
        loop {
            let again = find();
            if again.at == seen.at {
                break;
            }
            seen = again;
        }
        self.click_at(&seen);
    }

    /// Clicks a button.
    #[track_caller]
    pub fn press(&self, name: &str) {
        self.click("push button", name);
    }

    /// Clicks a button that may be gone already; whether it was there.
    pub fn try_press(&self, name: &str) -> bool {
        let button = self.look().into_iter().find(|seen| seen.role == "push button" && seen.name == name);
        if let Some(button) = &button {
            self.click_at(button);
        }
        button.is_some()
    }

    fn click_at(&self, seen: &Seen) {
        let [left, top, width, height] = seen.at;
        let (x, y) = ((left + width / 2).to_string(), (top + height / 2).to_string());
        self.session.ran("xdotool", &["mousemove", &x, &y, "click", "1"]);
    }

    /// Opens the menu bar and follows these labels.
    #[track_caller]
    pub fn menu(&self, path: &[&str]) {
        let last = path.len() - 1;
        for (at, label) in path.iter().enumerate() {
            self.click(if at == last { "menu item" } else { "menu" }, label);
        }
    }

    /// The clipboard's text.
    pub fn clipboard(&self) -> String {
        self.session.ran(support("screen-reader").to_str().expect("text"), &["clipboard"]).trim_end().to_owned()
    }

    /// Takes a picture of the window, and of what stands open over it.
    pub fn window_picture(&self, path: &Path) {
        let window = self.window().expect("a window");
        let size = self.session.ran("xdotool", &["getwindowgeometry", "--shell", &window]);
        let figure = |name: &str| {
            let line = size.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.expect("a figure").to_owned()
        };
        let place = format!("{}x{}+{}+{}", figure("WIDTH"), figure("HEIGHT"), figure("X"), figure("Y"));
        // The pointer is not in it, and neither is what it hovers over.
        self.session.ran("xdotool", &["mousemove", "1279", "799"]);
        let path = path.to_str().expect("text");
        let mut before = Vec::new();
        self.session.wait_for("the window to be drawn", || {
            std::thread::sleep(DRAWN);
            self.session.ran("import", &["-window", "root", "-crop", &place, "+repage", "-strip", path]);
            let colours = self
                .session
                .ran("convert", &[path, "-gravity", "south", "-crop", "100%x85%+0+0", "-format", "%k", "info:"]);
            let now = fs::read(path).expect("a picture");
            let drawn = colours.trim().parse::<u32>().expect("a number") > BLANK && now == before;
            before = now;
            drawn
        });
    }

    /// The tray as it stands.
    pub fn tray(&self) -> Tray {
        self.told().states.last().map(|(_, tray)| tray.clone()).unwrap_or_default()
    }

    /// Every state of the tray so far.
    pub fn tray_history(&self) -> Vec<(Instant, Tray)> {
        self.told().states.clone()
    }

    /// Waits until the tray is as told.
    #[track_caller]
    pub fn wait_for_tray(&self, what: &str, is: impl Fn(&Tray) -> bool) -> Tray {
        let now = self.told().states.len().saturating_sub(1);
        self.wait_for_tray_since(now, what, is).1
    }

    /// Waits until the tray is as told, in any of its states from this one on: what passes quickly is not missed.
    #[track_caller]
    pub fn wait_for_tray_since(&self, from: usize, what: &str, is: impl Fn(&Tray) -> bool) -> (usize, Tray) {
        let until = Instant::now() + PATIENCE;
        let mut told = self.told();
        loop {
            if let Some((at, (_, tray))) = told.states.iter().enumerate().skip(from).find(|(_, (_, tray))| is(tray)) {
                return (at, tray.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the tray never showed {what}: {:?}", told.states.last());
            told = self.told.1.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Clicks an entry of the tray's menu, once it is there and can be clicked.
    #[track_caller]
    pub fn click_tray(&self, path: &[&str]) {
        let until = Instant::now() + PATIENCE;
        loop {
            let tray =
                self.wait_for_tray(&format!("{path:?}"), |tray| tray.entry(path).is_some_and(|entry| entry.enabled));
            let id = tray.entry(path).expect("just seen").id;
            self.told().click = None;
            let mut stdin = self.tray_stdin.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(stdin, "click {id}").expect("the tray");
            drop(stdin);
            let mut told = self.told();
            let refused = loop {
                if let Some(answer) = told.click.take() {
                    break answer.err();
                }
                let left = until.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "the tray took no click on {path:?}");
                told = self.told.1.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
            };
            drop(told);
            // A menu that was replaced while the mouse went down: the person clicks again.
            let Some(refused) = refused else { return };
            assert!(Instant::now() < until, "the tray took no click on {path:?}: {refused}");
            std::thread::sleep(PAUSE);
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_evidence();
        }
        self.apps.clear();
        // What the desktop started on its own has this home: the app of a cold start, a browser that waits, the
        // accessibility bus. (The agent is asked to stop by the session.)
        let names = ["larder-desktop", "sh", "python3", "xdg-open", "gio", "dbus-daemon", "at-spi2-registryd"];
        for pid in names.iter().flat_map(|name| self.running(name)) {
            let _ = self.session.command("kill").arg(pid.to_string()).output();
        }
    }
}

impl Desktop {
    /// Leaves a picture and the app's words behind for whoever looks into a failed test.
    #[allow(clippy::print_stderr, reason = "it is a part of the failed test's message")]
    fn keep_evidence(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/desktop");
        let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
        if fs::create_dir_all(&folder).is_ok() {
            let picture = folder.join(format!("{name}.png"));
            let _ = self.session.command("import").args(["-window", "root"]).arg(&picture).output();
            let _ = fs::copy(self.log(), folder.join(format!("{name}.log")));
            eprintln!("see {}", picture.display());
        }
    }
}

fn watch_tray(session: &Session) -> (Child, ChildStdin, Arc<(Mutex<Told>, Condvar)>) {
    let icons = Path::new(env!("CARGO_MANIFEST_DIR")).join("icons");
    let mut child = session
        .command(support("tray-watcher"))
        .arg(icons)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/support/tray-watcher");
    let stdin = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    // The first line says that the tray is there, and empty.
    lines.next().expect("a line").expect("the tray");
    let told: Arc<(Mutex<Told>, Condvar)> = Arc::default();
    let heard = Arc::clone(&told);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let line: Line = serde_json::from_str(&line).expect("a line of the tray's");
            let mut told = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
            match line {
                Line::Tray(tray) => told.states.push((Instant::now(), tray)),
                Line::Clicked { .. } => told.click = Some(Ok(())),
                Line::Refused { refused } => told.click = Some(Err(refused)),
            }
            drop(told);
            heard.1.notify_all();
        }
    });
    (Child(child), stdin, told)
}

/// The processes whose home this is, and which were therefore started by its test.
fn processes(home: &Path) -> Vec<i32> {
    let mark = format!("HOME={}", home.display());
    let ours = |pid: &i32| {
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(ours).collect()
}
