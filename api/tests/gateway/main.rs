//! The gateway as its callers see it: a real TLS client on one side, and on the other a fake
//! authority that speaks the socket's messages.

mod bodies;
mod conditions;
mod connections;
mod docs;
mod link;
mod load;
mod log;
mod moves;
mod negotiation;
mod problems;
mod rates;
mod resources;
mod support;
