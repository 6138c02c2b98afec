//! The side doors of a mount: programs that have files of it open ask there for their bytes, through memory that they share with this
//! process. Nobody is let in but processes of this user. `docs/internals/interception.md`.

use crate::caching::Caching;
use crate::filesystem::Refusal;
use crate::forest::Forest;
use daos_door::{INLINE_MAX, Info, LATER, Op, SYSTEM, Status};
use daos_net::frame::Refusal as Unanswered;
use daos_net::serving::Identity;
use daos_net::shm::Shm;
use daos_net::{Answer, Bulk, Incoming, Limits, Listening, Moment, Replies, Service, Transport};
use daos_types::{Der, Rank};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// Doors of a mount, each with a thread: what waits at one holds up nobody at the others.
const DOORS: u32 = 4;
/// Programs at one door; more keep to the kernel.
const CONNECTIONS_MAX: usize = 256;

/// Who answers at a door.
struct Porter<F> {
    forest: Arc<F>,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Opens the doors of a mount, to the file system at its mount point, of which the kernel may keep so much; they are closed when what
/// is returned is dropped.
pub(crate) fn open<F>(
    forest: &Arc<F>,
    caching: &Caching,
    tell: &Arc<dyn Fn(&str) + Send + Sync>,
) -> io::Result<(Info, Vec<Box<dyn Listening>>)>
where
    F: AsRef<Forest> + Send + Sync + 'static,
{
    let mut token = [0; Info::TOKEN];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut token)?;
    // What the kernel keeps of names and attributes would not follow what is changed at a door.
    let kept = [caching.attr, caching.dentry, caching.dentry_dir, caching.ndentry];
    let write_back = caching.write_back;
    let names = !write_back && kept.iter().all(Duration::is_zero);
    let info = Info { write_back, names, doors: DOORS, token };
    let limits = Limits {
        frame_bytes: (2 * daos_door::LEN_MAX) as u32,
        window_requests: 64,
        window_bytes: 8 << 20,
        bytes_max: 256 << 20,
        connections_max: CONNECTIONS_MAX,
        ..Limits::default()
    };
    let mut doors = Vec::new();
    for door in 0..DOORS {
        let me = Identity { system: SYSTEM.to_owned(), rank: Rank(door), incarnation: 1 };
        let porter = Porter { forest: Arc::clone(forest), tell: Arc::clone(tell) };
        let listening = Shm::default().listen(&info.address(door), me, limits, Box::new(porter));
        doors.push(listening.map_err(|error| io::Error::other(error.message))?);
    }
    Ok((info, doors))
}

/// What is long goes beside an answer, behind its status.
fn beside_what_is_long(mut body: Vec<u8>) -> (Vec<u8>, Option<Vec<u8>>) {
    if body.len() <= Status::LEN + INLINE_MAX {
        return (body, None);
    }
    let beside = body.split_off(Status::LEN);
    (body, Some(beside))
}

impl<F: AsRef<Forest> + Send + Sync> Service for Porter<F> {
    fn request(&mut self, _: Moment, request: Incoming, replies: &Replies) {
        let Incoming { ticket, opcode, handle, body, mut payloads, .. } = request;
        let Some(op) = Op::of(opcode) else {
            let unknown = Unanswered::before(Der::BadTarget, "a door answers no such request");
            return replies.send(ticket, Answer::Refused(unknown));
        };
        let beside = payloads.pop().map(|bulk| bulk.bytes);
        let first = (*self.forest).as_ref().first();
        let asked = first.map(|files| {
            if op.is_of_names() {
                files.names_at_door(op, &body).map(beside_what_is_long)
            } else {
                files.at_door(op, handle, &body, beside.as_deref())
            }
        });
        let (body, beside) = match asked.unwrap_or(Err(Refusal::Later)) {
            Ok((body, beside)) => (body, beside),
            Err(refusal) => {
                if let Some(trouble) = refusal.trouble() {
                    (self.tell)(&trouble);
                }
                let status = match refusal {
                    Refusal::Later => LATER,
                    other => other.number().unsigned_abs(),
                };
                (Status(status).and(&[]), None)
            }
        };
        let payloads = beside.map(Bulk::new).into_iter().collect();
        replies.send(ticket, Answer::Reply { map_version: 0, body, payloads, body_has_sums: false });
    }
}
