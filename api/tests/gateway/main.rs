//! The gateway as its callers see it: a real TLS client on one side, and on the other a fake
//! authority that speaks the socket's messages.

mod bodies;
mod connections;
mod link;
mod load;
mod negotiation;
mod problems;
mod resources;
mod support;
