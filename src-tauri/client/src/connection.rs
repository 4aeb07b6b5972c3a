//! The one place that knows what a connection is: a Unix socket. On Windows, an owner-only named pipe will stand here.

#[cfg(unix)]
mod system {
    use std::io;
    use std::os::unix::net::UnixStream;
    use std::path::Path;

    /// A stream of bytes to and from the agent.
    pub(crate) type Connection = UnixStream;

    /// The system's own user: systemd listens as this one.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const ROOT: u32 = 0;

    /// Connects to the agent that listens at `path`. To nobody else's: passphrases and secrets go there.
    pub(crate) fn open(path: &Path) -> io::Result<Connection> {
        let connection = UnixStream::connect(path)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let listens = rustix::net::sockopt::socket_peercred(&connection)?.uid.as_raw();
            if listens != rustix::process::getuid().as_raw() && listens != ROOT {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else listens there"));
            }
        }
        Ok(connection)
    }
}

#[cfg(not(unix))]
mod system {
    use std::io::{self, Read, Write};
    use std::path::Path;
    use std::time::Duration;

    /// There is none yet.
    #[derive(Debug)]
    pub(crate) enum Connection {}

    /// Always fails: see the module.
    pub(crate) fn open(_path: &Path) -> io::Result<Connection> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "named pipes are not supported yet on this system"))
    }

    impl Connection {
        pub(crate) fn set_read_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn set_write_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
            match *self {}
        }
    }

    impl Read for Connection {
        fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
            match *self {}
        }
    }

    impl Write for Connection {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            match *self {}
        }

        fn flush(&mut self) -> io::Result<()> {
            match *self {}
        }
    }
}

pub(crate) use system::{Connection, open};
