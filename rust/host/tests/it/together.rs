//! Requests of one call to several targets: all are on their way before the reply to the first is waited for.

use crate::{Beside, serve};
use daos_client::{ContainerObjects as _, ContainerService, NewContainer};
use daos_net::serving::Identity;
use daos_net::tcp::Tcp;
use daos_net::{Incoming, Limits, Link, Listening, Moment, Replies, Service, Ticket, Transport};
use daos_types::{Checksums, Cond, ObjectId, ObjectType};
use daos_wire::Opcode;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const TARGETS: u32 = 3;
/// Longer than any machine takes to bring requests that are on their way.
const PATIENCE: Duration = Duration::from_secs(4);

/// Where targets meet: none answers before a request of the same kind has come to each.
#[derive(Debug, Default)]
struct Meeting {
    came: Mutex<BTreeMap<u16, u32>>,
    more: Condvar,
    missed: Mutex<Vec<u16>>,
}

impl Meeting {
    fn come(&self, opcode: u16) {
        let mut came = self.came.lock().unwrap();
        *came.entry(opcode).or_default() += 1;
        self.more.notify_all();
        let alone = |came: &mut BTreeMap<u16, u32>| came.get(&opcode).is_none_or(|count| *count < TARGETS);
        let (came, result) = self.more.wait_timeout_while(came, PATIENCE, alone).unwrap();
        drop(came);
        if result.timed_out() {
            self.missed.lock().unwrap().push(opcode);
        }
    }
}

/// TCP, where requests of many keys are answered once all targets have theirs.
#[derive(Debug)]
struct Meeters(Tcp, Arc<Meeting>);

struct Meeter(Box<dyn Service>, Arc<Meeting>);

impl Transport for Meeters {
    fn connect(&self, address: &str, timeout: Duration) -> daos_net::Result<Box<dyn Link>> {
        self.0.connect(address, timeout)
    }

    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> daos_net::Result<Box<dyn Listening>> {
        self.0.listen(address, me, limits, Box::new(Meeter(service, Arc::clone(&self.1))))
    }

    fn now(&self) -> Moment {
        self.0.now()
    }
}

impl Service for Meeter {
    fn request(&mut self, now: Moment, request: Incoming, replies: &Replies) {
        if [Opcode::PutPairs as u16, Opcode::GetValues as u16].contains(&request.opcode) {
            self.1.come(request.opcode);
        }
        self.0.request(now, request, replies);
    }

    fn cancel(&mut self, ticket: Ticket, replies: &Replies) {
        self.0.cancel(ticket, replies);
    }

    fn rest(&mut self, now: Moment, replies: &Replies) {
        self.0.rest(now, replies);
    }
}

#[test]
fn each_target_has_its_part_of_a_call_before_another_answers() {
    let meeting = Arc::new(Meeting::default());
    let transport: Arc<dyn Transport> = Arc::new(Meeters(Tcp::default(), Arc::clone(&meeting)));
    let served = serve(&transport, "127.0.0.1:0", TARGETS, Beside::Apart);
    let pool = Arc::clone(&served.system).pool_create("tank", b"\x80").unwrap();
    let checksums = Checksums { kind: None, piece_size: 0, server_verifies: false };
    let new = NewContainer { label: "c", props: b"\x80", checksums, scrub_disabled: false };
    let container: Arc<dyn ContainerService> = pool.container_create(&new).unwrap();
    let kv = container.kv(ObjectId::generate(ObjectType::KvHashed, 1, TARGETS as u16, 0, 1)).unwrap();
    let keys: Vec<Vec<u8>> = (0..64_u32).map(|number| format!("key {number}").into_bytes()).collect();
    let pairs: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (&key[..], &b"value"[..])).collect();
    kv.put_all(&pairs, Cond::NONE).unwrap();
    let slices: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let values = kv.get_all(&slices).unwrap();
    assert!(values.iter().all(|value| value == Some(b"value")));
    let came = meeting.came.lock().unwrap().clone();
    let all = [(Opcode::PutPairs as u16, TARGETS), (Opcode::GetValues as u16, TARGETS)];
    assert_eq!(came, BTreeMap::from(all), "a message for each target");
    assert_eq!(*meeting.missed.lock().unwrap(), Vec::<u16>::new(), "what was not on its way meanwhile");
}
