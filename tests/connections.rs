//! However many connections there are, whatever they leave half said: others are served.

use crate::support::{Child, Session};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// Opens connections and holds them: says Hello on all, then half a request on every `half`th. Ends with its stdin. Where a
/// line comes there, it waits until every half request was given up, and says how many connections are left.
const HOLDER: &str = r"
import resource, socket, sys
path, count, half = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
hello = b'{\x22id\x22:1,\x22request\x22:{\x22do\x22:\x22hello\x22,\x22protocol\x22:1,\x22build\x22:\x220\x22}}\n'
held, halves = [], []
for number in range(count):
    s = socket.socket(socket.AF_UNIX); s.connect(path); s.sendall(hello); s.recv(4096); held.append(s)
    if half and number % half == 0:
        s.sendall(b'{\x22id\x22:2,\x22requ'); halves.append(s)
print('held', flush=True)
for line in sys.stdin:
    for s in halves:
        while s.recv(4096): pass
    def there(s):
        try: return s.recv(4096, socket.MSG_DONTWAIT) != b''
        except BlockingIOError: return True
        except OSError: return False
    print(sum(there(s) for s in held), flush=True)
";

/// A process that holds connections.
struct Holder {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Holder {
    fn start(session: &Session, count: usize, half: usize) -> Self {
        let mut command = session.command("/usr/bin/python3");
        command.args(["-c", HOLDER]).arg(session.profile().join("run/agent.sock"));
        command.args([count.to_string(), half.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Child(command.spawn().expect("python3"));
        let says = BufReader::new(child.0.stdout.take().expect("piped"));
        Self { child, says }
    }

    fn says(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    fn holds(&mut self) {
        assert_eq!(self.says(), "held");
    }

    /// How many of its connections are left.
    fn left(&mut self) -> usize {
        self.child.0.stdin.as_mut().expect("piped").write_all(b"?\n").expect("it reads");
        self.says().parse().expect("a number")
    }
}

/// Descriptors of the agent.
fn descriptors(agent: i32) -> usize {
    std::fs::read_dir(format!("/proc/{agent}/fd")).expect("the agent's descriptors").count()
}

#[test]
fn ten_thousand_idle_connections_and_half_requests_leave_others_served() {
    let (session, _provider) = Session::signed_in(600);
    let agent = session.agent_pid();
    let mut holders: Vec<_> = (0..5).map(|_| Holder::start(&session, 2000, 10)).collect();
    holders.iter_mut().for_each(Holder::holds);
    let there = descriptors(agent);
    assert!(there > 10_000, "{there} descriptors");
    let status = std::fs::read_to_string(format!("/proc/{agent}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
    let kilobytes: usize = memory.trim_end_matches(" kB").parse().unwrap();
    // Some 10 KB each, in a build that is not optimised.
    assert!(kilobytes < 400_000, "the agent takes {memory}");
    let began = Instant::now();
    for _ in 0..20 {
        session.larder(&["token", "work"]).ok();
    }
    let each = began.elapsed() / 20;
    assert!(each < Duration::from_millis(500), "a token took {each:?}");
    // Those that were begun and never ended are given up; their connections go.
    session.wait_for("the end of a thousand half requests", || descriptors(agent) < there - 990);
    assert_eq!(holders.iter_mut().map(Holder::left).sum::<usize>(), 9000);
    drop(holders);
    session.wait_for("the end of all", || descriptors(agent) < 100);
    session.larder(&["token", "work"]).ok();
}

#[test]
fn a_process_that_opens_too_many_loses_its_own_and_nobody_elses() {
    let (session, _provider) = Session::signed_in(600);
    let agent = session.agent_pid();
    let mut modest = Holder::start(&session, 10, 0);
    modest.holds();
    let mut greedy = Holder::start(&session, 10_000, 0);
    greedy.holds();
    let there = descriptors(agent);
    assert!((4000..4300).contains(&there), "{there} descriptors");
    session.larder(&["token", "work"]).ok();
    assert_eq!((greedy.left(), modest.left()), (4096, 10));
}
