//! `avouch contact`: who is known, and under which key.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use client::contacts::{AcknowledgeError, Contact, Contacts, safety_number};
use client::keys::Signer;
use client::sealed::{self, Sealed};
use wire::{Hash32, UserId};

use super::common::{ContactsFile, now_signed, private_key};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::{self, Format};

/// Shows and changes what is known of people: their keys, and what has to be said of them.
#[derive(Debug, Args)]
pub(crate) struct ContactArgs {
    #[command(subcommand)]
    command: ContactCommand,
    #[command(flatten)]
    contacts: ContactsFile,
    /// The trust file, handed over by your organisation.
    #[arg(
        long,
        value_name = "FILE",
        env = "AVOUCH_TRUST",
        default_value = "trust.json",
        global = true
    )]
    trust: PathBuf,
}

#[derive(Debug, Subcommand)]
enum ContactCommand {
    /// Lists everybody who is known.
    List {
        /// How to show them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Shows the safety number of a person, which the two of you compare: of the key that is known,
    /// or would be taken next; or of your own key.
    Number {
        /// The user id.
        #[arg(value_name = "UID")]
        uid: UserId,
        /// Your own private key.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Notes that you compared the safety number with the person, face to face or by a voice you
    /// know.
    Verify {
        /// The user id.
        #[arg(value_name = "UID")]
        uid: UserId,
        /// The sixty digits that the person has.
        #[arg(long, value_name = "DIGITS")]
        number: String,
    },
    /// Takes note that officers switched a person to another key; who was verified in person has to
    /// be verified again instead.
    Acknowledge {
        /// The user id.
        #[arg(value_name = "UID")]
        uid: UserId,
    },
    /// Lists what was sealed with this contacts file: to a person, or to anybody. With `--dropped`,
    /// to whom officers declared the enrolment false: whoever held that key was somebody else.
    Sealed {
        /// The user id.
        #[arg(value_name = "UID", conflicts_with = "dropped")]
        uid: Option<UserId>,
        /// To contacts that were dropped.
        #[arg(long)]
        dropped: bool,
        /// How to show it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Forgets a person. The next key is taken on the authority's word again.
    Forget {
        /// The user id.
        #[arg(value_name = "UID")]
        uid: UserId,
    },
}

pub(crate) fn run(args: &ContactArgs) -> Result<(), Failure> {
    let trust = files::trust(&args.trust)?;
    let (genesis, path) = (trust.genesis(), args.contacts.path()?);
    let local = |e: client::contacts::ContactsError| Failure::local(e.to_string());
    match &args.command {
        ContactCommand::List { format } => {
            let contacts = Contacts::load(&path).map_err(local)?;
            let known: Vec<_> =
                contacts.contacts().iter().filter(|c| c.genesis == genesis).collect();
            match format {
                Format::Json => output::json(&known),
                Format::Text => known.iter().for_each(|contact| output::line(&shown(contact))),
            }
            Ok(())
        }
        ContactCommand::Number { uid, key } => {
            let key = match key {
                Some(key) => Hash32::of(private_key(key)?.spki_der()),
                None => {
                    let contacts = Contacts::load(&path).map_err(local)?;
                    let contact = contacts.find(genesis, uid).ok_or_else(|| unknown(uid))?;
                    contact.switched.as_ref().map_or(contact.spki_sha256, |next| next.key)
                }
            };
            output::line(&safety_number(genesis, uid, key));
            Ok(())
        }
        ContactCommand::Verify { uid, number } => {
            Contacts::update(&path, |contacts| contacts.verify(genesis, uid, number, now_signed()))
                .map_err(local)?
                .map_err(refused)?;
            output::line(&format!("{uid}: verified"));
            Ok(())
        }
        ContactCommand::Acknowledge { uid } => {
            Contacts::update(&path, |contacts| contacts.acknowledge(genesis, uid))
                .map_err(local)?
                .map_err(refused)?;
            output::line(&format!("{uid}: the new key is known now"));
            Ok(())
        }
        ContactCommand::Sealed { uid, dropped, format } => {
            let mut all = sealed::list(&path, genesis, uid.as_ref()).map_err(local)?;
            if *dropped {
                let contacts = Contacts::load(&path).map_err(local)?;
                let gone = contacts.dropped();
                all.retain(|sealed| {
                    gone.iter().any(|d| d.genesis == genesis && sealed.key(&d.uid) == Some(d.key))
                });
            }
            match format {
                Format::Json => output::json(&all),
                Format::Text => all.iter().for_each(|sealed| output::line(&sealed_line(sealed))),
            }
            Ok(())
        }
        ContactCommand::Forget { uid } => {
            if !Contacts::update(&path, |contacts| contacts.forget(genesis, uid)).map_err(local)? {
                return Err(unknown(uid));
            }
            output::line(&format!("{uid}: forgotten"));
            Ok(())
        }
    }
}

/// A sealed file in a line.
pub(super) fn sealed_line(sealed: &Sealed) -> String {
    let to: Vec<_> = sealed.to.iter().map(|to| to.uid.as_str()).collect();
    format!(
        "{}  {}, {} bytes, to {}, in {}",
        sealed.at,
        sealed.label,
        sealed.size,
        to.join(", "),
        sealed.file
    )
}

fn unknown(uid: &UserId) -> Failure {
    Failure::local(AcknowledgeError::Unknown(uid.clone()).to_string())
}

fn refused(error: AcknowledgeError) -> Failure {
    let exit = match error {
        AcknowledgeError::Unknown(_) | AcknowledgeError::Nothing(_) => Exit::Local,
        AcknowledgeError::Verify(_) | AcknowledgeError::Number { .. } => Exit::Changed,
    };
    Failure::new(exit, error.to_string())
}

fn shown(contact: &Contact) -> String {
    let mut line =
        format!("{}  key {}  seen {}", contact.uid, contact.spki_sha256, contact.last_seen);
    if let Some(at) = &contact.verified {
        line.push_str(&format!("  verified {at}"));
    }
    if let Some(switched) = &contact.switched {
        line.push_str(&format!("  SWITCHED, not acknowledged: {}", switched.told));
    }
    line
}
