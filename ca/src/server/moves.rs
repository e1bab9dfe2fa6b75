//! Requests that move, stop or end an identity, and those that change the installation: parsed,
//! then put at the beginning of their walk.

use std::sync::Arc;

use evidence::dossier;
use evidence::handed::Handed;
use policy::ChangeRequest;
use wire::event::{EventKind, EvidenceKind};
use wire::intent::Intent;
use wire::problem::{Problem, ProblemCode};
use wire::rest;
use wire::socket::{ResponseBody, Signed};
use wire::{Encoded, Hash32, IdempotencyKey, UserId};
use x509::PublicKey;

use super::handle::{self, Result, awaited, can_sign, put, request_hash};
use super::weigh::{Bringer, weigh};
use crate::authority::Authority;
use crate::queries;
use crate::switches::proposed;
use crate::walk::{Action, Answer, Brings, ChangeAsk, Idempotency, Reply};

/// What somebody says of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Approve,
    Veto,
}

/// What an intent asks for by its verb.
pub(super) async fn ask(
    authority: &Arc<Authority>,
    uid: UserId,
    csr: Option<&[u8]>,
    signed: Signed,
    idempotency_key: Option<IdempotencyKey>,
) -> Result<ResponseBody> {
    let intent = intent(&signed)?;
    if intent.subject.as_ref() != Some(&uid) {
        let found = intent.subject.as_ref().map_or("the installation", UserId::as_str);
        return Err(Box::new(
            Problem::new(ProblemCode::EvidenceRefused, "the intent is about somebody else")
                .rule("intent.subject")
                .expected(uid.as_str(), found)
                .remedy("make the intent for the identity that is asked about"),
        ));
    }
    if intent.verb.certifies() {
        can_sign(authority)?;
    }
    let mut evidence = Vec::new();
    let (installation, certificates) = authority.at_once();
    let csr = csr.map(|csr| handle::parse(&certificates, &uid, csr)).transpose()?;
    let request = request_hash(&uid, csr.as_ref().map_or(&[], |csr| csr.der()), &signed);
    if let Some(csr) = &csr {
        evidence.push(dossier::piece(EvidenceKind::Csr, csr.der().to_vec()));
    }
    if intent.verb.certifies() {
        evidence.extend(handle::signed_switch(authority, &uid).await?);
    }
    let adopted = signed.public_keys.iter().find(|der| Some(Hash32::of(der)) == intent.new_spki);
    let adopted = adopted.filter(|_| csr.is_none()).map(|der| {
        PublicKey::parse(der, certificates.key_rules()).map_err(|error| {
            let code = ProblemCode::from_slug(error.code()).unwrap_or(ProblemCode::WeakKey);
            let (expected, found) = error.expected_and_found();
            let problem = Problem::new(code, error.to_string()).rule("adopted-key");
            Box::new(problem.expected(expected, found))
        })
    });
    let adopted = adopted.transpose()?;
    let bringer = Bringer { uid: Some(&uid), csr: csr.as_ref() };
    let weighed = weigh(authority, installation, bringer, evidence, signed).await?;
    let brings = csr
        .map(|csr| Brings::Request(Box::new(csr)))
        .or_else(|| adopted.map(|key| Brings::Key(Box::new(key))));
    let action = Action::Intent { intent: Box::new(intent), brings };
    let idempotency = idempotency_key.map(|key| Idempotency { key, request });
    let answer = put(authority, uid, action, weighed, idempotency, None).await?;
    Ok(done(authority, answer))
}

/// An approval of, or an objection to, what was proposed with an intent.
pub(super) async fn about(
    authority: &Arc<Authority>,
    switch: Hash32,
    about: About,
    mut signed: Signed,
) -> Result<ResponseBody> {
    let (uid, event) = proposed(authority, switch).await?;
    // Statements name the intent's hash, so it makes no difference who brings the intent.
    signed.intent = event.event.intent.map(|intent| intent.as_bytes().to_vec().into());
    let bringer = Bringer { uid: Some(&uid), csr: None };
    let weighed = weigh(authority, authority.installation(), bringer, Vec::new(), signed).await?;
    let action = match about {
        About::Approve => Action::Approve { switch },
        About::Veto => Action::Veto { switch },
    };
    let answer = put(authority, uid, action, weighed, None, None).await?;
    Ok(done(authority, answer))
}

/// What was handed to an auditor, as if it had come through the gateway.
pub(crate) async fn handed(authority: &Arc<Authority>, handed: Handed) -> Result<()> {
    let (uid, intent) = (handed.uid().cloned(), handed.intent());
    let (csr, signed) = handed.into_parts();
    match uid {
        Some(uid) => ask(authority, uid, csr.as_deref(), signed, None).await?,
        None => about(authority, intent, About::Veto, signed).await?,
    };
    Ok(())
}

/// A change of the installation.
pub(super) async fn change(authority: &Arc<Authority>, signed: Signed) -> Result<ResponseBody> {
    let intent = intent(&signed)?;
    if intent.verb == EventKind::IssuersChange {
        let detail = "this version makes CRLs and finishes certificates for one issuing key";
        let problem = Problem::new(ProblemCode::NotOffered, detail).rule("one-issuer");
        return Err(Box::new(problem.expected("another verb", intent.verb.name())));
    }
    // Nothing but officers' statements changes the installation, and whoever replays the change
    // weighs all of its evidence: what is not weighed here would end every later start.
    if !signed.id_tokens.is_empty() {
        let detail = "a change of the installation rests on officers' signatures alone";
        let found = format!("{} ID tokens", signed.id_tokens.len());
        let problem = Problem::new(ProblemCode::EvidenceRefused, detail)
            .rule("evidence")
            .expected("officers' signatures", found);
        return Err(Box::new(
            problem.remedy("send the intent and the statements, and nothing else"),
        ));
    }
    let bringer = Bringer { uid: None, csr: None };
    let weighed = weigh(authority, authority.installation(), bringer, Vec::new(), signed).await?;
    let (reply, answer) = Reply::channel();
    authority.submit_change(ChangeAsk {
        installation: weighed.installation,
        request: ChangeRequest::Intent(Box::new(intent)),
        evidence: weighed.evidence,
        facts: weighed.facts,
        reply,
    })?;
    let answer = awaited(answer).await?;
    Ok(done(authority, answer))
}

fn intent(signed: &Signed) -> Result<Intent> {
    let malformed = |detail: String| {
        Box::new(
            Problem::new(ProblemCode::MalformedRequest, detail.clone())
                .rule("intent")
                .expected("an intent in its one encoding, DER", detail)
                .remedy("send the intent that the statements sign, DER"),
        )
    };
    let der = signed.intent.as_ref().ok_or_else(|| malformed("there is no intent".to_owned()))?;
    Intent::from_canonical(der).map_err(|error| malformed(error.to_string()))
}

fn done(authority: &Authority, answer: Answer) -> ResponseBody {
    let Answer { done, certificate, .. } = answer;
    ResponseBody::Done(Box::new(rest::Done {
        uid: done.uid,
        event: done.kind.name().to_owned(),
        sequence: done.sequence,
        leaf_index: done.leaf_index,
        head: done.leaf_hash,
        announced: done.announced,
        certificate: certificate.map(|row| queries::certificate(authority, &row)),
    }))
}
