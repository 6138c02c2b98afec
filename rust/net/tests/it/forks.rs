//! A child that was forked leaves its parent's connections alone, whatever it does with its copies of them.
#![allow(unsafe_code)]

use crate::{ECHO, SECOND, echo, hello, me, providers, small};
use daos_net::{Call, Channel, Reply};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Runs it in a child that is forked, which then ends.
fn in_a_child(mut what: impl FnMut() + Send + Sync + 'static) {
    let mut command = Command::new("/nonexistent");
    let run = move || {
        what();
        Err(io::Error::from_raw_os_error(77))
    };
    // SAFETY: it is run between fork and exec, where no thread but its own is there: it takes no lock that another may have held, and
    // the system's allocator works in a child.
    unsafe { command.pre_exec(run) };
    assert_eq!(command.spawn().unwrap_err().raw_os_error(), Some(77), "the child did all of it");
}

#[test]
fn what_a_child_does_with_its_copy_of_a_connection_nobody_sees() {
    for (transport, address) in providers(false) {
        let server = transport.listen(&address, me(), small(), Box::new(echo)).unwrap();
        let open = |link| Channel::open(link, small(), &hello(), 5 * SECOND).unwrap();
        let connect = || transport.connect(&server.address(), SECOND).unwrap();
        let channel = Arc::new(Mutex::new(Some(open(connect()))));
        let ask = || {
            let (channel, mut reply) = (channel.lock().unwrap(), Reply::default());
            channel.as_ref().unwrap().call(&Call::new(ECHO, 5 * SECOND, b"mine"), &mut reply).unwrap();
            assert_eq!(reply.body, b"mine");
        };
        ask();
        let copy = channel.clone();
        in_a_child(move || drop(copy.lock().unwrap().take()));
        ask();
        let link: Arc<dyn daos_net::Link> = connect().into();
        let copy = link.clone();
        in_a_child(move || {
            copy.finish();
            copy.close();
        });
        drop(open(Box::new(Shared(link))));
        ask();
    }
}

/// A link that others have as well.
#[derive(Debug)]
struct Shared(Arc<dyn daos_net::Link>);

impl daos_net::Link for Shared {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }

    fn write(&self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(parts)
    }

    fn flush(&self) -> io::Result<usize> {
        self.0.flush()
    }

    fn wait(&self, readable: bool, writable: bool, until: daos_net::Moment) -> io::Result<()> {
        self.0.wait(readable, writable, until)
    }

    fn now(&self) -> daos_net::Moment {
        self.0.now()
    }

    fn finish(&self) {
        self.0.finish();
    }

    fn close(&self) {
        self.0.close();
    }
}
