//! What a single replica must do, by the word.

use super::*;
use crate::ids::Members;
use daos_types::Rank;
use raft::eraftpb;

fn id(rank: u32) -> ReplicaId {
    ReplicaId { generation: 1, rank: Rank(rank) }
}

fn asks_for_vote(from: u32, term: u64) -> Event {
    let mut raft = eraftpb::Message::default();
    raft.set_msg_type(MessageType::MsgRequestVote);
    (raft.from, raft.to, raft.term) = (id(from).number(), id(0).number(), term);
    (raft.index, raft.log_term) = (9, 1);
    Event::Message(Message::of(raft).unwrap())
}

/// What it answers to a request for a vote, once its writes are durable; these are added to what is stored.
fn vote(group: &mut Group, saved: &mut Saved, from: u32, term: u64) -> Vec<bool> {
    let effects = group.on(Moment(1), asks_for_vote(from, term));
    assert!(effects.sends.iter().all(|message| !message.is_vote()), "a vote is told before it is stored");
    let mut last = 0;
    for write in effects.writes {
        assert!(write.entries.is_empty() && write.snapshot.is_none());
        saved.hard = write.hard;
        last = write.number;
    }
    let sends = group.on(Moment(1), Event::Durable(last)).sends;
    let votes = effects.sends.iter().chain(&sends).filter(|message| message.is_vote());
    votes.map(|message| !message.raft.reject).collect()
}

#[test]
fn a_vote_is_given_once_a_term_and_kept_over_a_crash() {
    let mut saved = Saved::first(id(0), Members::of([id(0), id(1), id(2)]), Vec::new());
    let mut group = Group::new(Moment(1), Seed(1), &saved).unwrap();
    assert_eq!(vote(&mut group, &mut saved, 1, 5), [true]);
    let mut again = Group::new(Moment(1), Seed(2), &saved).unwrap();
    assert_eq!(again.raw.raft.vote, id(1).number());
    let refused = again.on(Moment(1), asks_for_vote(2, 5));
    assert!(refused.writes.iter().all(|write| write.hard.vote == id(1).number()));
    assert!(refused.sends.iter().all(|message| message.raft.reject));
    assert_eq!(vote(&mut again, &mut saved, 2, 6), [true]);
}

#[test]
fn what_contradicts_its_state_stops_it_and_nothing_else() {
    let saved = Saved::first(id(0), Members::of([id(0), id(1)]), Vec::new());
    let mut group = Group::new(Moment(1), Seed(1), &saved).unwrap();
    let mut raft = eraftpb::Message::default();
    raft.set_msg_type(MessageType::MsgHeartbeat);
    (raft.from, raft.to, raft.term, raft.commit) = (id(1).number(), id(0).number(), 3, 7);
    let effects = group.on(Moment(1), Event::Message(Message::of(raft).unwrap()));
    assert!(matches!(&effects.outputs[..], [Output::Stopped(why)] if why.contains("entry 7")), "{effects:?}");
    assert!(effects.writes.is_empty() && effects.sends.is_empty());
    assert_eq!(group.next_time(), Moment::MAX);
    let effects = group.on(Moment(2), Event::Propose { token: Token(4), command: vec![1] });
    let refused = |answer: &Answer| matches!(answer, Answer::Refused(ConsensusError::Stopped(_)));
    assert!(matches!(&effects.answers[..], [(Token(4), answer)] if refused(answer)));
}

#[test]
fn what_no_replica_can_have_stored_is_refused() {
    let sound = Saved::first(id(0), Members::of([id(0)]), Vec::new());
    let broken = [
        Saved { hard: Hard { commit: 9, ..sound.hard }, ..sound.clone() },
        Saved { hard: Hard { commit: 0, ..sound.hard }, ..sound.clone() },
        Saved { start: (2, 1), ..sound.clone() },
        Saved { start: (1, 2), ..sound.clone() },
        Saved { entries: vec![Entry { index: 3, term: 1, kind: EntryKind::Empty }], ..sound.clone() },
        Saved { entries: vec![Entry { index: 2, term: 2, kind: EntryKind::Empty }], ..sound.clone() },
        Saved {
            snapshot: Snapshot { members: Members::default(), ..sound.snapshot.clone() },
            ..sound.clone()
        },
        Saved { tick_ms: 0, ..sound.clone() },
    ];
    assert!(Group::new(Moment(1), Seed(1), &sound).is_ok());
    for saved in broken {
        let error = Group::new(Moment(1), Seed(1), &saved).unwrap_err();
        assert!(matches!(error, ConsensusError::Damaged(_)), "{saved:?}");
    }
}

#[test]
fn how_far_the_log_is_committed_needs_no_sync_of_its_own() {
    let mut saved = Saved::first(id(0), Members::of([id(0)]), Vec::new());
    let mut group = Group::new(Moment(0), Seed(1), &saved).unwrap();
    let (mut now, mut synced, mut lazy, mut proposed) = (0, 0, 0, 0);
    let mut answers = Vec::new();
    // Alone it leads at once; then one command after the other.
    while answers.len() < 20 && now < 10_000_000 {
        let event = if group.role().leads && proposed == answers.len() {
            proposed += 1;
            Event::Propose { token: Token(proposed as u64), command: vec![7] }
        } else {
            now += 100_000;
            Event::Time
        };
        let mut effects = group.on(Moment(now), event);
        while !effects.writes.is_empty() {
            answers.append(&mut effects.answers);
            let awaited = effects.writes.iter().filter(|write| !write.lazy).map(|write| write.number).max();
            for write in effects.writes.drain(..) {
                assert!(!write.lazy || write.entries.is_empty() && write.hard.term == saved.hard.term);
                (synced, lazy) = (synced + usize::from(!write.lazy), lazy + usize::from(write.lazy));
                saved.hard = write.hard;
                saved.entries.extend(write.entries);
            }
            effects = match awaited {
                Some(number) => group.on(Moment(now), Event::Durable(number)),
                None => break,
            };
        }
        answers.append(&mut effects.answers);
    }
    assert_eq!(answers.len(), 20, "{answers:?}");
    assert!(synced <= 20 + 3 && lazy >= 20, "{synced} synced, {lazy} not");
    // A power cut takes back what was not synced: what was committed comes again.
    saved.hard.commit = saved.start.0;
    let again = Group::new(Moment(now), Seed(2), &saved).unwrap();
    assert!(again.log_range().1 >= 21);
}

#[test]
fn what_is_proposed_together_is_one_write_and_each_command_has_its_answer() {
    let saved = Saved::first(id(0), Members::of([id(0)]), Vec::new());
    let mut group = Group::new(Moment(0), Seed(1), &saved).unwrap();
    let mut now = 0;
    while !group.role().leads {
        now += 100_000;
        let last = group.on(Moment(now), Event::Time).writes.iter().map(|write| write.number).max();
        if let Some(last) = last {
            group.on(Moment(now), Event::Durable(last));
        }
    }
    let too_long = vec![0; limits::COMMAND_BYTES_MAX + 1];
    let commands = [vec![1], vec![2], Vec::new(), vec![3], too_long, vec![4]];
    let events: Vec<Event> =
        (0..).zip(commands).map(|(token, command)| Event::Propose { token: Token(token), command }).collect();
    let mut effects = group.on_all(Moment(now), events);
    let written: Vec<usize> = effects.writes.iter().map(|write| write.entries.len()).collect();
    assert_eq!(written, [4], "{effects:?}");
    let refused = |answer: &Answer| matches!(answer, Answer::Refused(ConsensusError::Invalid(_)));
    let tokens = |effects: &Effects| effects.answers.iter().map(|(token, _)| token.0).collect::<Vec<_>>();
    assert!(tokens(&effects) == [2, 4] && effects.answers.iter().all(|(_, answer)| refused(answer)));
    effects = group.on(Moment(now), Event::Durable(effects.writes[0].number));
    assert_eq!(tokens(&effects), [0, 1, 3, 5]);
    let given: Vec<_> = effects
        .outputs
        .iter()
        .map(|output| match output {
            Output::Command { data, .. } => data.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(given, [[1], [2], [3], [4]]);
}
