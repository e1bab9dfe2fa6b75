//! What moves, stops and ends an identity, and what changes the installation: requests by intents
//! that people sign. This gateway passes them on; that the intent fits the address is looked at
//! here, so that a slip is told at once, and decides nothing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use wire::event::EventKind;
use wire::intent::Intent;
use wire::problem::Problem;
use wire::problem::ProblemCode::{self, *};
use wire::rest::{Done, SignedRequest};
use wire::socket::{RequestBody, ResponseBody, Signed};
use wire::{Encoded, UserId};

use super::certificates::{CSR, WALK, unchanged};
use super::{App, json, unexpected};
use crate::input::{self, Context, SwitchId, Uid};
use crate::negotiate::{JSON, is_conditional, negotiate};
use crate::openapi::parameters::{IdempotencyKey, IfMatch};
use crate::openapi::problems::{ASKED, BODY, CHOICE, EVER, problems};
use crate::problem::Refusal;

/// Why an identity does not move, stop or end like that.
const STATE: &[ProblemCode] = &[
    UnknownIdentity,
    KeyInUse,
    KeyWasUsed,
    IdentitySuspended,
    IdentityRetired,
    IdempotencyConflict,
    SwitchPending,
    AlreadyDone,
    NotYet,
];
/// What is wrong with a pending switch that somebody approves or objects to.
const SWITCH: &[ProblemCode] = &[NoPendingSwitch, RequestExpired];
problems!(MoveProblems: CSR, STATE, WALK, BODY, CHOICE, ASKED, EVER);
problems!(StandingProblems: STATE, WALK, BODY, CHOICE, ASKED, EVER);
problems!(AboutProblems: SWITCH, STATE, WALK, BODY, CHOICE, ASKED, EVER);
problems!(ChangeProblems: &[AlreadyDone, NotYet], WALK, BODY, CHOICE, ASKED, EVER);

/// Declares a handler for a verb that hangs below an identity.
macro_rules! verbs {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident $id:literal: $path:literal, $kind:ident, $problems:ident;
    )+) => {$(
        $(#[doc = $doc])+
        #[utoipa::path(
            post, path = $path, tag = "moves", operation_id = $id,
            params(Uid, IdempotencyKey, IfMatch),
            request_body(content = SignedRequest, content_type = "application/json"),
            responses(
                (status = OK, description = "It holds", body = Done),
                (status = ACCEPTED, description = "It is announced, and holds after a wait", body = Done),
                $problems,
            ),
        )]
        pub(crate) async fn $name(
            State(app): State<Arc<App>>,
            context: Context,
            Uid(uid): Uid,
            headers: HeaderMap,
            body: Body,
        ) -> Result<Response, Refusal> {
            below_identity(&app, &context, uid, EventKind::$kind, &headers, body).await
        }
    )+};
}

verbs! {
    /// Move to another key, at once.
    ///
    /// The intent names the certification request and the new key; the current key signs it as
    /// `current-key`, the new one as `new-key`.
    rekey "rekey": "/api/v1/identities/{uid}/rekey", Rekey, MoveProblems;
    /// Move to another key by the recovery key, at once, also from suspended.
    ///
    /// As a rekey, signed by the recovery key (`recovery-key`) instead of the current one; its
    /// public half goes into `public_keys`. The intent commits to the next recovery key.
    recover "recover": "/api/v1/identities/{uid}/recover", Recover, MoveProblems;
    /// Commit to another recovery key.
    ///
    /// Signed by the old recovery key it holds at once; by the current key after the recovery
    /// window, until when the old one wins.
    recovery_key "change-recovery-key": "/api/v1/identities/{uid}/recovery-key", RecoveryCommitmentChange, StandingProblems;
    /// Suspend: nobody shares with the identity until this is lifted.
    ///
    /// By the holder, one officer, or the directory.
    suspend "suspend": "/api/v1/identities/{uid}/suspension", Suspend, StandingProblems;
    /// Lift a suspension.
    ///
    /// By the recovery key or the officers' threshold; the directory lifts its own. A resource of
    /// its own, since a DELETE carries no body (RFC 9110 section 9.3.5) and this needs signatures.
    resume "resume": "/api/v1/identities/{uid}/resumption", Resume, StandingProblems;
    /// Have notices sent elsewhere.
    ///
    /// The intent's body names all channels that hold afterwards; their addresses come along sealed.
    channels "change-channels": "/api/v1/identities/{uid}/channels", ChannelChange, StandingProblems;
    /// Carry other names in the certificate, over the same key.
    names "rename": "/api/v1/identities/{uid}/names", Rename, StandingProblems;
    /// Announce the end of an identity, whose id is never used again.
    ///
    /// By the officers' threshold, after a wait.
    retire "retire": "/api/v1/identities/{uid}/retirement", Retire, StandingProblems;
    /// Declare an enrolment false.
    ///
    /// By the officers' threshold. The key is gone; the right person gets the id by a switch.
    void "void": "/api/v1/identities/{uid}/void", Void, StandingProblems;
}

async fn below_identity(
    app: &App,
    context: &Context,
    uid: UserId,
    verb: EventKind,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    negotiate(headers, &[JSON])?;
    let idempotency_key = input::idempotency_key(headers)?;
    let (csr, signed) = read(app, context, headers, body).await?;
    let intent = intent(&signed)?;
    fits("verb", verb, intent.verb)?;
    fits("subject", Some(&uid), intent.subject.as_ref())?;
    if is_conditional(headers) {
        unchanged(app, context, uid.clone(), headers).await?;
    }
    let question = RequestBody::Ask { uid, csr, signed, idempotency_key };
    let answer = app.authority.ask(context, question).await?;
    if matches!(verb, EventKind::Rekey | EventKind::Recover | EventKind::Void) {
        // The key before is revoked: whoever was told finds that in the next list that he fetches.
        app.crls.clear();
    }
    done(answer)
}

/// Ask for a switch to another key, which officers approve.
///
/// For whoever has neither the current key nor the recovery key. The new key signs as `new-key`;
/// a remark that is signed along is what the person says of it. Approvals may come along.
#[utoipa::path(
    post, path = "/api/v1/switches", tag = "moves", operation_id = "request-switch",
    params(IdempotencyKey),
    request_body(content = SignedRequest, content_type = "application/json"),
    responses(
        (status = CREATED, description = "The request is pending", body = Done,
            headers(("location" = String, description = "The switch"))),
        MoveProblems,
    ),
)]
pub(crate) async fn switch(
    State(app): State<Arc<App>>,
    context: Context,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let idempotency_key = input::idempotency_key(&headers)?;
    let (csr, signed) = read(&app, &context, &headers, body).await?;
    let intent = intent(&signed)?;
    fits("verb", EventKind::SwitchRequest, intent.verb)?;
    // An intent of such a verb always names its subject.
    let uid = intent.subject.clone().ok_or_else(|| {
        Refusal::malformed("the intent is nobody's", "an intent with a subject", "none")
    })?;
    let question = RequestBody::Ask { uid, csr, signed, idempotency_key };
    let mut response = done(app.authority.ask(&context, question).await?)?;
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/switches/{}", intent.hash())) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Approve a switch.
///
/// Officers sign the hash of the request's intent, as `officer` with the verb `switch-approve`, and
/// along with it how they identified the person. An officer counts once, so a repeated approval is
/// answered `already-done`.
#[utoipa::path(
    post, path = "/api/v1/switches/{id}/approvals", tag = "moves", operation_id = "approve",
    params(SwitchId),
    request_body(content = SignedRequest, content_type = "application/json"),
    responses((status = OK, description = "It counts", body = Done), AboutProblems),
)]
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    context: Context,
    SwitchId(switch): SwitchId,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let (_, signed) = read(&app, &context, &headers, body).await?;
    done(app.authority.ask(&context, RequestBody::Approve { switch, signed }).await?)
}

/// Object to a switch, or to an announced retirement.
///
/// The recovery key, the current key, or the officers' threshold sign the hash of the intent with
/// the verb `veto`.
#[utoipa::path(
    post, path = "/api/v1/switches/{id}/veto", tag = "moves", operation_id = "veto",
    params(SwitchId),
    request_body(content = SignedRequest, content_type = "application/json"),
    responses((status = OK, description = "It counts", body = Done), AboutProblems),
)]
pub(crate) async fn veto(
    State(app): State<Arc<App>>,
    context: Context,
    SwitchId(switch): SwitchId,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let (_, signed) = read(&app, &context, &headers, body).await?;
    done(app.authority.ask(&context, RequestBody::Veto { switch, signed }).await?)
}

/// Bytes that a change of the installation may have at least, whatever the limit of other requests:
/// the base64 of a whole list, with the statements of all officers.
const CHANGE_BODY: usize = 256 * 1024;

/// Change the policy, the officers, the agents, or what else the installation rests on.
///
/// The officers' threshold signs an intent whose body names all of what changes, as it is
/// afterwards. What loosens anything is announced, and holds after the wait.
#[utoipa::path(
    post, path = "/api/v1/installation/changes", tag = "installation", operation_id = "change-installation",
    request_body(content = SignedRequest, content_type = "application/json"),
    responses(
        (status = OK, description = "It holds", body = Done),
        (status = ACCEPTED, description = "It is announced, and holds after a wait", body = Done),
        ChangeProblems,
    ),
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    context: Context,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let limit = app.body_limit.max(CHANGE_BODY);
    let request: SignedRequest = input::read_json(&headers, body, limit, context.deadline).await?;
    let (_, signed) = input::signed_request(request)?;
    let intent = intent(&signed)?;
    if intent.verb.is_of_identity() {
        let problem = Problem::new(MalformedRequest, "the intent is about an identity");
        return Err(problem.expected("a verb of the installation", intent.verb.name()).into());
    }
    let answer = app.authority.ask(&context, RequestBody::Change { signed }).await?;
    // What was known of the installation is over.
    app.installation.clear().await;
    done(answer)
}

/// The certification request and all that was signed.
async fn read(
    app: &App,
    context: &Context,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Option<serde_bytes::ByteBuf>, Signed), Refusal> {
    let request: SignedRequest =
        input::read_json(headers, body, app.body_limit, context.deadline).await?;
    input::signed_request(request)
}

/// The intent, as far as it concerns where it was sent.
fn intent(signed: &Signed) -> Result<Intent, Refusal> {
    let der = signed.intent.as_ref().ok_or_else(|| {
        Refusal::from(
            Problem::new(MalformedRequest, "this needs an intent").expected("an intent", "none"),
        )
    })?;
    Intent::from_canonical(der).map_err(|error| {
        let detail = format!("the intent: {error}");
        Refusal::malformed(detail, "an intent in its one encoding, DER", error.to_string())
    })
}

fn fits<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, found: T) -> Result<(), Refusal> {
    if expected == found {
        return Ok(());
    }
    let detail = format!("the intent's {what} is not that of this address");
    let problem = Problem::new(MalformedRequest, detail);
    Err(problem.expected(format!("{expected:?}"), format!("{found:?}")).into())
}

fn done(answer: ResponseBody) -> Result<Response, Refusal> {
    let ResponseBody::Done(done) = answer else { return Err(unexpected(&answer)) };
    let mut response = json(&*done)?;
    if done.announced {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}
