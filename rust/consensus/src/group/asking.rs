//! What is asked of a group: commands, members, reads.

use super::{Answer, Group, Token};
use crate::entry::{Entry, EntryKind};
use crate::error::{ConsensusError, Result};
use crate::ids::{Change, ReplicaId};
use crate::limits;
use raft::StateRole;
use raft::eraftpb::{self, ConfChangeSingle, ConfChangeType, ConfChangeV2, MessageType};

impl Group {
    /// A learner that has all that is committed becomes a voter.
    pub(super) fn promote(&mut self) {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader || raft.has_pending_conf() || !raft.commit_to_current_term() {
            return;
        }
        let committed = raft.raft_log.committed;
        let learners = raft.prs().conf().learners();
        let ready = raft.prs().iter().find(|(id, progress)| {
            learners.contains(id) && progress.recent_active && progress.matched >= committed
        });
        let Some(id) = ready.and_then(|(id, _)| ReplicaId::from_number(*id)) else { return };
        let _ = self.step_change(Change::Promote(id));
    }

    /// Has commands agreed on. What is proposed together is one record of the log and one message to each follower.
    pub(super) fn propose_all(&mut self, commands: Vec<(Token, Vec<u8>)>) {
        let (mut tokens, mut entries, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (token, command) in commands {
            if let Err(error) = self.check_command(&command, tokens.len()) {
                self.out.answers.push((token, Answer::Refused(error)));
                continue;
            }
            if bytes + command.len() > limits::APPEND_BYTES_MAX {
                self.step_commands(std::mem::take(&mut tokens), std::mem::take(&mut entries));
                bytes = 0;
            }
            bytes += command.len();
            tokens.push(token);
            entries.push(eraftpb::Entry { data: command.into(), ..eraftpb::Entry::default() });
        }
        self.step_commands(tokens, entries);
    }

    fn check_command(&self, command: &[u8], before: usize) -> Result<()> {
        self.check_leads()?;
        if self.waiting() + before >= limits::WAITING_MAX {
            return Err(ConsensusError::Busy);
        }
        check_command(command)
    }

    fn step_commands(&mut self, tokens: Vec<Token>, entries: Vec<eraftpb::Entry>) {
        if tokens.is_empty() {
            return;
        }
        let mut proposal = eraftpb::Message { from: self.me.number(), ..eraftpb::Message::default() };
        proposal.set_msg_type(MessageType::MsgPropose);
        proposal.set_entries(entries.into());
        let taken = self.raw.step(proposal);
        let raft = &self.raw.raft;
        let (term, last) = (raft.term, raft.raft_log.last_index());
        let first = last + 1 - tokens.len() as u64;
        for (index, token) in (first..).zip(tokens) {
            match taken {
                Ok(()) => self.proposals.push_back((index, term, token)),
                // Too much of what was taken before is not committed yet.
                Err(_) => self.out.answers.push((token, Answer::Refused(ConsensusError::Busy))),
            }
        }
    }

    pub(super) fn change(&mut self, token: Token, change: Change) {
        match self.try_change(change) {
            Ok((index, term)) => self.proposals.push_back((index, term, token)),
            Err(error) => self.out.answers.push((token, Answer::Refused(error))),
        }
    }

    fn try_change(&mut self, change: Change) -> Result<(u64, u64)> {
        self.check_leads()?;
        if self.waiting() >= limits::WAITING_MAX {
            return Err(ConsensusError::Busy);
        }
        self.check_change(change)?;
        self.step_change(change)?;
        let raft = &self.raw.raft;
        Ok((raft.raft_log.last_index(), raft.term))
    }

    fn waiting(&self) -> usize {
        self.proposals.len() + self.reads.len() + self.confirmed.len()
    }

    fn check_leads(&self) -> Result<()> {
        let raft = &self.raw.raft;
        if raft.state == StateRole::Leader {
            return Ok(());
        }
        Err(ConsensusError::NotLeader { leader: ReplicaId::from_number(raft.leader_id), term: raft.term })
    }

    fn check_change(&self, change: Change) -> Result<()> {
        let members = self.members();
        let refused = |why: String| Err(ConsensusError::Invalid(why));
        match change {
            Change::Add(id) if members.all().contains(&id) => {
                refused(format!("{id} belongs to the group already"))
            }
            Change::Add(id)
                if members
                    .all()
                    .iter()
                    .any(|other| other.rank == id.rank && other.generation > id.generation) =>
            {
                refused(format!("{id} is of an older generation than the replica of its rank"))
            }
            Change::Add(_) if members.all().len() >= limits::REPLICAS_MAX => {
                refused(format!("a group has at most {} replicas", limits::REPLICAS_MAX))
            }
            Change::Promote(id) if !members.learners.contains(&id) => {
                refused(format!("{id} is no learner of the group"))
            }
            Change::Remove(id) if !members.all().contains(&id) => {
                refused(format!("{id} does not belong to the group"))
            }
            Change::Remove(id) if members.voters.len() == 1 && members.voters.contains(&id) => {
                refused(format!("{id} is the last voter: the group would be gone"))
            }
            _ => Ok(()),
        }
    }

    fn step_change(&mut self, change: Change) -> Result<()> {
        // While one is under way the library would take another and forget what it says.
        if self.raw.raft.has_pending_conf() {
            return Err(ConsensusError::Busy);
        }
        let context =
            Entry { index: 0, term: 0, kind: EntryKind::Members(change) }.to_raft().context.to_vec();
        self.raw.propose_conf_change(context, to_raft(change)).map_err(|_| ConsensusError::Busy)
    }

    pub(super) fn read(&mut self, token: Token) {
        if let Err(error) = self.check_leads() {
            self.out.answers.push((token, Answer::Refused(error)));
        } else if self.waiting() >= limits::WAITING_MAX {
            self.out.answers.push((token, Answer::Refused(ConsensusError::Busy)));
        } else {
            self.reads.insert(token);
            self.reads_new.push_back(token);
        }
    }

    pub(super) fn ask_reads(&mut self) {
        // Before its first entry is committed, a leader does not know what its predecessors committed.
        while self.raw.raft.commit_to_current_term()
            && let Some(token) = self.reads_new.pop_front()
        {
            self.raw.read_index(token.0.to_le_bytes().to_vec());
        }
    }

    /// Proposals may still be committed by the next leader; a read was confirmed by nobody.
    pub(super) fn lose(&mut self, why: &str) {
        if self.proposals.is_empty() && self.reads.is_empty() && self.confirmed.is_empty() {
            return;
        }
        for (_, _, token) in std::mem::take(&mut self.proposals) {
            self.out.answers.push((token, Answer::Refused(ConsensusError::Uncertain(why.to_owned()))));
        }
        let raft = &self.raw.raft;
        let refused =
            ConsensusError::NotLeader { leader: ReplicaId::from_number(raft.leader_id), term: raft.term };
        self.reads_new.clear();
        let confirmed = std::mem::take(&mut self.confirmed).into_iter().map(|(_, token)| token);
        for token in std::mem::take(&mut self.reads).into_iter().chain(confirmed) {
            self.out.answers.push((token, Answer::Refused(refused.clone())));
        }
    }
}

fn check_command(command: &[u8]) -> Result<()> {
    if (1..=limits::COMMAND_BYTES_MAX).contains(&command.len()) {
        return Ok(());
    }
    let (len, max) = (command.len(), limits::COMMAND_BYTES_MAX);
    Err(ConsensusError::Invalid(format!("a command has 1 to {max} bytes, this one {len}")))
}

pub(super) fn to_raft(change: Change) -> ConfChangeV2 {
    let (kind, id) = match change {
        Change::Add(id) => (ConfChangeType::AddLearnerNode, id),
        Change::Promote(id) => (ConfChangeType::AddNode, id),
        Change::Remove(id) => (ConfChangeType::RemoveNode, id),
    };
    let mut single = ConfChangeSingle::default();
    single.set_change_type(kind);
    single.node_id = id.number();
    let mut all = ConfChangeV2::default();
    all.set_changes(vec![single].into());
    all
}
