//! Fuzzers of what other processes send.

use crate::Message;
use crate::entry::{Entry, EntryKind, Snapshot};
use crate::ids::{Change, Members, ReplicaId};
use daos_fuzz::{Meter, fuzz, unsealed};
use daos_types::Rank;
use raft::eraftpb::{self, MessageType};

#[global_allocator]
static METER: Meter = Meter;

fn id(rank: u32) -> ReplicaId {
    ReplicaId { generation: 1, rank: Rank(rank) }
}

fn plain(kind: MessageType) -> eraftpb::Message {
    let mut message = eraftpb::Message::default();
    message.set_msg_type(kind);
    (message.from, message.to, message.term) = (id(1).number(), id(2).number(), 3);
    message
}

fn corpus() -> Vec<Vec<u8>> {
    let mut append = plain(MessageType::MsgAppend);
    (append.index, append.log_term, append.commit) = (6, 2, 5);
    let kinds =
        [EntryKind::Empty, EntryKind::Command(b"command".to_vec()), EntryKind::Members(Change::Add(id(5)))];
    let entries = kinds.into_iter().zip(7..).map(|(kind, index)| Entry { index, term: 3, kind }.to_raft());
    append.set_entries(entries.collect::<Vec<_>>().into());
    let mut snapshot = plain(MessageType::MsgSnapshot);
    let members = Members { voters: [id(1), id(2)].into(), learners: [id(3)].into() };
    snapshot.set_snapshot(Snapshot::first(members, b"state".to_vec()).to_raft());
    let mut beat = plain(MessageType::MsgHeartbeat);
    beat.context = b"12345678".to_vec().into();
    let mut vote = plain(MessageType::MsgRequestVoteResponse);
    vote.reject = true;
    [append, snapshot, beat, vote]
        .into_iter()
        .filter_map(Message::of)
        .map(|message| message.encode())
        .collect()
}

#[test]
fn messages() {
    assert_eq!(corpus().len(), 4);
    fuzz("consensus message", &corpus(), &unsealed, |bytes| {
        let Some(message) = Message::decode(bytes) else { return false };
        assert_eq!(message.encode(), bytes);
        true
    });
}

#[test]
fn requests_with_several_messages() {
    let one = |message: &Vec<u8>| {
        let mut body = vec![7; 16];
        crate::bytes::put_counted(&mut body, message);
        body
    };
    let all: Vec<u8> = corpus().iter().flat_map(one).collect();
    fuzz("consensus request", &[one(&corpus()[0]), all], &unsealed, |bytes| {
        let Some(messages) = crate::network::decode(bytes) else { return false };
        let mut again = Vec::new();
        for (group, message) in messages {
            again.extend_from_slice(&group.0);
            crate::bytes::put_counted(&mut again, &message.encode());
        }
        assert_eq!(again, bytes);
        true
    });
}

#[test]
fn heads_of_stored_replicas() {
    let saved = crate::Saved::first(id(1), Members::of([id(1), id(2)]), Vec::new());
    let head = crate::record::Head {
        me: saved.me,
        tick_ms: 100,
        hard: saved.hard,
        start: saved.start,
        last: 9,
        snapshot: (1, 1),
        members: saved.snapshot.members,
        pieces: 1,
        snapshot_bytes: 5,
    };
    fuzz("consensus head", &[head.encode()], &unsealed, |bytes| {
        let Some(head) = crate::record::Head::decode(bytes) else { return false };
        assert_eq!(head.encode(), bytes);
        true
    });
}
