//! The running connection to one worker: requests out, answers in, a watch over both.

use super::jobs::{Given, Job};
use super::logins::Device;
use super::shared::{Shared, Slot, key_changed, unavailable};
use super::spawn::{self, Greeted};
use crate::config::Pin;
use crate::error::HsmError;
use crate::key::TokenInfo;
use crate::proto::{self, Answer, MAX_FRAME, Message, Op, Request, Welcome};
use crate::spki;
use bytes::{Buf, BytesMut};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::Semaphore;

/// Most requests written at once.
const BATCH: usize = 64;

/// What a challenge starts with. No certificate, CRL or checkpoint can begin so: the first two
/// begin with 0x30, and a checkpoint's first line holds no NUL.
const CHALLENGE: &[u8] = b"avouch hsm challenge v1\0";

/// A fresh challenge for a key.
pub(super) fn challenge() -> Result<Vec<u8>, HsmError> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|error| unavailable(format!("no randomness: {error}")))?;
    Ok([CHALLENGE, &nonce].concat())
}

/// How a connection ended.
pub(super) enum End {
    /// We are stopping.
    Stopped,
    /// The token is taken out of use, and nothing is in flight any more.
    Drained,
    /// The worker gave up its token in good order.
    Lost(String),
    /// It died, hung or talked nonsense.
    Died(String),
}

pub(super) struct Link {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    received: BytesMut,
    next_number: u64,
    pub(super) token: TokenInfo,
}

struct InFlight {
    job: Job,
    /// Its answer must be here by then; set when its turn has come.
    due: Option<Instant>,
}

/// Whose decision a login is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Ours: not with a PIN that this token refused.
    Supervisor,
    /// An operator's, who has just given the PIN.
    Operator,
}

/// Lets a worker log in that has found its token, after all others at this token.
async fn log_in(
    shared: &Shared,
    slot: Slot,
    pin: &Pin,
    who: Who,
    token: &TokenInfo,
    worker: &mut Greeted,
) -> Result<Welcome, HsmError> {
    let (command, config) = (&shared.place(slot).command, &shared.place(slot).config);
    let device = Device::of(token);
    let door = shared.logins.door(&device);
    let _alone = door.lock().await;
    let ours = who == Who::Supervisor;
    let unanswered = ours && shared.logins.unanswered(&device, pin)?;
    if ours {
        shared.logins.begin(&device, pin);
    }
    let word = if unanswered { proto::GO_ON_UNLESS_COUNTED } else { proto::GO_ON };
    let welcome = worker.say(&[word], &command.program, config.start_deadline).await?;
    match &welcome {
        Welcome::Failed(error) if error.is_pin() && ours => {
            shared.logins.answered(&device, pin, Some(error));
        }
        Welcome::Ready { .. } => shared.logins.answered(&device, pin, None),
        _ => (),
    }
    Ok(welcome)
}

type Pending = Mutex<BTreeMap<u64, InFlight>>;

fn lock(pending: &Pending) -> MutexGuard<'_, BTreeMap<u64, InFlight>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Starts a worker, has it log in, and challenges every key that we know.
    pub(super) async fn open(
        shared: &Shared,
        slot: Slot,
        pin: &Pin,
        who: Who,
    ) -> Result<Link, HsmError> {
        let (command, config) = (&shared.place(slot).command, &shared.place(slot).config);
        let job = proto::Job::Serve {
            backend: config.backend.clone(),
            // At most 256 (TokenConfig::check).
            sessions: config.sessions as u32,
            keep_alive: config.keep_alive,
            memory: config.memory,
            template: config.template.clone(),
            pin: pin.expose(),
        };
        // The other tokens' modules have no business with this one's PIN.
        let pins = shared.pins();
        let secrets: Vec<&Pin> = pins.iter().chain([pin]).collect();
        let (mut worker, mut welcome) =
            spawn::greet(command, job, &secrets, config.start_deadline).await?;
        if let Welcome::LoggingIn { token } = welcome {
            welcome = log_in(shared, slot, pin, who, &token, &mut worker).await?;
        }
        let Greeted { child, input, output } = worker;
        let token = match welcome {
            Welcome::Ready { token } => token,
            Welcome::Failed(error) => return Err(error),
            Welcome::LoggingIn { .. } | Welcome::Token(_) | Welcome::Tokens(_) => {
                return Err(unavailable("the worker answered something else".to_owned()));
            }
        };
        let received = BytesMut::with_capacity(64 << 10);
        let mut link = Link { child, input, output, received, next_number: 0, token };
        let proofs = link.prove_keys(shared.expected_keys());
        match tokio::time::timeout(config.start_deadline, proofs).await {
            Ok(proven) => proven?,
            Err(_) => return Err(unavailable("the keys did not answer in time".to_owned())),
        }
        Ok(link)
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    async fn prove_keys(&mut self, keys: BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), HsmError> {
        for (id, expected) in keys {
            match self.call(Op::Find { id: &id }).await? {
                Answer::Key(Some(key)) if key.spki_der == expected => (),
                Answer::Key(Some(key)) => return Err(key_changed(&id, &expected, &key.spki_der)),
                _ => return Err(HsmError::KeyNotFound { id }),
            }
            let tbs = challenge()?;
            match self.call(Op::Sign { id: &id, tbs: &tbs }).await? {
                Answer::Signature(signature) if spki::verify(&expected, &tbs, &signature) => (),
                _ => return Err(HsmError::ChallengeFailed { id }),
            }
        }
        Ok(())
    }

    /// One request and its answer, before anything else is under way.
    async fn call(&mut self, op: Op<'_>) -> Result<Answer, HsmError> {
        let number = self.next_number;
        self.next_number += 1;
        let mut frame = Vec::new();
        proto::encode(&Request { number, op }, &mut frame)?;
        let io = |error: std::io::Error| unavailable(format!("the worker is gone: {error}"));
        self.input.write_all(&frame).await.map_err(io)?;
        match receive(&mut self.output, &mut self.received).await {
            Ok(Message::Answer { number: n, body }) if n == number => body,
            Ok(Message::Answer { .. }) => {
                Err(unavailable("the worker answered something else".to_owned()))
            }
            Ok(Message::Lost { reason }) => Err(unavailable(reason)),
            Err(reason) => Err(unavailable(reason)),
        }
    }

    /// Serves until the end, then answers or gives back what was in flight. Says also how many
    /// requests it answered.
    pub(super) async fn serve(mut self, shared: &Shared, slot: Slot) -> (End, u64) {
        let config = &shared.place(slot).config;
        let desk = Desk {
            shared,
            slot,
            number: shared.started(slot),
            pending: Pending::default(),
            window: Semaphore::new(config.sessions * 16 + 16),
            answered: AtomicU64::new(0),
        };
        let wrong = "a signature of its did not verify";
        let end = tokio::select! {
            end = desk.send(&mut self.input, self.next_number) => end,
            end = desk.take_answers(&mut self.output, &mut self.received) => end,
            end = watch(&desk.pending, config.sessions, config.deadline) => end,
            () = desk.drained() => End::Drained,
            () = shared.distrusted(slot, desk.number) => End::Died(wrong.to_owned()),
            () = shared.stop.cancelled() => End::Stopped,
        };
        let answered = desk.answered.into_inner();
        let in_flight = desk.pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        let end = self.end(end).await;
        settle(in_flight, &end, shared);
        (end, answered)
    }

    /// Ends a worker that was opened to see whether it can be.
    pub(super) async fn close(self) {
        self.end(End::Stopped).await;
    }

    /// Sees the process off.
    async fn end(self, end: End) -> End {
        let Link { mut child, input, output, .. } = self;
        drop(input);
        if matches!(end, End::Stopped | End::Drained) {
            // The end of its input is the worker's sign to finalise the module.
            let patience = Duration::from_secs(3);
            if tokio::time::timeout(patience, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
            return end;
        }
        drop(output);
        let _ = child.start_kill();
        let status = child.wait().await.map_or_else(|e| e.to_string(), |s| s.to_string());
        match end {
            End::Died(reason) => End::Died(format!("{reason} ({status})")),
            end => end,
        }
    }
}

/// Answers what was in flight, or puts it back: when the worker says that it may be repeated, or
/// another one is there to do so.
fn settle(in_flight: BTreeMap<u64, InFlight>, end: &End, shared: &Shared) {
    let mut back = Vec::new();
    shared.in_flight.fetch_sub(in_flight.len(), Ordering::Relaxed);
    // This one still counts as ready.
    let others = shared.ready_workers() > 1;
    for (_, InFlight { mut job, .. }) in in_flight {
        match end {
            End::Stopped | End::Drained => job.answer(Err(HsmError::ShutDown)),
            End::Lost(_) if job.repeatable() => {
                job.again = true;
                back.push(job);
            }
            End::Died(_) if others && job.repeatable() => {
                job.again = true;
                back.push(job);
            }
            End::Lost(reason) | End::Died(reason) => job.answer(Err(unavailable(reason.clone()))),
        }
    }
    shared.jobs.push_front(back);
}

/// One worker's requests.
struct Desk<'a> {
    shared: &'a Shared,
    slot: Slot,
    /// Which of the slot's processes it is.
    number: u64,
    pending: Pending,
    window: Semaphore,
    answered: AtomicU64,
}

impl Desk<'_> {
    async fn send(&self, input: &mut ChildStdin, mut number: u64) -> End {
        let Desk { shared, pending, window, .. } = self;
        let mut frames = Vec::with_capacity(64 << 10);
        let sessions = shared.place(self.slot).config.sessions;
        loop {
            let Ok(first) = window.acquire().await else {
                return End::Died("window closed".to_owned());
            };
            let most = self.share().min(window.available_permits() + 1);
            let jobs = tokio::select! {
                jobs = shared.jobs.take(most) => jobs,
                // What is in flight is waited for, and nothing is taken any more.
                () = shared.drained(self.slot.place, true) => std::future::pending().await,
            };
            first.forget();
            // The window is only taken from here, so what was available is still.
            window.forget_permits(jobs.len() - 1);
            frames.clear();
            let now = Instant::now();
            let mut unsent = 0;
            {
                let mut pending = lock(pending);
                for job in jobs {
                    number += 1;
                    match proto::encode(&Request { number, op: job.op.wire() }, &mut frames) {
                        Ok(()) => {
                            let turn = pending.len() < sessions;
                            let due = turn.then_some(now + job.limit);
                            pending.insert(number, InFlight { job, due });
                            shared.in_flight.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            unsent += 1;
                            job.answer(Err(error));
                        }
                    }
                }
            }
            window.add_permits(unsent);
            if let Err(error) = input.write_all(&frames).await {
                return End::Died(format!("the worker does not listen: {error}"));
            }
            // A CRL's worth of buffer is not kept for the sake of the next certificate.
            frames.shrink_to(1 << 20);
            if shared.ready_workers() > 1 {
                // What is left is for whoever was told of it, too.
                tokio::task::yield_now().await;
            }
        }
    }

    /// How much of what waits is this worker's: with others there, no more than its part, so that
    /// none waits behind a slow token while a quick one is idle.
    fn share(&self) -> usize {
        match self.shared.ready_workers() {
            0 | 1 => BATCH,
            workers => self.shared.jobs.len().div_ceil(workers).clamp(1, BATCH),
        }
    }

    async fn take_answers(&self, output: &mut ChildStdout, received: &mut BytesMut) -> End {
        loop {
            match receive(output, received).await {
                Ok(Message::Answer { number, body }) => {
                    if let Some(reason) = vanished(number, &body, &self.pending, self.shared) {
                        return End::Lost(reason);
                    }
                    if let Some(InFlight { job, .. }) = lock(&self.pending).remove(&number) {
                        self.window.add_permits(1);
                        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
                        self.answered.fetch_add(1, Ordering::Relaxed);
                        let (slot, number) = (self.slot.number, self.number);
                        job.answer(body.map(|answer| Given { answer, slot, number }));
                    }
                }
                Ok(Message::Lost { reason }) => return End::Lost(reason),
                Err(reason) => return End::Died(reason),
            }
        }
    }

    /// Returns when the token is drained and nothing is in flight.
    async fn drained(&self) {
        self.shared.drained(self.slot.place, true).await;
        let mut tick = tokio::time::interval(TICK_MIN);
        while !lock(&self.pending).is_empty() {
            tick.tick().await;
        }
    }
}

/// Why an answer denies a key although we know it. Then not the request is wrong but the token: it
/// was exchanged, erased or meddled with, and the request stays in flight until ours is back.
fn vanished(
    number: u64,
    body: &Result<Answer, HsmError>,
    pending: &Pending,
    shared: &Shared,
) -> Option<String> {
    let said = match body {
        Err(
            error @ (HsmError::KeyNotFound { .. }
            | HsmError::KeyAmbiguous { .. }
            | HsmError::NoPublicKey { .. }),
        ) => error.to_string(),
        Ok(Answer::Key(None)) => "a key is gone".to_owned(),
        _ => return None,
    };
    let pending = lock(pending);
    let id = pending.get(&number)?.job.op.key_id()?;
    shared.knows_key(id).then_some(said)
}

/// Takes the next message from what was received, reading when there is none.
async fn receive(output: &mut ChildStdout, received: &mut BytesMut) -> Result<Message, String> {
    loop {
        if let Some((len, rest)) = received.split_first_chunk::<4>() {
            let len = u32::from_le_bytes(*len) as usize;
            if len > MAX_FRAME {
                return Err(format!("the worker talks nonsense (a frame of {len} bytes)"));
            }
            if let Some(frame) = rest.get(..len) {
                let message = postcard::from_bytes(frame)
                    .map_err(|error| format!("the worker talks nonsense ({error})"))?;
                received.advance(4 + len);
                return Ok(message);
            }
            received.reserve(4 + len - received.len());
        } else {
            received.reserve(64 << 10);
        }
        match output.read_buf(received).await {
            Ok(0) => return Err("the worker ended".to_owned()),
            Ok(_) => (),
            Err(error) => return Err(format!("the worker's output: {error}")),
        }
    }
}

/// Ends when a request is overdue: its worker hangs. Sessions take requests in their order, so the
/// time of one runs when there are no more before it than sessions: a token that is slow is not one
/// that hangs.
async fn watch(pending: &Pending, sessions: usize, deadline: Duration) -> End {
    let mut tick = tokio::time::interval((deadline / 8).clamp(TICK_MIN, TICK_MAX));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = Instant::now();
        let overdue = |in_flight: &mut InFlight| {
            *in_flight.due.get_or_insert_with(|| now + in_flight.job.limit) <= now
        };
        if lock(pending).values_mut().take(sessions).any(overdue) {
            return End::Died(format!("the worker did not answer within {deadline:?}"));
        }
    }
}

const TICK_MIN: Duration = Duration::from_millis(5);
const TICK_MAX: Duration = Duration::from_millis(250);
