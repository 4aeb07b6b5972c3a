//! A clean system in a folder, with namespaces of its own: what is mounted and what runs there ends with it, even where this
//! test is killed. It has the machine's network, and the programs of the machine's own mirror.

use super::support::disk::{as_root, root_line};
use super::support::session::first_line;
use super::support::{Child, support};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Output, Stdio};

/// What this test needs there: a screen, a session bus and what looks at it, systemd's commands, and Python for the browser.
/// None of it is what the package depends on or recommends; that is to come with the package.
const TOOLS: &str = "xvfb,dbus-daemon,libglib2.0-bin,systemd,python3";

/// The first process there. It writes down which one it is, mounts what a system has, and reads until whoever started it is
/// gone; then the kernel ends all others.
const INIT: &str = r#"set -e
read -r pid rest </proc/self/stat
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
mount --bind "$2" "$1/var/cache/apt/archives"
echo "$pid"
exec chroot "$1" cat
"#;

/// The system.
#[derive(Debug)]
pub struct Root {
    folder: PathBuf,
    scratch: tempfile::TempDir,
    pid: String,
    /// The end of this is the end of all.
    stdin: Option<ChildStdin>,
    init: Child,
}

impl Root {
    /// A system in which nothing of Larder has ever been.
    pub fn new() -> Self {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
        let archives = kept.join("archives");
        fs::create_dir_all(archives.join("partial")).expect("a folder");
        let base = base(&kept);
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let folder = scratch.path().join("root");
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        fs::create_dir(&folder).expect("a folder");
        as_root(&["tar", "-x", "-p", "--numeric-owner", "-f", &text(&base), "-C", &text(&folder)]);
        as_root(&["cp", "-L", "/etc/resolv.conf", &text(&folder.join("etc/resolv.conf"))]);
        let browser = text(&folder.join("usr/local/bin/browser"));
        as_root(&["install", "-m", "755", &text(&support("browser")), &browser]);
        let line = root_line(&["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INIT, "init"]);
        let mut init = Command::new(&line[0])
            .args(&line[1..])
            .args([&folder, &archives])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let stdin = init.stdin.take();
        let pid = first_line(init.stdout.take().expect("piped"));
        let root = Self { folder, scratch, pid, stdin, init: Child(init) };
        // A list that did not come is no error to apt otherwise; what depends on it would then "not be installable".
        root.ran(&["apt-get", "update", "-q", "--error-on=any", "-o", "Acquire::Retries=3"]);
        root
    }

    /// A folder outside of it, which ends with it.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A command there, with nothing of this environment. `enter` says who runs it.
    pub fn command(&self, enter: &[&str], environment: &[(&str, &str)], line: &[&str]) -> Command {
        let entry = ["nsenter", "--target", &self.pid, "--mount", "--pid", "--root", "--wd"];
        let entry = root_line(&[&entry[..], enter, &["env", "-i"]].concat());
        let mut command = Command::new(&entry[0]);
        command.args(&entry[1..]).arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin").arg("LANG=C.UTF-8");
        command.args(environment.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(line).stdin(Stdio::null());
        command
    }

    fn output(&self, line: &[&str]) -> Output {
        let environment = [("DEBIAN_FRONTEND", "noninteractive")];
        self.command(&[], &environment, line).output().expect("nsenter")
    }

    /// Runs what must succeed, as root, and returns what it printed.
    #[track_caller]
    pub fn ran(&self, line: &[&str]) -> String {
        let output = self.output(line);
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line:?}: {said}{complained}");
        said.into_owned()
    }

    fn lines(&self, line: &[&str]) -> Vec<String> {
        String::from_utf8_lossy(&self.output(line).stdout).lines().map(str::to_owned).collect()
    }

    /// Installs a package from its file, and from the mirror what it depends on and recommends, as a person would.
    #[track_caller]
    pub fn install(&self, deb: &Path) {
        // By another name than Larder's, which is looked for afterwards.
        let there = self.folder.join("mnt/package.deb");
        as_root(&["install", "-m", "644", deb.to_str().expect("text"), there.to_str().expect("text")]);
        self.ran(&["apt-get", "install", "-y", "-q", "/mnt/package.deb"]);
    }

    /// The files of a package that is installed, without folders.
    pub fn packaged(&self, name: &str) -> Vec<String> {
        let listed = self.ran(&["dpkg", "--listfiles", name]);
        listed.lines().filter(|path| !self.folder.join(&path[1..]).is_dir()).map(str::to_owned).collect()
    }

    /// Whether there is something at this path, be it a link to nothing.
    pub fn has(&self, path: &str) -> bool {
        self.folder.join(&path[1..]).symlink_metadata().is_ok()
    }

    /// Whether there is a link at this path.
    pub fn is_link(&self, path: &str) -> bool {
        self.folder.join(&path[1..]).is_symlink()
    }

    /// What is called by this name, outside of people's own folders.
    pub fn named(&self, name: &str) -> Vec<String> {
        let pattern = format!("*{name}*");
        let own = ["-path", "/home", "-o", "-path", "/run/user", "-o", "-path", "/proc"];
        let prune = ["-prune", "-o", "-iname", &pattern, "-print"];
        self.lines(&[&["find", "/", "("], &own[..], &[")"], &prune[..]].concat())
    }

    /// Which files that others read say this word: settings, and lists that are made from packages' files.
    pub fn mentions(&self, word: &str) -> Vec<String> {
        self.lines(&[
            "grep",
            "-rliw",
            word,
            "/etc",
            "/usr/share/applications",
            "/var/lib/systemd",
            "/var/lib/dpkg/status",
        ])
    }

    /// The processes there that run this program.
    pub fn running(&self, program: &str) -> Vec<u64> {
        // What has ended and was not waited for has no program any more.
        let found = self.lines(&["pidof", program]);
        let pids = found.iter().flat_map(|line| line.split_whitespace());
        pids.filter(|pid| self.output(&["test", "-e", &format!("/proc/{pid}/exe")]).status.success())
            .map(|pid| pid.parse().expect("a number"))
            .collect()
    }

    /// Ends what runs this program, and waits until it has.
    pub fn end(&self, program: &str) {
        for pid in self.running(program) {
            self.ran(&["kill", &pid.to_string()]);
        }
        let until = std::time::Instant::now() + super::support::PATIENCE;
        while !self.running(program).is_empty() {
            assert!(std::time::Instant::now() < until, "{program} does not end");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // With the namespaces ended, nothing is mounted below the folder any more.
        let _ = self.init.0.wait();
        as_root(&["rm", "-rf", "--one-file-system", self.folder.to_str().expect("text")]);
    }
}

/// The system before anything is installed, made once: the machine's own release, from its own mirror.
fn base(kept: &Path) -> PathBuf {
    let release = fs::read_to_string("/etc/os-release").expect("/etc/os-release");
    let codename =
        release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).expect("Debian's or Ubuntu's name");
    let base = kept.join(format!("{codename}.tar"));
    if !base.exists() {
        let part = kept.join("part.tar");
        let include = format!("--include={TOOLS}");
        // Kept there: a system that is thrown away need not be safe from power cuts, and syncs are most of an installation's time.
        let unsafe_io = "--dpkgopt=force-unsafe-io";
        let sources = sources(codename);
        let mut line =
            vec!["mmdebstrap", "--variant=minbase", unsafe_io, &include, codename, part.to_str().expect("text")];
        line.extend(sources.iter().map(String::as_str));
        as_root(&line);
        fs::rename(&part, &base).expect("the same folder");
    }
    base
}

/// The files in which apt is told where this release comes from; those of others are left out.
fn sources(codename: &str) -> Vec<String> {
    let folder =
        fs::read_dir("/etc/apt/sources.list.d").expect("a folder").map(|entry| entry.expect("an entry").path());
    let of_release = |path: &PathBuf| {
        let known = path.extension().is_some_and(|extension| extension == "sources" || extension == "list");
        let text = fs::read_to_string(path).unwrap_or_default();
        let told = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        known && told.flat_map(str::split_whitespace).any(|word| word == codename)
    };
    let files: Vec<_> = folder.chain([PathBuf::from("/etc/apt/sources.list")]).filter(of_release).collect();
    assert!(!files.is_empty(), "apt is not told where {codename} comes from");
    files.iter().map(|path| path.to_str().expect("text").to_owned()).collect()
}
