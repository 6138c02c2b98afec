//! Who is at the other end of a connection.

use std::fmt;
use std::sync::Arc;

/// What a certificate is for: its common name says it, as in DAOS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A server, and the engines it starts.
    Server,
    /// The agent of a client's host.
    Agent,
    /// An administrator's tool.
    Admin,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Server, Self::Agent, Self::Admin];

    /// As the common name has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }

    /// The role of a common name.
    pub fn of(common_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == common_name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The names in a certificate. They come from the CA that signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What it is for.
    pub role: Role,
    /// Organizations, as they stand there.
    pub organizations: Vec<String>,
    /// Units of them.
    pub units: Vec<String>,
}

/// Who is at the other end, as far as the connection proves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Peer {
    /// Anybody: nothing is proved.
    #[default]
    Plain,
    /// A process of this machine and of this process's user, as the kernel says. It proves no role.
    Local,
    /// Somebody without a certificate, whose bytes nobody else read or changed.
    Anonymous,
    /// Who holds the key of a certificate.
    Certified(Arc<Subject>),
}

impl Peer {
    /// The role that is proved.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Certified(subject) => Some(subject.role),
            Self::Plain | Self::Local | Self::Anonymous => None,
        }
    }

    /// Whether nobody on the way can read what is said.
    pub fn is_private(&self) -> bool {
        *self != Self::Plain
    }
}
