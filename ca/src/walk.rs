//! The steps of the walk. Each takes what only the step before can make, and uses it up.

mod ask;
mod change;
mod cosign;
mod decide;
mod draft;
mod log;
mod publish;
mod queue;
mod record;
mod sign;
mod strike;

pub(crate) use ask::{Action, Answer, Ask, Brings, Caller, Done, Idempotency, Reply, vouched};
pub(crate) use change::{ChangeAsk, change};
pub(crate) use cosign::cosign;
pub(crate) use decide::{decide, turn_away};
pub(crate) use log::LogKeyError;
pub(crate) use log::{Checkpoints, Log, TreeHead, log};
pub(crate) use publish::publish;
pub(crate) use queue::{Full, Group, Guest, Queue, QueueSender, queue};
pub(crate) use record::{Ledger, Recorded, leaf_of, record, root_leaf};
pub(crate) use sign::{SignedGroup, sign};
