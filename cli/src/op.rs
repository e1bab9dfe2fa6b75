//! Commands for operators.

pub(crate) mod auditor;
pub(crate) mod authority;
pub(crate) mod config;
mod cosigner;
pub(crate) mod cosigning;
pub(crate) mod db;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod gateway;
pub(crate) mod hsm;
pub(crate) mod init;
pub(crate) mod log;
mod metrics;
pub(crate) mod notices;
pub(crate) mod search;
pub(crate) mod serve;
mod supervise;
mod tls;
mod tls_files;
pub(crate) mod witness;
pub(crate) mod worker;
