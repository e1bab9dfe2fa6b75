//! Which attributes a token is given when it makes a key.
//!
//! Every use is named, because SoftHSM and others default to all of them, whatever the key's kind.
//! Some modules refuse attributes that they do not know or would set themselves: a [`Template`]
//! leaves those out. What comes of it is read back from the token, so leaving out an attribute that
//! matters shows in whether the key counts as held by an HSM.

use cryptoki::object::Attribute;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A half of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Half {
    /// The public key's object.
    Public,
    /// The private key's object.
    Private,
}

/// What is said of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// Nothing: the token decides.
    Omit,
    /// This.
    Say(bool),
}

/// Why an attribute cannot be set so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No attribute of this half has that name.
    #[error("no attribute that can be set is called {name:?}")]
    Unknown {
        /// The name as given.
        name: String,
    },
    /// A key with it would be of no use, or not be protected.
    #[error(
        "{name} may be left out (\"omit\") for tokens that set it themselves, and is {always} otherwise"
    )]
    Fixed {
        /// The attribute.
        name: &'static str,
        /// What it is.
        always: bool,
    },
}

/// The attributes that differ from what all tokens should take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    changes: BTreeMap<(Half, Flag), Setting>,
    attestation: Option<u64>,
}

/// Attributes whose value is true or false, and the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Flag {
    AlwaysAuthenticate,
    Copyable,
    Decrypt,
    Derive,
    Destroyable,
    Encrypt,
    Extractable,
    Label,
    Modifiable,
    Private,
    Sensitive,
    Sign,
    SignRecover,
    Unwrap,
    Verify,
    VerifyRecover,
    Wrap,
    WrapWithTrusted,
}

/// One attribute of one half: what is said of it, and what may not be.
struct Line {
    half: Half,
    flag: Flag,
    name: &'static str,
    usual: Setting,
    never: Option<bool>,
}

const fn line(half: Half, flag: Flag, name: &'static str, usual: Setting) -> Line {
    Line { half, flag, name, usual, never: None }
}

const fn fixed(half: Half, flag: Flag, name: &'static str, value: bool) -> Line {
    Line { half, flag, name, usual: Setting::Say(value), never: Some(!value) }
}

const YES: Setting = Setting::Say(true);
const NO: Setting = Setting::Say(false);

/// All of them. `CKA_TOKEN`, `CKA_ID` and what describes the key are not here: without them no key
/// could be used or found again.
const LINES: &[Line] = &[
    line(Half::Public, Flag::Private, "CKA_PRIVATE", NO),
    line(Half::Public, Flag::Verify, "CKA_VERIFY", YES),
    line(Half::Public, Flag::Encrypt, "CKA_ENCRYPT", NO),
    line(Half::Public, Flag::Wrap, "CKA_WRAP", NO),
    line(Half::Public, Flag::Modifiable, "CKA_MODIFIABLE", NO),
    fixed(Half::Public, Flag::Label, "CKA_LABEL", true),
    line(Half::Public, Flag::VerifyRecover, "CKA_VERIFY_RECOVER", Setting::Omit),
    line(Half::Public, Flag::Derive, "CKA_DERIVE", Setting::Omit),
    line(Half::Public, Flag::Copyable, "CKA_COPYABLE", Setting::Omit),
    line(Half::Public, Flag::Destroyable, "CKA_DESTROYABLE", Setting::Omit),
    line(Half::Private, Flag::Private, "CKA_PRIVATE", YES),
    fixed(Half::Private, Flag::Sensitive, "CKA_SENSITIVE", true),
    fixed(Half::Private, Flag::Extractable, "CKA_EXTRACTABLE", false),
    fixed(Half::Private, Flag::Sign, "CKA_SIGN", true),
    line(Half::Private, Flag::SignRecover, "CKA_SIGN_RECOVER", NO),
    line(Half::Private, Flag::Decrypt, "CKA_DECRYPT", NO),
    line(Half::Private, Flag::Unwrap, "CKA_UNWRAP", NO),
    line(Half::Private, Flag::Derive, "CKA_DERIVE", NO),
    line(Half::Private, Flag::Modifiable, "CKA_MODIFIABLE", NO),
    fixed(Half::Private, Flag::Label, "CKA_LABEL", true),
    line(Half::Private, Flag::Copyable, "CKA_COPYABLE", Setting::Omit),
    line(Half::Private, Flag::Destroyable, "CKA_DESTROYABLE", Setting::Omit),
    line(Half::Private, Flag::WrapWithTrusted, "CKA_WRAP_WITH_TRUSTED", Setting::Omit),
    // True would want the PIN again for each signature.
    Line {
        half: Half::Private,
        flag: Flag::AlwaysAuthenticate,
        name: "CKA_ALWAYS_AUTHENTICATE",
        usual: Setting::Omit,
        never: Some(true),
    },
];

/// A preset: its name, and what it leaves out of each half.
struct Preset {
    name: &'static str,
    public: &'static [&'static str],
    private: &'static [&'static str],
}

const PRESETS: &[Preset] = &[
    Preset { name: "standard", public: &[], private: &[] },
    // A TPM's keys sign and decrypt as the module decides; it refuses to be told.
    Preset {
        name: "tpm2-pkcs11",
        public: &["CKA_ENCRYPT", "CKA_VERIFY"],
        private: &["CKA_DECRYPT", "CKA_SIGN"],
    },
    // What protects the key and makes it of use; all else is the token's to say.
    Preset {
        name: "minimal",
        public: &["CKA_PRIVATE", "CKA_ENCRYPT", "CKA_WRAP", "CKA_MODIFIABLE"],
        private: &["CKA_SIGN_RECOVER", "CKA_DECRYPT", "CKA_UNWRAP", "CKA_DERIVE", "CKA_MODIFIABLE"],
    },
];

impl Template {
    /// The names of the compiled-in templates.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|preset| preset.name)
    }

    /// A compiled-in template.
    pub fn preset(name: &str) -> Option<Template> {
        let preset = PRESETS.iter().find(|preset| preset.name == name)?;
        let halves = [(Half::Public, preset.public), (Half::Private, preset.private)];
        let mut template = Template::default();
        for (half, names) in halves {
            for name in names {
                template.set(half, name, Setting::Omit).ok()?;
            }
        }
        Some(template)
    }

    /// The names of the attributes that can be set for this half.
    pub fn names(half: Half) -> impl Iterator<Item = &'static str> {
        LINES.iter().filter(move |line| line.half == half).map(|line| line.name)
    }

    /// Says something else of one attribute, by its name in the standard.
    ///
    /// # Errors
    /// There is no such attribute, or it cannot be set so.
    pub fn set(&mut self, half: Half, name: &str, setting: Setting) -> Result<(), TemplateError> {
        let line = LINES
            .iter()
            .find(|line| line.half == half && line.name == name)
            .ok_or_else(|| TemplateError::Unknown { name: name.to_owned() })?;
        if let Some(never) = line.never
            && setting == Setting::Say(never)
        {
            return Err(TemplateError::Fixed { name: line.name, always: !never });
        }
        self.changes.insert((half, line.flag), setting);
        Ok(())
    }

    /// Names the attribute of private keys in which the token's maker attests them. Numbers below
    /// `CKA_VENDOR_DEFINED` are the standard's own, and none of those is one.
    pub fn attested_by(&mut self, attribute: u64) {
        self.attestation = Some(attribute);
    }

    pub(crate) fn attestation(&self) -> Option<u64> {
        self.attestation
    }

    /// The attributes for one half of a key with this label.
    pub(crate) fn attributes(&self, half: Half, label: &str) -> Vec<Attribute> {
        let said = LINES.iter().filter(|line| line.half == half).filter_map(|line| {
            match self.changes.get(&(half, line.flag)).unwrap_or(&line.usual) {
                Setting::Omit => None,
                Setting::Say(value) => Some(line.flag.attribute(*value, label)),
            }
        });
        said.collect()
    }
}

impl Flag {
    fn attribute(self, value: bool, label: &str) -> Attribute {
        match self {
            Flag::AlwaysAuthenticate => Attribute::AlwaysAuthenticate(value),
            Flag::Copyable => Attribute::Copyable(value),
            Flag::Decrypt => Attribute::Decrypt(value),
            Flag::Derive => Attribute::Derive(value),
            Flag::Destroyable => Attribute::Destroyable(value),
            Flag::Encrypt => Attribute::Encrypt(value),
            Flag::Extractable => Attribute::Extractable(value),
            Flag::Label => Attribute::Label(label.as_bytes().to_vec()),
            Flag::Modifiable => Attribute::Modifiable(value),
            Flag::Private => Attribute::Private(value),
            Flag::Sensitive => Attribute::Sensitive(value),
            Flag::Sign => Attribute::Sign(value),
            Flag::SignRecover => Attribute::SignRecover(value),
            Flag::Unwrap => Attribute::Unwrap(value),
            Flag::Verify => Attribute::Verify(value),
            Flag::VerifyRecover => Attribute::VerifyRecover(value),
            Flag::Wrap => Attribute::Wrap(value),
            Flag::WrapWithTrusted => Attribute::WrapWithTrusted(value),
        }
    }
}

#[cfg(test)]
mod tests;
