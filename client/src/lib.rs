//! The client: verifies before it seals.
//!
//! * [`trust`]: whom to believe, and which checkpoints.
//! * [`recipient`]: is this certificate really that person's? Only a
//!   [`VerifiedRecipient`](recipient::VerifiedRecipient) can be sealed to.
//! * [`cms`]: sealing and opening.
//! * [`contacts`]: which key each person was known under.
//! * [`keys`]: keys of one's own, and certification requests.
//! * [`address`]: where notices of one's own identity go;
//! * [`bundle`], [`log`], [`audit`]: what the log proves of an identity, over time, and as a whole.
//! * [`statement`]: what people sign; [`switch`]: what an officer looks at before she does.
//! * [`moves`]: what a proven history says of a key that is not the one known.
//! * [`news`], [`watch`]: what happened to one's own identity;
//! * [`fetch`]: talking to a server.
//! * [`auditor`]: handing in where the gateway is not needed, and receipts.
//! * [`online`]: fetching what anybody's chain lacks, from addresses that strangers chose.
//! * [`sealed`]: what was sealed to whom.
//! * [`share`]: all of that for a list of people.
//! * [`files`], [`pem`]: writing what must not be lost or seen.

pub mod address;
mod asn1;
pub mod audit;
pub mod auditor;
pub mod bundle;
pub mod cms;
pub mod contacts;
pub mod fetch;
pub mod files;
pub mod keys;
pub mod log;
pub mod moves;
pub mod news;
pub mod online;
pub mod pem;
pub mod recipient;
pub mod sealed;
pub mod share;
pub mod statement;
pub mod switch;
pub mod trust;
pub mod watch;
