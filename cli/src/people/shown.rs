//! An intent as its signer sees it: everything that is in it, from its own bytes.

use policy::file;
use wire::Encoded;
use wire::body::{Agents, Channels, Cosigners, Roster, Struck};
use wire::event::{EventKind, Revoked};
use wire::genesis::{Cosigner, Keyholder};
use wire::intent::Intent;
use wire::rules::Rules;
use wire::{Hash32, statement::Role};

use super::common::time;

/// What an intent asks for, a line for each thing.
pub(crate) fn intent(intent: &Intent) -> Vec<String> {
    let mut lines = vec![format!("asks for       {}", intent.verb)];
    let mut line = |label: &str, text: String| lines.push(format!("{label:<15}{text}"));
    match &intent.subject {
        Some(uid) => line("of", uid.to_string()),
        None => line("of", "the installation".to_owned()),
    }
    line("as event", intent.sequence.to_string());
    if let Some(head) = intent.head {
        line("after", head.to_string());
    }
    if let Some(key) = intent.new_spki {
        line("key", key.to_string());
    }
    for name in &intent.names {
        line("name", format!("{}: {}", name.kind, name.value));
    }
    if let Some(commitment) = intent.recovery_commitment {
        line("recovery key", format!("commitment {commitment}"));
    }
    line("policy", intent.policy.to_string());
    line("counts until", time(intent.expiry.saturating_mul(1000)));
    line("intent", intent.hash().to_string());
    if let Some(body) = &intent.body {
        lines.extend(self::body(intent.verb, body.as_bytes()));
    }
    lines
}

/// What a verb's body says.
fn body(verb: EventKind, der: &[u8]) -> Vec<String> {
    let known = match verb {
        EventKind::PolicyChange => Rules::from_canonical(der).ok().map(|rules| {
            let text = file::write(&rules);
            text.lines().filter(|l| !l.starts_with('#')).map(|l| format!("  {l}")).collect()
        }),
        EventKind::RosterChange => {
            Roster::from_canonical(der).ok().map(|roster| keyholders("officer", &roster.officers))
        }
        EventKind::AgentsChange => {
            Agents::from_canonical(der).ok().map(|agents| keyholders("agent", &agents.agents))
        }
        EventKind::Strike => Struck::from_canonical(der).ok().map(|body| {
            let at = body.index.map_or(String::new(), |index| format!(", number {index}"));
            vec![format!("declares dead  leaf {}{at}", body.leaf)]
        }),
        EventKind::CosignersChange => Cosigners::from_canonical(der).ok().map(|body| {
            let shown = |one: &Cosigner| format!("{:<15}{}", one.kind.name(), one.vkey);
            let all: Vec<String> = body.cosigners.iter().map(shown).collect();
            let nobody = || vec!["co-signed by   nobody".to_owned()];
            if all.is_empty() { nobody() } else { all }
        }),
        EventKind::ChannelChange | EventKind::Enrol => {
            Channels::from_canonical(der).ok().map(|body| {
                let shown = |channel: &wire::body::Channel| {
                    format!("channel        {} {}", channel.kind, channel.address)
                };
                body.channels.iter().map(shown).collect()
            })
        }
        EventKind::Revoke => Revoked::from_canonical(der).ok().map(|revoked| {
            let serial: String =
                revoked.serial.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            vec![format!("certificate    {serial}"), format!("reason         {}", revoked.reason)]
        }),
        _ => None,
    };
    // What this program cannot read nobody should sign unseen.
    known.unwrap_or_else(|| vec![format!("UNREADABLE     {} bytes of {verb}", der.len())])
}

fn keyholders(what: &str, holders: &[Keyholder]) -> Vec<String> {
    let shown = |holder: &Keyholder| {
        let key = Hash32::of(holder.spki.as_bytes());
        format!("{what:<15}{} {key} {}", holder.name, holder.scope.join(" ")).trim_end().to_owned()
    };
    holders.iter().map(shown).collect()
}

/// Who has signed.
pub(crate) fn signers(signers: &[(Role, Hash32)]) -> Vec<String> {
    signers.iter().map(|(role, key)| format!("signed         as {role} by {key}")).collect()
}
