//! The error numbers of the system: one table, DAOS's names and numbers.
//!
//! Every crate has its own error enum; each of them answers `der()` with one of these, and Python turns it into
//! an exception class. The table is append-only.
//!
//! Source: DAOS's public list of error codes (`daos_errno.h` in its API documentation).

macro_rules! der_table {
    ($($variant:ident = $number:literal, $name:literal, $text:literal;)+) => {
        /// What went wrong, as a number that tools print and programs compare.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        #[non_exhaustive]
        pub enum Der {
            $(#[doc = concat!("`DER_", $name, "`: ", $text, ".")] $variant = $number,)+
        }

        impl Der {
            /// Every code, in numeric order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name without its prefix: `NOSPACE`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One line for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

der_table! {
    NoPerm = 1001, "NO_PERM", "Operation not permitted";
    NoHdl = 1002, "NO_HDL", "Invalid handle";
    Inval = 1003, "INVAL", "Invalid parameters";
    Exist = 1004, "EXIST", "Entity already exists";
    Nonexist = 1005, "NONEXIST", "The specified entity does not exist";
    Unreach = 1006, "UNREACH", "Unreachable node";
    Nospace = 1007, "NOSPACE", "No space left on storage target";
    Already = 1008, "ALREADY", "Operation already performed";
    Nomem = 1009, "NOMEM", "Out of memory";
    Nosys = 1010, "NOSYS", "Function not implemented";
    Timedout = 1011, "TIMEDOUT", "Time out";
    Busy = 1012, "BUSY", "Device or resource busy";
    Again = 1013, "AGAIN", "Try again";
    Proto = 1014, "PROTO", "Incompatible protocol";
    Uninit = 1015, "UNINIT", "Device or resource not initialized";
    Trunc = 1016, "TRUNC", "Buffer too short";
    Overflow = 1017, "OVERFLOW", "Data too long for defined data type or buffer size";
    Canceled = 1018, "CANCELED", "Operation canceled";
    Oog = 1019, "OOG", "Out of group or member list";
    Hg = 1020, "HG", "Transport layer mercury error";
    Unreg = 1021, "UNREG", "RPC or protocol version not registered";
    AddrstrGen = 1022, "ADDRSTR_GEN", "Failed to generate an address string";
    Pmix = 1023, "PMIX", "PMIx layer error";
    IvcbForward = 1024, "IVCB_FORWARD", "Incast variable unavailable locally, must forward";
    Misc = 1025, "MISC", "Miscellaneous error";
    Badpath = 1026, "BADPATH", "Bad path name";
    Notdir = 1027, "NOTDIR", "Not a directory";
    CorpcIncomplete = 1028, "CORPC_INCOMPLETE", "Collective RPC failed";
    NoRasRank = 1029, "NO_RAS_RANK", "No rank is subscribed to RAS";
    Notattach = 1030, "NOTATTACH", "Service group is not attached";
    Mismatch = 1031, "MISMATCH", "Version mismatch";
    Excluded = 1032, "EXCLUDED", "Rank has been excluded";
    Noreply = 1033, "NOREPLY", "User-provided RPC handler did not send reply";
    Dos = 1034, "DOS", "Denial-of-service";
    BadTarget = 1035, "BAD_TARGET", "Incorrect target for the RPC";
    Grpver = 1036, "GRPVER", "Group versioning mismatch";
    HlcSync = 1037, "HLC_SYNC", "Hybrid logical clock synchronization error";
    NoShmem = 1038, "NO_SHMEM", "Not enough shared memory free";
    AddMetricFailed = 1039, "ADD_METRIC_FAILED", "Failed to add metric";
    DurationMismatch = 1040, "DURATION_MISMATCH", "Duration end/start mismatch";
    OpNotPermitted = 1041, "OP_NOT_PERMITTED", "Operation not permitted";
    ExceedsPathLen = 1042, "EXCEEDS_PATH_LEN", "Path name exceeds permitted length";
    MetricNotFound = 1043, "METRIC_NOT_FOUND", "Metric not found";
    ShmemPerms = 1044, "SHMEM_PERMS", "Unable to access shared memory segment due to incompatible user or group permissions";
    HgFatal = 1045, "HG_FATAL", "Fatal transport layer mercury error";
    QuotaLimit = 1046, "QUOTA_LIMIT", "Quota limit reached";
    Io = 2001, "IO", "I/O error";
    FreeMem = 2002, "FREE_MEM", "Memory free error";
    Enoent = 2003, "ENOENT", "Entry not found";
    Notype = 2004, "NOTYPE", "Unknown object type";
    Noschema = 2005, "NOSCHEMA", "Unknown object schema";
    Nolocal = 2006, "NOLOCAL", "Object is not local";
    Stale = 2007, "STALE", "Stale pool map version";
    Notleader = 2008, "NOTLEADER", "Not service leader";
    TgtCreate = 2009, "TGT_CREATE", "Target create error";
    EpRo = 2010, "EP_RO", "Epoch is read-only";
    EpOld = 2011, "EP_OLD", "Epoch is too old, all data have been recycled";
    Key2big = 2012, "KEY2BIG", "Key is too large";
    Rec2big = 2013, "REC2BIG", "Record is too large";
    IoInval = 2014, "IO_INVAL", "I/O buffers do not match object extents";
    EqBusy = 2015, "EQ_BUSY", "Event queue is busy";
    Domain = 2016, "DOMAIN", "Domain of cluster component do not match";
    Shutdown = 2017, "SHUTDOWN", "Service should shut down";
    Inprogress = 2018, "INPROGRESS", "Operation now in progress";
    Notapplicable = 2019, "NOTAPPLICABLE", "Not applicable";
    Notreplica = 2020, "NOTREPLICA", "Not a service replica";
    Csum = 2021, "CSUM", "Checksum error";
    DfInval = 2022, "DF_INVAL", "Durable format error";
    DfIncompt = 2023, "DF_INCOMPT", "Incompatible durable format version";
    RecSize = 2024, "REC_SIZE", "Record size error";
    TxRestart = 2025, "TX_RESTART", "Transaction should restart";
    DataLoss = 2026, "DATA_LOSS", "Data lost or not recoverable";
    OpCanceled = 2027, "OP_CANCELED", "Operation canceled";
    TxBusy = 2028, "TX_BUSY", "TX is not committed";
    AgentIncompat = 2029, "AGENT_INCOMPAT", "Agent is incompatible with libdaos";
    NeedTx = 2030, "NEED_TX", "To be handled via distributed transaction";
    Rf = 2031, "RF", "Failures exceed RF";
    FetchAgain = 2032, "FETCH_AGAIN", "Fetch again";
    TxUncertain = 2033, "TX_UNCERTAIN", "TX status is uncertain";
    AgentComm = 2034, "AGENT_COMM", "Agent communication error";
    IdMismatch = 2035, "ID_MISMATCH", "ID mismatch";
    TgtRetry = 2036, "TGT_RETRY", "Retry with other target";
    Notsupported = 2037, "NOTSUPPORTED", "Operation not supported";
    ControlIncompat = 2038, "CONTROL_INCOMPAT", "Control plane is incompatible with the engine";
    NoService = 2039, "NO_SERVICE", "No service available";
    TxIdReused = 2040, "TX_ID_REUSED", "TX ID may be reused";
    UpdateAgain = 2041, "UPDATE_AGAIN", "Update again";
    NvmeIo = 2042, "NVME_IO", "NVMe I/O error";
    NoCert = 2043, "NO_CERT", "Unable to access one or more certificates";
    BadCert = 2044, "BAD_CERT", "Invalid x509 certificate";
    VosPartialUpdate = 2045, "VOS_PARTIAL_UPDATE", "Partial update of the same epoch is not allowed";
    ChkptBusy = 2046, "CHKPT_BUSY", "Page is temporarily read only due to checkpointing";
    DivByZero = 2047, "DIV_BY_ZERO", "Division by zero";
    OverloadRetry = 2048, "OVERLOAD_RETRY", "Engine is overloaded, retry later";
    NotResume = 2049, "NOT_RESUME", "Cannot resume former instance";
    ContNonexist = 2050, "CONT_NONEXIST", "The specified container does not exist";
    ContDestroying = 2051, "CONT_DESTROYING", "The specified container is being destroyed";
    Ignore = 2052, "IGNORE", "The request can be ignored";
    Unknown = 501_000, "UNKNOWN", "Unknown error code";
}

impl Der {
    /// The positive number, as in the C headers; tools print it negated.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The code of a number, `Unknown` for one that is not in the table.
    pub fn from_number(number: u32) -> Self {
        Self::ALL.iter().copied().find(|der| der.number() == number).unwrap_or(Self::Unknown)
    }
}

impl core::fmt::Display for Der {
    /// As DAOS prints it: `DER_NOSPACE(-1007): No space left on storage target`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "DER_{}(-{}): {}", self.name(), self.number(), self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_daos_and_unique() {
        assert_eq!(Der::Nospace.number(), 1007);
        assert_eq!(Der::TxRestart.number(), 2025);
        assert_eq!(Der::Unknown.number(), 501_000);
        assert!(Der::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        for der in Der::ALL {
            assert_eq!(Der::from_number(der.number()), *der);
        }
        assert_eq!(Der::from_number(42), Der::Unknown);
    }

    #[test]
    fn it_prints_as_daos_prints_it() {
        extern crate alloc;
        assert_eq!(alloc::format!("{}", Der::Nospace), "DER_NOSPACE(-1007): No space left on storage target");
    }
}
