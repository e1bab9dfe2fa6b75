//! The harness of the end-to-end tests: a real `avouch dev`, spoken to as its users do, and judged
//! by other people's programs.
//!
//! [`Installation`] starts the program on a folder and takes it down with all its processes;
//! [`Http`] talks to it; [`openssl`] makes requests and gives second opinions; [`pkilint`] lints;
//! [`schemathesis`] tries the API against its description.
//! Everything panics with the reason instead of returning errors: a harness that cannot work is a
//! failed test.

pub mod cosigner;
mod csr;
pub mod database;
mod desk;
mod http;
mod installation;
mod load;
pub mod openssl;
pub mod people;
pub mod pkilint;
mod processes;
mod proxy;
pub mod receivers;
pub mod schemathesis;
pub mod silencer;
mod socket;
pub mod thief;
mod witness;

pub use csr::{load_csr, load_key};
pub use desk::{Desk, Said};
pub use http::{Answer, Body, Http};
pub use installation::{Installation, on_store, patiently, program};
pub use load::{Ends, Load, Seen};
pub use processes::Role;
pub use proxy::Proxy;
pub use socket::Socket;
pub use witness::{TestLog, Witness};
