//! The socket: one Unix socket, 0600 in a 0700 folder, for processes of the same user. JSON, one message a line.

use crate::agent::{Message, Peer};
use crate::connections::{Connections, MOST_SUBSCRIBERS, Place};
use crate::{folders, program};
use larder_core::problem::Problem;
use larder_core::protocol::{Answer, Ask, Line, MOST_REQUEST, PROTOCOL, Push, Request};
use larder_core::view::HouseView;
use listenfd::ListenFd;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use zeroize::Zeroize;

/// The first message must come within this time, else the connection is one that somebody forgot.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);

/// A message that has begun must be whole within this time: its bytes are on this machine already.
const FRAME_PATIENCE: Duration = Duration::from_secs(10);

/// What is read at once, in bytes: a connection that is idle costs no more, and most requests fit.
const CHUNK: usize = 1024;

/// Requests of one connection that wait for their answers at once.
const MOST_OUTSTANDING: usize = 64;

/// So long a connection is its program's without another look. A process can become another one with its connections open;
/// whether it is there at all is looked at before each answer.
const SAME_PROGRAM: Duration = Duration::from_secs(1);

/// A client that does not read what it asked for is let go after this time.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// What every connection needs.
#[derive(Clone)]
pub struct Serving {
    /// To the loop.
    pub outbox: mpsc::Sender<Message>,
    /// From the loop, for those who subscribe.
    pub pushes: broadcast::Sender<Push>,
    /// The folder of the profile, for Hello.
    pub profile: String,
    /// Turns true when the agent ends: nothing more is read, and what is to be answered still is.
    pub closing: watch::Receiver<bool>,
    /// One place each.
    pub connections: Arc<Connections>,
}

/// The first descriptor that systemd hands over is this variable's process's alone (sd_listen_fds(3)).
const FOR_PROCESS: &str = "LISTEN_PID";

/// The sockets that systemd handed over to this process, if it did. Called before there are threads: it changes the
/// environment, so that nobody whom the agent starts takes them for theirs.
pub fn handed_over() -> ListenFd {
    let ours = std::env::var(FOR_PROCESS).is_ok_and(|process| process == std::process::id().to_string());
    // The crate takes descriptors for ours where the variable is missing; then they may be anything.
    if ours { ListenFd::from_env() } else { ListenFd::empty() }
}

/// The socket that systemd listens on for this profile, if it handed one over. What it handed over must be that one.
///
/// # Errors
/// [`Problem::ForeignSocket`].
pub fn taken_over(mut handed_over: ListenFd, path: &Path) -> Result<Option<UnixListener>, Problem> {
    let foreign = |detail: String| Problem::ForeignSocket { detail, expected: path.display().to_string() };
    match handed_over.len() {
        0 => return Ok(None),
        1 => {}
        several => return Err(foreign(format!("there are {several} of them"))),
    }
    let listener = handed_over.take_unix_listener(0).ok().flatten();
    let listener = listener.ok_or_else(|| foreign("it is no Unix stream socket".to_owned()))?;
    if !listens(&listener) {
        return Err(foreign("it is a connection, so the unit must say Accept=no".to_owned()));
    }
    let address = listener.local_addr().map_err(|error| foreign(error.kind().to_string()))?;
    if address.as_pathname() != Some(path) {
        let other = address.as_pathname().map_or_else(|| "no path".into(), Path::to_string_lossy);
        return Err(foreign(format!("it listens on {other}")));
    }
    let listener = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
    listener.map(Some).map_err(|error| foreign(error.kind().to_string()))
}

#[cfg(not(target_vendor = "apple"))]
fn listens(socket: &std::os::unix::net::UnixListener) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or_default()
}

/// The system does not tell; there is no systemd either.
#[cfg(target_vendor = "apple")]
fn listens(_: &std::os::unix::net::UnixListener) -> bool {
    true
}

/// Binds the socket. The profile's lock is held, so a socket of ours that is there is a dead agent's. Anything else that is
/// there is not ours to remove.
///
/// # Errors
/// [`Problem::UnsafePath`], [`Problem::NotWritten`].
pub fn bind(path: &Path) -> Result<UnixListener, Problem> {
    let fails = |error: io::Error| folders::cannot_write(path, &error);
    let refuse = |why: &str| Err(Problem::UnsafePath { path: path.display().to_string(), detail: why.to_owned() });
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return refuse("it is no socket"),
        Ok(found) if found.uid() != rustix::process::getuid().as_raw() => return refuse("it belongs to somebody else"),
        Ok(_) => std::fs::remove_file(path).map_err(fails)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fails(error)),
    }
    let listener = UnixListener::bind(path).map_err(fails)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fails)?;
    Ok(listener)
}

/// Serves connections for ever.
pub async fn serve(listener: UnixListener, serving: Serving) {
    let user = rustix::process::getuid().as_raw();
    let mut connection = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connection += 1;
                let Some(process) = of(&stream, user) else { continue };
                let Some(place) = serving.connections.admit(connection, process).await else { continue };
                let (serving, place) = (serving.clone(), Arc::new(place));
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, connection, process, serving, place).await {
                        tracing::debug!("connection {connection}: {}", error.kind());
                    }
                });
            }
            // Out of descriptors, most likely: the connections there are go on, and some of them will end.
            Err(error) => {
                tracing::warn!("the socket does not accept: {}", error.kind());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The process of this user that connected, where the system tells which; `None` for another user's. The file's mode keeps
/// those out; this does too, where the mode was changed.
fn of(stream: &UnixStream, user: u32) -> Option<Option<i32>> {
    let credentials = stream.peer_cred().ok()?;
    (credentials.uid() == user).then(|| credentials.pid())
}

async fn converse(
    stream: UnixStream,
    connection: u64,
    pid: Option<i32>,
    serving: Serving,
    place: Arc<Place>,
) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(CHUNK, reader);
    let (lines, queue) = mpsc::channel(64);
    let mut writing = tokio::spawn(write(writer, queue));
    let result = tokio::select! {
        result = answer_all(&mut reader, connection, pid, &serving, &place, lines) => result,
        // A client that does not read has ended the conversation.
        _ = &mut writing => Ok(()),
        () = place.let_go() => Ok(()),
    };
    let _ = serving.outbox.send(Message::Gone { connection }).await;
    // What is on its way out still goes out.
    if !writing.is_finished() {
        let _ = tokio::time::timeout(WRITE_PATIENCE, &mut writing).await;
        writing.abort();
    }
    result
}

async fn answer_all(
    reader: &mut BufReader<OwnedReadHalf>,
    connection: u64,
    pid: Option<i32>,
    serving: &Serving,
    place: &Arc<Place>,
    lines: Lines,
) -> io::Result<()> {
    let first = tokio::time::timeout(HELLO_PATIENCE, read(reader)).await;
    match first.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
        Some(Ok(Ask { id, request: Request::Hello { .. } })) => {
            let answer = Answer::Hello {
                protocol: PROTOCOL,
                build: env!("CARGO_PKG_VERSION").to_owned(),
                profile: serving.profile.clone(),
                pid: std::process::id(),
            };
            say(&lines, Line::Answer { id, answer }).await?;
        }
        Some(Ok(Ask { id, .. })) => {
            let detail = "the first message must be hello".to_owned();
            return say(&lines, Line::Problem { id, problem: Problem::BadRequest { detail } }).await;
        }
        Some(Err(problem)) => return say(&lines, Line::Problem { id: 0, problem }).await,
        None => return Ok(()),
    }
    let mut closing = serving.closing.clone();
    // Ends with the conversation.
    let mut pushing = JoinSet::new();
    let outstanding = Arc::new(Semaphore::new(MOST_OUTSTANDING));
    // Who was behind this connection, and when that was looked at.
    let mut asks: Option<(Instant, Option<program::Program>)> = None;
    loop {
        let ask = tokio::select! {
            ask = read(reader) => ask?,
            _ = closing.wait_for(|closing| *closing) => return Ok(()),
        };
        let Some(ask) = ask else { return Ok(()) };
        let Ask { id, request } = match ask {
            Ok(ask) => ask,
            Err(problem) => {
                // What follows a broken message cannot be trusted to be a message.
                return say(&lines, Line::Problem { id: 0, problem }).await;
            }
        };
        if matches!(request, Request::Subscribe) {
            if !place.subscribes() {
                let detail = format!("at most {MOST_SUBSCRIBERS} connections follow what happens");
                say(&lines, Line::Problem { id, problem: Problem::BadRequest { detail } }).await?;
                continue;
            }
            let pushes = serving.pushes.subscribe();
            say(&lines, Line::Answer { id, answer: Answer::Done }).await?;
            if pushing.is_empty() {
                pushing.spawn(push(pushes, serving.clone(), lines.clone()));
            }
            continue;
        }
        // Only a hand-out, and what changes configuration, depends on who asks: nothing else pays for the look-up.
        let program = match &request {
            Request::Token { .. }
            | Request::SetPolicy { .. }
            | Request::RemoveRule { .. }
            | Request::Lock { .. }
            | Request::Unlock { .. }
            | Request::AddProvider { .. }
            | Request::RemoveProvider { .. }
            | Request::Export { .. } => match &asks {
                Some((since, program)) if since.elapsed() < SAME_PROGRAM => program.clone(),
                _ => {
                    let behind = tokio::task::spawn_blocking(move || pid.and_then(program::behind));
                    let program = behind.await.ok().flatten();
                    asks = Some((Instant::now(), program.clone()));
                    program
                }
            },
            _ => None,
        };
        // Who asks faster than it can be answered waits, and nobody else does.
        let Ok(turn) = Arc::clone(&outstanding).acquire_owned().await else { return Ok(()) };
        if !place.asks() {
            return Ok(());
        }
        let (reply, answered) = oneshot::channel();
        let message = Message::Request { peer: Peer { connection, process: pid, program }, request, reply };
        if serving.outbox.send(message).await.is_err() {
            return say(&lines, Line::Problem { id, problem: Problem::Stopping }).await;
        }
        let (lines, place) = (lines.clone(), Arc::clone(place));
        tokio::spawn(async move {
            let line = match answered.await {
                Ok(Ok(answer)) => Line::Answer { id, answer },
                Ok(Err(problem)) => Line::Problem { id, problem },
                Err(_) => Line::Problem { id, problem: Problem::Stopping },
            };
            let _ = say(&lines, line).await;
            place.answered();
            drop(turn);
        });
    }
}

/// Lines that go out. Boxed, because a queue has room for many even where it is empty.
type Lines = mpsc::Sender<Box<Line>>;

async fn say(lines: &Lines, line: Line) -> io::Result<()> {
    lines.send(Box::new(line)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// Reads one message; `None` at the end. It may be long in coming; once it has begun it must come. A longer line than
/// [`MOST_REQUEST`] is no message.
///
/// # Errors
/// The stream's, and [`io::ErrorKind::TimedOut`].
pub async fn read(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Result<Ask, Problem>>> {
    let bad = |detail: String| Some(Err(Problem::BadRequest { detail }));
    let mut line = Vec::new();
    let most = u64::try_from(MOST_REQUEST).unwrap_or(u64::MAX);
    if reader.fill_buf().await?.is_empty() {
        return Ok(None);
    }
    let whole = tokio::time::timeout(FRAME_PATIENCE, reader.take(most).read_until(b'\n', &mut line)).await;
    if !matches!(whole, Ok(Ok(_))) {
        line.zeroize();
    }
    whole.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if line.last() != Some(&b'\n') {
        return Ok(bad(format!("a message is one line of at most {MOST_REQUEST} bytes")));
    }
    // The parser's own words quote the message, which may hold a redirect: only where it failed is told.
    let ask = serde_json::from_slice(&line).map_err(|error| Problem::BadRequest {
        detail: format!("column {} of the message is not what was expected", error.column()),
    });
    line.zeroize();
    Ok(Some(ask))
}

async fn write(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<Box<Line>>) -> io::Result<()> {
    while let Some(line) = queue.recv().await {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let written = tokio::time::timeout(WRITE_PATIENCE, writer.write_all(&text)).await;
        // It may have been a token.
        text.zeroize();
        written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    }
    Ok(())
}

/// Passes pushes on. Who reads too slowly misses events, but never the view as it stands.
async fn push(mut pushes: broadcast::Receiver<Push>, serving: Serving, lines: Lines) {
    let Serving { outbox, mut closing, .. } = serving;
    if let Some(view) = view(&outbox).await {
        let _ = say(&lines, Line::Push { push: Push::View(view) }).await;
    }
    loop {
        let push = tokio::select! {
            push = pushes.recv() => push,
            () = lines.closed() => return,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let push = match push {
            Ok(push) => push,
            Err(broadcast::error::RecvError::Lagged(_)) => match view(&outbox).await {
                Some(view) => Push::View(view),
                None => return,
            },
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if say(&lines, Line::Push { push }).await.is_err() {
            return;
        }
    }
}

async fn view(outbox: &mpsc::Sender<Message>) -> Option<Box<HouseView>> {
    let (reply, answered) = oneshot::channel();
    let peer = Peer { connection: 0, process: None, program: None };
    outbox.send(Message::Request { peer, request: Request::View, reply }).await.ok()?;
    match answered.await.ok()? {
        Ok(Answer::View(view)) => Some(view),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_users_process_is_not_talked_to() {
        let (stream, _other) = UnixStream::pair().unwrap();
        let user = rustix::process::getuid().as_raw();
        assert!(of(&stream, user).is_some());
        assert_eq!(of(&stream, user + 1), None);
    }
}
