//! Whether transactions came out as if they had run one after the other: then they give the same answers when they do.

use crate::workload::{By, Op, World, is_change};

/// A transaction that committed: what it did, and what it was answered.
pub type Done = Vec<(Op, String)>;

/// The committed transactions in the order in which they count.
#[derive(Debug, Default)]
pub struct History {
    /// How many changes had committed before each.
    done: Vec<(usize, Done)>,
    changes: usize,
}

impl History {
    /// How many transactions have changed something so far.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// Takes note of one that committed now, and had read what was there after so many changes.
    pub fn committed(&mut self, read_after: usize, done: Done) {
        if done.iter().any(|(op, answer)| is_change(op) && answer == "done") {
            self.done.push((self.changes, done));
            self.changes += 1;
        } else {
            // One that changes nothing counts where it read.
            self.done.push((read_after, done));
        }
    }

    /// Runs them all one after the other on an empty container; the first answer that differs.
    pub fn check(mut self) -> Result<(), String> {
        // Those that only read at a place come before the change there.
        self.done.sort_by_key(|(at, done)| {
            (*at, done.iter().any(|(op, answer)| is_change(op) && answer == "done"))
        });
        let world = World::new();
        for (at, done) in &self.done {
            for (op, answer) in done {
                let serially = world.run(op, &mut By::Itself);
                if serially != *answer {
                    return Err(format!(
                        "{op:?} after {at} changes: {answer}, but {serially} one after the other"
                    ));
                }
            }
        }
        Ok(())
    }
}
