//! The system's journal, for what is to be noted where Larder cannot change it: one datagram, in the format that systemd
//! documents as its Journal Native Protocol.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// "informational", as syslog numbers it.
const PRIORITY: &str = "6";

/// Writes an entry. A machine without a journal has no such socket.
///
/// # Errors
/// As the system says.
pub fn write(socket: &Path, fields: &[(&str, &str)]) -> io::Result<()> {
    let mut entry = Vec::new();
    for (name, value) in [("PRIORITY", PRIORITY), ("SYSLOG_IDENTIFIER", "larder-agent")].iter().chain(fields) {
        // With its length, a value may hold anything.
        entry.extend_from_slice(name.as_bytes());
        entry.push(b'\n');
        entry.extend_from_slice(&u64::try_from(value.len()).unwrap_or_default().to_le_bytes());
        entry.extend_from_slice(value.as_bytes());
        entry.push(b'\n');
    }
    let datagram = UnixDatagram::unbound()?;
    // A journal that does not read keeps nobody.
    datagram.set_nonblocking(true)?;
    datagram.send_to(&entry, socket).map(drop)
}
