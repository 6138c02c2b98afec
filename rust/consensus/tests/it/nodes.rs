//! Real nodes: threads, storage, and a network in memory or of sockets.

use crate::world::id;
use daos_consensus::{
    Answer, Change, ConsensusError, GroupId, Members, Message, NetPeers, Node, Output, Peers, Receiver,
    Replica, ReplicaId, Saved, Seed, Told, Vault,
};
use daos_net::frame::{Hello, SessionId};
use daos_net::mem::{Faults, Mem};
use daos_net::serving::Identity;
use daos_net::tcp::Tcp;
use daos_net::{Limits, Listening, Transport};
use daos_types::Rank;
use daos_vos::media::MemoryMedia;
use daos_vos::media::faulty::{Call, Fault, Faulty};
use std::sync::Arc;
use std::time::{Duration, Instant};

const GROUP: GroupId = GroupId([5; 16]);
const IDENTITY: [u8; 16] = [6; 16];
const SECOND: Duration = Duration::from_secs(1);

/// One process: its node, its server, and the application, which keeps a list of commands.
struct Process {
    replica: Replica,
    node: Node,
    peers: Arc<NetPeers>,
    server: Box<dyn Listening>,
    state: Vec<Vec<u8>>,
    applied: u64,
    told: Vec<Told>,
}

fn start(
    transport: &Arc<dyn Transport>,
    address: &str,
    me: ReplicaId,
    media: &MemoryMedia,
    first: Option<&Saved>,
) -> Process {
    let shared = Arc::new(media.clone());
    let vault = if first.is_some() { Vault::create(shared, IDENTITY) } else { Vault::open(shared, IDENTITY) }
        .unwrap();
    let hello = Hello {
        versions: (1, 1),
        rank: None,
        incarnation: 0,
        session: SessionId([me.rank.0 as u8; 16]),
        frame_bytes: 64 << 20,
        requests: 64,
        idle_ms: 60_000,
        system: "test".to_owned(),
    };
    let peers = Arc::new(NetPeers::new(Arc::clone(transport), Limits::default(), hello));
    let node = Node::start(vault, Arc::clone(&peers) as _, Seed(7)).unwrap();
    let identity = Identity { system: "test".to_owned(), rank: me.rank, incarnation: 1 };
    let service = Box::new(Receiver(node.mailbox()));
    let server = transport.listen(address, identity, Limits::default(), service).unwrap();
    let replica = match first {
        Some(first) => node.create(GROUP, first, || {}),
        None => node.open(GROUP, || {}),
    }
    .unwrap();
    Process { replica, node, peers, server, state: Vec::new(), applied: 0, told: Vec::new() }
}

impl Process {
    fn take(&mut self) {
        for told in self.replica.take() {
            match &told {
                Told::Output(Output::Install(snapshot)) => {
                    self.applied = snapshot.index;
                    self.state = snapshot
                        .data
                        .split(|byte| *byte == b';')
                        .filter(|it| !it.is_empty())
                        .map(<[u8]>::to_vec)
                        .collect();
                }
                Told::Output(Output::Command { index, data, .. }) => {
                    assert!(*index > self.applied);
                    self.applied = *index;
                    self.state.push(data.clone());
                }
                Told::Output(Output::Members { index, .. }) => self.applied = *index,
                Told::Output(Output::SnapshotWanted { .. }) => {
                    self.replica.snapshot(self.applied, self.state.join(&b';')).unwrap();
                }
                _ => {}
            }
            self.told.push(told);
        }
    }

    /// The answer to the request that came last.
    fn wait(&mut self, token: daos_consensus::Token) -> Answer {
        let until = Instant::now() + 20 * SECOND;
        loop {
            self.take();
            for told in &self.told {
                if let Told::Answer(of, answer) = told
                    && *of == token
                {
                    return answer.clone();
                }
            }
            assert!(Instant::now() < until, "a request without an answer");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + 30 * SECOND;
    while !done() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn leader(all: &mut [Process]) -> usize {
    let mut found = 0;
    until("a leader", || {
        all.iter_mut().for_each(Process::take);
        let at = all.iter().position(|process| process.replica.status().role.leads);
        found = at.unwrap_or(0);
        at.is_some()
    });
    found
}

fn commit(all: &mut [Process], command: &[u8]) {
    let end = Instant::now() + 30 * SECOND;
    loop {
        let at = leader(all);
        let token = all[at].replica.propose(command, 2 * SECOND).unwrap();
        match all[at].wait(token) {
            Answer::Committed { .. } => return,
            Answer::Refused(ConsensusError::NotLeader { .. } | ConsensusError::Busy) => {}
            other => panic!("{other:?}"),
        }
        assert!(Instant::now() < end);
    }
}

fn meet(all: &[Process]) {
    for one in all {
        for other in all {
            one.peers.set(Rank(other.replica.status().me.rank.0), &other.server.address()).unwrap();
        }
    }
}

fn quick(saved: Saved) -> Saved {
    Saved { tick_ms: 20, ..saved }
}

fn agree_and_come_back(transport: &Arc<dyn Transport>, address: impl Fn(u32) -> String) {
    let members = Members::of((0..3).map(|rank| id(rank, 1)));
    let media: Vec<MemoryMedia> = (0..4).map(|_| MemoryMedia::new()).collect();
    let mut all: Vec<Process> = (0..3)
        .map(|rank| {
            let first = quick(Saved::first(id(rank, 1), members.clone(), b"first".to_vec()));
            start(transport, &address(rank), id(rank, 1), &media[rank as usize], Some(&first))
        })
        .collect();
    meet(&all);
    commit(&mut all, b"one");
    // Who does not lead says who does.
    let at = leader(&mut all);
    let other = (at + 1) % 3;
    let token = all[other].replica.propose(b"lost", SECOND).unwrap();
    let Answer::Refused(ConsensusError::NotLeader { leader: told, .. }) = all[other].wait(token) else {
        panic!()
    };
    assert_eq!(told, Some(id(at as u32, 1)));
    // A read of the leader's sees what was acknowledged.
    let token = all[at].replica.read(5 * SECOND).unwrap();
    let Answer::Read { index } = all[at].wait(token) else { panic!() };
    assert!(all[at].applied >= index - 1 && all[at].state == [b"first".to_vec(), b"one".to_vec()]);

    // The leader dies, without closing anything; the others go on; it comes back with what it had.
    let dead = all.remove(at);
    drop(dead);
    commit(&mut all, b"two");
    let rank = at as u32;
    all.push(start(transport, &address(rank), id(rank, 1), &media[at], None));
    meet(&all);
    commit(&mut all, b"three");
    let whole = ["first", "one", "two", "three"].map(|word| word.as_bytes().to_vec());
    until("all agree", || {
        all.iter_mut().for_each(Process::take);
        all.iter().all(|process| process.state == whole)
    });

    // One more joins, gets a snapshot, and becomes a voter.
    all.push(start(transport, &address(3), id(3, 1), &media[3], Some(&quick(Saved::joining(id(3, 1))))));
    meet(&all);
    let at = leader(&mut all);
    let token = all[at].replica.change(Change::Add(id(3, 1)), 5 * SECOND).unwrap();
    assert!(matches!(all[at].wait(token), Answer::Committed { .. }));
    until("the new one votes", || {
        all.iter_mut().for_each(Process::take);
        all[3].state == whole && all[3].replica.status().members.voters.contains(&id(3, 1))
    });
    for process in &all {
        process.node.close().unwrap();
    }
    all.iter_mut().for_each(Process::take);
    assert!(all.iter().all(|process| matches!(process.told.last(), Some(Told::Output(Output::Stopped(_))))));
    assert!(matches!(all[0].replica.propose(b"late", SECOND), Err(ConsensusError::Stopped(_))));
}

#[test]
fn nodes_agree_over_memory() {
    let faults = Faults { delay_us: (5, 500), ..Faults::default() };
    let mem: Arc<dyn Transport> = Arc::new(Mem::new(1, faults).for_threads());
    agree_and_come_back(&mem, |rank| format!("rank{rank}"));
}

#[test]
fn nodes_agree_over_sockets() {
    agree_and_come_back(&(Arc::new(Tcp::default()) as Arc<dyn Transport>), |_| "127.0.0.1:0".to_owned());
}

#[test]
fn without_a_majority_a_request_ends_uncertain_in_its_time() {
    let members = Members::of([id(0, 1), id(1, 1)]);
    let tcp: Arc<dyn Transport> = Arc::new(Tcp::default());
    let media = [MemoryMedia::new(), MemoryMedia::new()];
    let mut all: Vec<Process> = (0..2)
        .map(|rank| {
            let first = quick(Saved::first(id(rank, 1), members.clone(), Vec::new()));
            start(&tcp, "127.0.0.1:0", id(rank, 1), &media[rank as usize], Some(&first))
        })
        .collect();
    meet(&all);
    commit(&mut all, b"one");
    let at = leader(&mut all);
    drop(all.remove(1 - at));
    let asked = Instant::now();
    let token = all[0].replica.propose(b"two", Duration::from_millis(100)).unwrap();
    let answer = all[0].wait(token);
    assert!(matches!(answer, Answer::Refused(ConsensusError::Uncertain(_))), "{answer:?}");
    assert!(asked.elapsed() < 5 * SECOND);
}

/// Sends to nobody.
#[derive(Debug)]
struct Alone;

impl Peers for Alone {
    fn send(&self, _: GroupId, _: Message) {}
}

#[test]
fn what_could_not_be_stored_is_not_acknowledged() {
    let memory = MemoryMedia::new();
    let faulty = Arc::new(Faulty::new(Arc::new(memory.clone())));
    let vault = Vault::create(Arc::clone(&faulty) as _, IDENTITY).unwrap();
    let node = Node::start(vault, Arc::new(Alone), Seed(1)).unwrap();
    let first = quick(Saved::first(id(0, 1), Members::of([id(0, 1)]), Vec::new()));
    let replica = node.create(GROUP, &first, || {}).unwrap();
    until("it leads", || replica.status().role.leads);
    replica.take();
    faulty.set(&[Fault::Fail { call: Call::Write, nth: 0, always: true }]);
    let token = replica.propose(b"lost", 5 * SECOND).unwrap();
    let mut told = Vec::new();
    until("an answer", || {
        told.extend(replica.take());
        told.iter().any(|told| matches!(told, Told::Answer(of, _) if *of == token))
    });
    let uncertain = |answer: &Answer| matches!(answer, Answer::Refused(ConsensusError::Uncertain(_)));
    assert!(told.iter().all(|told| !matches!(told, Told::Output(Output::Command { .. }))), "{told:?}");
    assert!(
        told.iter().any(|told| matches!(told, Told::Answer(of, answer) if *of == token && uncertain(answer))),
        "{told:?}"
    );
    assert!(told.iter().any(|told| matches!(told, Told::Output(Output::Stopped(_)))));
    assert!(matches!(replica.propose(b"more", SECOND), Err(ConsensusError::Stopped(_))));
    drop((replica, node));

    let vault = Vault::open(Arc::new(memory), IDENTITY).unwrap();
    let node = Node::start(vault, Arc::new(Alone), Seed(2)).unwrap();
    let replica = node.open(GROUP, || {}).unwrap();
    until("it leads again", || replica.status().role.leads);
    assert!(matches!(node.open(GROUP, || {}), Err(ConsensusError::Exists)));
    drop(replica);
    until("it can be opened again", || node.open(GROUP, || {}).is_ok());
}
