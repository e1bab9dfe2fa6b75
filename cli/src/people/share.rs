//! `avouch seal` and `avouch open`: shares.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use client::cms;
use client::fetch::MaterialError;
use client::moves::Move;
use client::recipient::{RecipientRefusal, VerifiedRecipient};
use client::sealed::{self, Sealed};
use client::share::{self, Resolved};
use serde::Serialize;
use wire::intent::Name;
use wire::{Hash32, UserId};

use super::common::{Connection, ContactsFile, Demands, now_signed, private_key};
use super::verify::shown_ok;
use crate::exit::Failure;
use crate::output::{self, Format};
use crate::{files, runtime};

/// Seals a file to people, each of whom is verified first (CMS; `openssl cms -decrypt` opens it).
///
/// Nothing is written when anybody is refused, unless --skip-refused. What was sealed to whom is
/// remembered beside the contacts (`avouch contact sealed`).
#[derive(Debug, Args)]
pub(crate) struct Seal {
    /// Whom to seal to. May be repeated.
    #[arg(long, value_name = "UID", required = true, num_args = 1..)]
    to: Vec<UserId>,
    /// The file; standard input by default.
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where to write the sealed file (DER).
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What to call it in `avouch contact sealed`; by default the name of the file.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Leaves out who is refused, instead of sealing to nobody.
    #[arg(long)]
    skip_refused: bool,
    #[command(flatten)]
    contacts: ContactsFile,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    demands: Demands,
    /// How to show the result of each recipient.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What became of each person, for showing.
#[derive(Debug)]
pub(super) struct Results(Vec<(UserId, Result<VerifiedRecipient, MaterialError>)>);

#[derive(Serialize)]
struct Line {
    uid: UserId,
    ok: bool,
    code: Option<String>,
    detail: Option<String>,
    spki_sha256: Option<String>,
    /// E-mail addresses and UPNs in the certificate.
    names: Option<Vec<Name>>,
    new_contact: Option<bool>,
    moved: Option<Vec<Move>>,
}

impl Results {
    pub(super) fn of(resolved: Vec<Resolved>) -> Self {
        Self(resolved.into_iter().map(|Resolved { uid, result }| (uid, result)).collect())
    }

    /// Lists what was sealed to those who turned out to be others, or have another key by officers'
    /// word.
    fn tell_of_sealed(&self, genesis: Hash32, contacts: &Path) {
        for (uid, result) in &self.0 {
            let Err(MaterialError::Refused(refusal)) = result else { continue };
            let (RecipientRefusal::Voided { expected, .. }
            | RecipientRefusal::Switched { expected, .. }) = refusal
            else {
                continue;
            };
            match sealed::list(contacts, genesis, Some(uid)) {
                Ok(all) => {
                    let to_it = all.iter().filter(|sealed| sealed.key(uid) == Some(*expected));
                    let lines: Vec<_> = to_it.map(super::contact::sealed_line).collect();
                    if lines.is_empty() {
                        output::talk(&format!("{uid}: nothing was sealed to that key here"));
                    } else {
                        output::talk(&format!("{uid}: sealed to that key here:"));
                        lines.iter().for_each(|line| output::talk(&format!("  {line}")));
                    }
                }
                Err(error) => output::talk(&format!("avouch: {error}")),
            }
            if matches!(refusal, RecipientRefusal::Voided { .. }) {
                output::talk(&format!("{uid}: the contact is dropped"));
            }
        }
    }

    pub(super) fn show(&self, genesis: Hash32, contacts: &Path, format: Format) {
        self.tell_of_sealed(genesis, contacts);
        match format {
            Format::Json => output::json(&self.0.iter().map(line).collect::<Vec<_>>()),
            Format::Text => {
                for (uid, result) in &self.0 {
                    if let Ok(recipient) = result
                        && let Some(moved) = recipient.moved()
                    {
                        let told = client::moves::told(uid, &moved.moves);
                        output::talk(&format!(
                            "{told}; the key before, or the recovery key, signed for it"
                        ));
                    }
                    match result {
                        Ok(recipient) => {
                            let mut detail = format!("key {}", recipient.spki_sha256());
                            if recipient.is_new_contact() {
                                detail.push_str(", seen for the first time");
                            }
                            for name in recipient.names() {
                                detail.push_str(&format!(", {} {}", name.kind, name.value));
                            }
                            shown_ok(uid, &detail);
                        }
                        Err(_) => output::line(&format!("{uid}: refused")),
                    }
                }
            }
        }
    }

    /// The first refusal, in the order given.
    pub(super) fn into_first_refusal(self) -> Option<Failure> {
        self.0.into_iter().find_map(|(_, result)| result.err()).map(Failure::from)
    }

    /// Those who passed; the first refusal when nobody did, or when it counts.
    fn into_recipients(self, skip_refused: bool) -> Result<Vec<VerifiedRecipient>, Failure> {
        let mut passed = Vec::new();
        let mut refused = None;
        for (_, result) in self.0 {
            match result {
                Ok(recipient) => passed.push(recipient),
                // The first one is told at the end, with its exit code.
                Err(error) if refused.is_none() => refused = Some(Failure::from(error)),
                Err(error) => output::talk(&format!("avouch: {}", Failure::from(error).message())),
            }
        }
        match refused {
            Some(failure) if !skip_refused || passed.is_empty() => Err(failure),
            Some(failure) => {
                output::talk(&format!("avouch: left out: {}", failure.message()));
                Ok(passed)
            }
            None => Ok(passed),
        }
    }
}

fn line((uid, result): &(UserId, Result<VerifiedRecipient, MaterialError>)) -> Line {
    let uid = uid.clone();
    match result {
        Ok(recipient) => Line {
            uid,
            ok: true,
            code: None,
            detail: None,
            spki_sha256: Some(recipient.spki_sha256().to_string()),
            names: Some(recipient.names().collect()),
            new_contact: Some(recipient.is_new_contact()),
            moved: recipient.moved().map(|moved| moved.moves.clone()),
        },
        Err(error) => Line {
            uid,
            ok: false,
            code: Some(match error {
                MaterialError::Fetch(_) => "not-fetched".to_owned(),
                MaterialError::Refused(refusal) => refusal.code().to_owned(),
                MaterialError::Unproven { .. } => "unproven".to_owned(),
                MaterialError::Log { .. } => "log".to_owned(),
            }),
            detail: Some(error.to_string()),
            spki_sha256: None,
            names: None,
            new_contact: None,
            moved: None,
        },
    }
}

pub(crate) fn seal(args: &Seal) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(None)?;
    let contacts = args.contacts.path()?;
    let content = input(args.input.as_deref())?;
    let resolved = runtime()?
        .block_on(share::resolve(
            &server,
            &trust,
            args.demands.log_proof(),
            &contacts,
            &args.to,
            now_signed,
        ))
        .map_err(|e| Failure::local(e.to_string()))?;
    let results = Results::of(resolved);
    results.show(trust.genesis(), &contacts, args.format);
    let recipients = results.into_recipients(args.skip_refused)?;
    let sealed = cms::seal(&content, &recipients).map_err(|e| Failure::local(e.to_string()))?;
    // Remembered before it is there: what nobody remembers was not sealed.
    let label = args.label.clone().or_else(|| args.input.as_deref().map(shown_path));
    let named = (label.unwrap_or_else(|| "standard input".to_owned()), shown_path(&args.out));
    let size = content.len() as u64;
    if let Some(line) = Sealed::new(&recipients, named, size, &sealed, now_signed()) {
        sealed::remember(&contacts, &line).map_err(|e| Failure::local(e.to_string()))?;
    }
    files::write(&args.out, &sealed, 0o600)?;
    output::talk(&format!("sealed to {} in {}", recipients.len(), args.out.display()));
    Ok(())
}

/// A path as it is found again from another folder.
fn shown_path(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Opens what was sealed to you.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// Your private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The sealed file (DER or PEM); standard input by default.
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where to write the content; standard output by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn open(args: &Open) -> Result<(), Failure> {
    let key = private_key(&args.key)?;
    let sealed = input(args.input.as_deref())?;
    let content = cms::open(&sealed, &key, &[]).map_err(|e| Failure::local(e.to_string()))?;
    match &args.out {
        Some(path) => files::write(path, &content, 0o600),
        None => std::io::stdout()
            .lock()
            .write_all(&content)
            .map_err(|e| Failure::local(format!("cannot write the content: {e}"))),
    }
}

fn input(path: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let Some(path) = path else {
        let mut bytes = Vec::new();
        let limit = cms::MAX_CONTENT as u64 * 2 + 1;
        std::io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|e| Failure::local(format!("cannot read standard input: {e}")))?;
        return Ok(bytes);
    };
    files::read(path)
}
