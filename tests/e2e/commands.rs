//! The commands by which people move, stop and end identities, as they are typed.

mod contact;
mod enrolment;
mod installation;
mod moves;
mod names;
mod standing;
mod switch;
mod trust;
mod waits;
mod watch;
