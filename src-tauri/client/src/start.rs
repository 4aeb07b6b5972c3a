//! Finds the agent that runs, or starts one.

use crate::connection::{self, Connection};
use larder_core::problem::Problem;
use larder_core::profile::Profile;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The environment's word for which agent to start: tests, and builds that are not installed.
pub const AGENT_VARIABLE: &str = "LARDER_AGENT";

/// How long an agent may take until it listens. It opens no keychain and no network before that; what takes time
/// is a cold disk, and a database whose write-ahead log must be read after a crash.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// Between two looks for the socket: first so short that a warm start (some 20 ms) is not felt,
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// then growing to this, so that a slow machine is not kept busy by the waiting.
pub(crate) const MOST_PAUSE: Duration = Duration::from_millis(100);

/// When our agent found another one in possession and that one still does not listen, it may be on its way out:
/// so long after that, ours is started again.
const AGAIN: Duration = Duration::from_millis(500);

/// A log past this is begun anew: an agent says little, so that is months of it.
const MOST_LOG: u64 = 1024 * 1024;

/// How much of a log's end is read for the reason of a failed start: one problem is below 1 KiB.
const LOG_END: u64 = 16 * 1024;

/// Whether a client that finds no agent starts one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Yes: the one that [`agent_program`] names.
    IfNeeded,
    /// No: [`Problem::NoAgent`].
    Never,
    /// Yes: this very program.
    This(PathBuf),
}

impl Start {
    pub(crate) fn may(&self) -> bool {
        *self != Self::Never
    }

    fn program(&self) -> Option<PathBuf> {
        match self {
            Self::IfNeeded => Some(agent_program()),
            Self::Never => None,
            Self::This(program) => Some(program.clone()),
        }
    }
}

/// The agent's program: [`AGENT_VARIABLE`], else `larder-agent` beside the running program, else that name, to be
/// looked for on `PATH`.
pub fn agent_program() -> PathBuf {
    if let Some(named) = std::env::var_os(AGENT_VARIABLE).filter(|value| !value.is_empty()) {
        // It is started in another folder.
        return std::path::absolute(&named).unwrap_or_else(|_| named.into());
    }
    let name = format!("larder-agent{}", std::env::consts::EXE_SUFFIX);
    match std::env::current_exe().map(|own| own.with_file_name(&name)) {
        Ok(beside) if beside.is_file() => beside,
        _ => name.into(),
    }
}

/// The agent that runs, or `None`.
pub(crate) fn find(profile: &Profile) -> Result<Option<Connection>, Problem> {
    let path = profile.socket()?;
    match connection::open(&path) {
        Ok(connection) => Ok(Some(connection)),
        // No socket, or one that an agent left behind when it was killed.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(no_agent(profile, error.to_string())),
    }
}

/// The agent that runs, or one that is started for it. Its lock decides which one stays, if several start at once.
pub(crate) fn reach(profile: &Profile, start: &Start) -> Result<Connection, Problem> {
    let deadline = Instant::now() + BOUND;
    let mut pause = FIRST_PAUSE;
    let mut started: Option<Started> = None;
    let mut not_before = Instant::now();
    loop {
        if let Some(connection) = find(profile)? {
            return Ok(connection);
        }
        let Some(program) = start.program() else { return Err(no_agent(profile, "none is running")) };
        match started.as_mut().map(Started::ended) {
            None if Instant::now() >= not_before => started = Some(Started::new(profile, program)?),
            None | Some(None) => {}
            Some(Some(Problem::AlreadyRunning { .. })) => {
                started = None;
                not_before = Instant::now() + AGAIN;
            }
            Some(Some(problem)) => return Err(problem),
        }
        if Instant::now() >= deadline {
            let log = profile.log();
            let detail = format!("it did not listen within {} s; see {}", BOUND.as_secs(), log.display());
            return Err(no_agent(profile, detail));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(MOST_PAUSE);
    }
}

fn no_agent(profile: &Profile, detail: impl Into<String>) -> Problem {
    Problem::NoAgent { path: profile.run.join("agent.sock").display().to_string(), detail: detail.into() }
}

/// An agent that was started here and may not listen yet.
struct Started<'a> {
    profile: &'a Profile,
    child: Option<Child>,
    /// How long its log was before.
    log_from: u64,
}

impl<'a> Started<'a> {
    fn new(profile: &'a Profile, program: PathBuf) -> Result<Self, Problem> {
        let fails = |error: io::Error, path: PathBuf| {
            let path = path.display().to_string();
            match error.kind() {
                ErrorKind::InvalidInput => Problem::UnsafePath { path, detail: error.to_string() },
                kind => Problem::NotWritten { file: path, detail: kind.to_string() },
            }
        };
        make_folder(profile).map_err(|error| fails(error, profile.run.clone()))?;
        let (log, log_from) = open_log(profile).map_err(|error| fails(error, profile.log()))?;
        let mut command = Command::new(&program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // It must not keep the folder of whoever came first from being unmounted, nor use up that one's token for
        // bringing a window to the front.
        command.current_dir("/").env_remove("XDG_ACTIVATION_TOKEN").env_remove("DESKTOP_STARTUP_ID");
        if !profile.default {
            command.env("LARDER_HOME", &profile.data);
        }
        #[cfg(unix)]
        {
            // Ctrl-C in the terminal of whoever came first is not meant for it.
            use std::os::unix::process::CommandExt;
            command.process_group(0);
        }
        let child = command.spawn().map_err(|error| {
            let detail = match error.kind() {
                ErrorKind::NotFound => format!("{} was not found", program.display()),
                _ => format!("{}: {error}", program.display()),
            };
            no_agent(profile, detail)
        })?;
        Ok(Self { profile, child: Some(child), log_from })
    }

    /// Why it ended, if it has.
    fn ended(&mut self) -> Option<Problem> {
        let status = match self.child.as_mut()?.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.child = None;
        let said = last_problem(self.profile, self.log_from);
        Some(said.unwrap_or_else(|| {
            let log = self.profile.log();
            no_agent(self.profile, format!("it ended at once ({status}); see {}", log.display()))
        }))
    }
}

impl Drop for Started<'_> {
    /// It goes on by itself; but whenever it ends, a parent that is still there must take note of it.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let reaper = std::thread::Builder::new().name("larder-agent".to_owned());
            let _ = reaper.spawn(move || child.wait());
        }
    }
}

fn make_folder(profile: &Profile) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(&profile.run)
}

/// The log, to be written at its end, and how long it is. Several agents may write it at once.
fn open_log(profile: &Profile) -> io::Result<(File, u64)> {
    let path = profile.log();
    if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a plain file"));
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let log = options.open(&path)?;
    let mut length = log.metadata()?.len();
    if length > MOST_LOG {
        log.set_len(0)?;
        length = 0;
    }
    Ok((log, length))
}

/// The last problem that the log names, from `from` on: an agent that cannot start writes `{"problem":{…}}`.
fn last_problem(profile: &Profile, from: u64) -> Option<Problem> {
    let mut log = File::open(profile.log()).ok()?;
    let length = log.metadata().ok()?.len();
    log.seek(SeekFrom::Start(from.max(length.saturating_sub(LOG_END)).min(length))).ok()?;
    let mut end = Vec::new();
    log.take(LOG_END).read_to_end(&mut end).ok()?;
    String::from_utf8_lossy(&end).lines().rev().find_map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).ok()?;
        serde_json::from_value(line.get_mut("problem")?.take()).ok()
    })
}
