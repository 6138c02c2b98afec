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
