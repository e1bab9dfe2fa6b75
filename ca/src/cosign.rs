//! Co-signing: every certificate waits until the installation's quorum vouches for a checkpoint
//! that its leaf is in.
//!
//! One loop (`driver.rs`) has all co-signers asked for the newest signed checkpoint, all at once,
//! until the quorum has answered; whoever is late is not waited for, and what it says is kept all
//! the same. What came in is in the `book`. What is shown to people is the newest checkpoint that
//! the quorum vouched for. An installation without co-signers has no part in any of this.

mod book;
mod client;
mod door;
mod driver;
mod feed;
mod kept;
mod lent;
mod start;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::Installation;
use tlog::quorum::{PolicyError, Quorum};
use tokio::sync::{Notify, watch};
use wire::genesis::Cosigner;
use wire::problem::{Problem, ProblemCode};
use wire::rest::HealthPart;

use crate::store::rows::{CheckpointRow, CosignatureRow, Publication};
use book::{Book, Offer};

pub use client::{Peer, PeerError};
pub(crate) use door::{Doors, close, run as fetch_statements};
pub(crate) use driver::run;
pub(crate) use feed::Hand;
pub(crate) use kept::{KeptError, newest};
pub use lent::LendError;
pub(crate) use lent::{Borrower, borrow, word};
pub use start::StartError;
pub(crate) use start::{load, start};

/// Leaves that may wait for the quorum before no certificate is asked for any more. An auditor
/// passes a refused leaf in one request with its strike, which comes when the officers have met: so
/// there must be room in a request for all that waited until then, and for the part that the leaf
/// is in.
const BACKLOG: u64 = 12_288;
const _: () = assert!(BACKLOG + 2 * feed::PART <= evidence::audit::MAX_ENTRIES as u64);

/// What happens at a start when the quorum cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenUnreachable {
    /// The authority does not start: its database may be an old one.
    #[default]
    Stop,
    /// It starts. Certificates wait for the quorum as ever.
    Run,
}

/// How co-signers are asked.
#[derive(Debug, Clone)]
pub struct CosigningSettings {
    /// Where they are.
    pub peers: Vec<Peer>,
    /// How long a certificate waits for the quorum before its caller is told to come back, and how
    /// long one answer may take.
    pub deadline: Duration,
    /// After which time an idle log is co-signed again.
    pub refresh: Duration,
    /// What happens at a start when the quorum cannot be asked.
    pub when_unreachable: WhenUnreachable,
}

impl Default for CosigningSettings {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            deadline: Duration::from_secs(5),
            refresh: Duration::from_secs(600),
            when_unreachable: WhenUnreachable::Stop,
        }
    }
}

/// A checkpoint that the quorum vouches for.
#[derive(Debug, Clone)]
pub(crate) struct Vouched {
    /// As the log signed it.
    pub(crate) row: CheckpointRow,
    /// Who vouched.
    pub(crate) cosignatures: Vec<CosignatureRow>,
}

impl Vouched {
    /// The note with all co-signatures that are known.
    pub(crate) fn note(&self) -> String {
        let mut note = self.row.note.clone();
        for row in &self.cosignatures {
            note.push_str(&row.latest.line);
            note.push('\n');
        }
        note
    }

    /// What is stored of it.
    pub(crate) fn add_to(&self, publication: &mut Publication) {
        publication.checkpoints.push(self.row.clone());
        publication.vouched = publication.vouched.max(Some(self.row.size));
        publication.cosignatures.extend(self.cosignatures.iter().cloned());
    }
}

/// Why a checkpoint is not vouched for yet, in words.
#[derive(Debug, thiserror::Error)]
#[error("the quorum has not co-signed it yet: {missing}")]
pub(crate) struct NotYet {
    missing: String,
}

/// The installation's co-signers, and what they vouched for.
#[derive(Debug)]
pub(crate) struct Cosigning {
    settings: CosigningSettings,
    book: Mutex<Book>,
    /// Leaves of the newest checkpoint that the quorum vouched for.
    quorate: watch::Sender<u64>,
    /// Something is to be done by the loop.
    changed: Notify,
}

impl Cosigning {
    /// Under the installation's co-signers.
    ///
    /// # Errors
    /// When their keys make no quorum.
    pub(crate) fn new(
        settings: CosigningSettings,
        installation: &Installation,
    ) -> Result<Self, PolicyError> {
        let (quorum, _) = Quorum::of(installation.cosigners())?;
        let book = Book::new(quorum, installation.cosigners(), &settings.peers);
        let quorate = watch::Sender::new(0);
        Ok(Self { settings, book: Mutex::new(book), quorate, changed: Notify::new() })
    }

    /// The installation has changed. Its present quorum counts, for whatever was logged before as
    /// well: officers who replace a co-signer that is gone for ever set free what waits for it.
    ///
    /// # Errors
    /// As [`Cosigning::new`]; nothing is changed then.
    pub(crate) fn under(&self, installation: &Installation) -> Result<(), PolicyError> {
        self.of(installation.cosigners())
    }

    fn of(&self, cosigners: &[Cosigner]) -> Result<(), PolicyError> {
        let (quorum, _) = Quorum::of(cosigners)?;
        self.with(|book| book.under(quorum, cosigners, &self.settings.peers));
        // Also where no other checkpoint is vouched for: perhaps nobody is asked any more.
        self.quorate.send_modify(|_| {});
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the book, and tells those who wait for it.
    fn with<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let mut book = self.lock();
        let outcome = change(&mut book);
        let size = book.quorate().unwrap_or(0);
        self.quorate.send_if_modified(|known| std::mem::replace(known, size) != size);
        drop(book);
        self.changed.notify_one();
        outcome
    }

    /// Whether anybody is asked at all.
    pub(crate) fn is_on(&self) -> bool {
        !self.lock().quorum().is_none()
    }

    /// A checkpoint that the log signed.
    pub(crate) fn offer(&self, row: &CheckpointRow) {
        if let Some(offer) = Offer::of(row.clone()) {
            self.with(|book| book.offer(Arc::new(offer)));
        }
    }

    /// The newest checkpoint that the quorum vouches for.
    pub(crate) fn vouched(&self) -> Option<Vouched> {
        self.lock().vouched()
    }

    /// Waits until the quorum vouches for a checkpoint of at least this size; none once nobody is
    /// asked any more, for nobody is waited for then.
    pub(crate) async fn until(&self, size: u64) -> Option<Vouched> {
        let mut quorate = self.quorate.subscribe();
        loop {
            quorate.borrow_and_update();
            // An installation that changed meanwhile may have another quorum.
            match self.vouched() {
                Some(vouched) if vouched.row.size >= size => return Some(vouched),
                _ if !self.is_on() => return None,
                _ => quorate.changed().await.ok()?,
            }
        }
    }

    /// The same, up to the deadline.
    pub(crate) async fn within_deadline(&self, size: u64) -> Result<Vouched, NotYet> {
        let waited = tokio::time::timeout(self.settings.deadline, self.until(size)).await;
        waited.ok().flatten().ok_or_else(|| NotYet { missing: self.lock().missing(size) })
    }

    /// The newest checkpoint that the quorum vouches for, of at least this size if it comes while
    /// the co-signers answer; else an older one, if there is any.
    pub(crate) async fn shown(&self, size: u64) -> Result<Vouched, Box<Problem>> {
        let is_there = |vouched: &Vouched| vouched.row.size >= size;
        let known = self.vouched();
        if let Some(vouched) = known.filter(|known| is_there(known) || self.lock().is_late()) {
            return Ok(vouched);
        }
        let waited = self.within_deadline(size).await;
        waited.or_else(|not_yet| self.vouched().ok_or(not_yet)).map_err(|not_yet| {
            let detail = format!("no checkpoint can be shown: {not_yet}");
            Box::new(Problem::new(ProblemCode::Pending, detail).retry_after(2))
        })
    }

    /// A group stores the words on this checkpoint.
    pub(crate) fn taken_along(&self, size: u64) {
        self.lock().stored_with(size);
    }

    /// Refuses what would have to wait behind too much that waits already.
    pub(crate) fn has_room(&self, log_size: u64) -> Result<(), Box<Problem>> {
        let waiting = log_size.saturating_sub(*self.quorate.borrow());
        if waiting < BACKLOG || !self.is_on() {
            return Ok(());
        }
        let detail = format!("{waiting} leaves wait for the co-signers already");
        Err(Box::new(Problem::new(ProblemCode::Overloaded, detail).retry_after(10)))
    }

    /// How the co-signers are; nothing where there are none.
    pub(crate) fn health(&self) -> Option<HealthPart> {
        let book = self.lock();
        if book.quorum().is_none() {
            return None;
        }
        let detail = if book.is_late() || !book.is_well() {
            format!("{}: {}", book.quorum().rule(), book.states().join("; "))
        } else {
            "ok".to_owned()
        };
        Some(HealthPart { name: "cosigners".to_owned(), ok: !book.is_late(), detail })
    }

    /// What operators should know of the way co-signers are configured.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.lock().warnings(&self.settings.peers)
    }

    /// Each co-signer's name, and whether it answered last.
    pub(crate) fn answering(&self) -> Vec<(String, bool)> {
        self.lock().answering()
    }
}

#[cfg(test)]
mod tests {
    use wire::genesis::CosignerKind;

    use super::*;

    /// Officers who take the last co-signer out of the installation free what waits for it.
    #[tokio::test]
    async fn nobody_is_waited_for_once_nobody_is_asked() {
        let key = tlog::cosign::Cosigner::from_seed("w.example", &[1; 32]).unwrap();
        let one = [Cosigner { kind: CosignerKind::Witness, vkey: key.key().vkey() }];
        let cosigning = Arc::new(Cosigning {
            settings: CosigningSettings::default(),
            book: Mutex::new(Book::new(Quorum::of(&one).unwrap().0, &one, &[])),
            quorate: watch::Sender::new(0),
            changed: Notify::new(),
        });
        let waiting = Arc::clone(&cosigning);
        let waiting = tokio::spawn(async move { waiting.until(5).await });
        tokio::task::yield_now().await;
        cosigning.of(&[]).unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(5), waiting).await;
        assert!(waited.expect("it goes on").unwrap().is_none());
    }
}
