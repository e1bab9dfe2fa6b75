//! Addresses that come with a request: opened, and held against the channels that the intent names.

use wire::address::{Address, MAX_ADDRESSES};
use wire::body::{Channel, Channels};
use wire::event::EventKind;
use wire::intent::Intent;
use wire::problem::{Problem, ProblemCode};
use wire::socket::Signed;
use wire::{Encoded, UserId};

use super::handle::Result;
use crate::authority::Authority;

/// Opens the addresses of a request. Every channel that the intent sets must have one, from this
/// request or from before: else somebody would believe to be told, and never be.
pub(super) async fn open(
    authority: &Authority,
    uid: &UserId,
    signed: &Signed,
) -> Result<Vec<Address>> {
    let channels = channels(signed);
    if signed.addresses.is_empty() && channels.is_empty() {
        return Ok(Vec::new());
    }
    if signed.addresses.len() > MAX_ADDRESSES {
        let found = signed.addresses.len();
        return Err(refused(format!("{found} addresses came; at most {MAX_ADDRESSES} are taken")));
    }
    let genesis = authority.installation().genesis();
    let mut opened: Vec<Address> = Vec::with_capacity(signed.addresses.len());
    for sealed in &signed.addresses {
        let (channel, address) = authority
            .notices()
            .key()
            .open(genesis, uid, sealed)
            .map_err(|error| refused(error.to_string()))?;
        if !channels.contains(&channel) {
            let hash = channel.address;
            return Err(refused(format!("the intent names no {} channel {hash}", channel.kind)));
        }
        opened.push(address);
    }
    let known = authority.store().known_channels(uid).await.map_err(|error| {
        tracing::error!(%error, "cannot read addresses");
        let detail = "the database does not answer";
        Box::new(Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(2))
    })?;
    let known: Vec<_> = opened.iter().chain(&known).map(Address::channel).collect();
    match channels.iter().find(|channel| !known.contains(channel)) {
        Some(without) => {
            let hash = without.address;
            Err(refused(format!("no address is known for the {} channel {hash}", without.kind)))
        }
        None => Ok(opened),
    }
}

/// The channels that the intent sets. What is wrong with it is said elsewhere.
fn channels(signed: &Signed) -> Vec<Channel> {
    let intent = signed.intent.as_ref().and_then(|der| Intent::from_canonical(der).ok());
    let sets = |intent: &Intent| matches!(intent.verb, EventKind::Enrol | EventKind::ChannelChange);
    let body = intent.filter(sets).and_then(|intent| intent.body);
    let channels = body.and_then(|body| Channels::from_canonical(body.as_bytes()).ok());
    channels.map(|channels| channels.channels).unwrap_or_default()
}

fn refused(detail: String) -> Box<Problem> {
    let problem = Problem::new(ProblemCode::EvidenceRefused, detail.clone());
    Box::new(
        problem
            .rule("channels-have-addresses")
            .expected("a sealed address for each channel of the intent", detail)
            .remedy("seal each channel's address to the key in the present trust file, for this identity"),
    )
}
