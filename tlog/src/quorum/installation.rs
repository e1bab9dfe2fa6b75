//! The quorum of an installation: what its co-signers make of themselves.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use wire::genesis::{Cosigner, CosignerKind};

use super::{PolicyError, Quorum};
use crate::cosign::CosignerKey;

/// Names of groups, which no co-signer has in the text.
const AUDITORS: &str = "auditors";
const WITNESSES: &str = "witnesses";
const BOTH: &str = "auditors-and-witnesses";
const RESERVED: [&str; 4] = ["none", AUDITORS, WITNESSES, BOTH];

impl Quorum {
    /// The quorum of an installation with these co-signers, and its text for trust files: more
    /// than half of the auditors and more than half of the witnesses. A kind of which there is
    /// nobody is left out; where there is nobody at all, nobody is asked.
    ///
    /// The quorum's witnesses have the places that the co-signers have here. In the text they are
    /// called as their keys are, with the key's id where that is not enough.
    ///
    /// # Errors
    /// When one has no key of a co-signer, or two have the same.
    pub fn of(cosigners: &[Cosigner]) -> Result<(Self, String), PolicyError> {
        let mut text = String::new();
        let mut groups: Vec<String> = Vec::new();
        let mut names = Vec::with_capacity(cosigners.len());
        let mut taken: BTreeSet<String> = RESERVED.map(str::to_owned).into();
        for (at, cosigner) in cosigners.iter().enumerate() {
            let key = CosignerKey::parse_vkey(&cosigner.vkey)
                .map_err(|error| PolicyError { line: at + 1, reason: error.to_string() })?;
            let name = Some(key.name().to_owned()).filter(|name| !taken.contains(name));
            let name = name.unwrap_or_else(|| key.to_string());
            let _ = writeln!(text, "witness {name} {}", key.vkey());
            taken.insert(name.clone());
            names.push(name);
        }
        for (kind, group) in [(CosignerKind::Auditor, AUDITORS), (CosignerKind::Witness, WITNESSES)]
        {
            let of_kind = cosigners.iter().zip(&names).filter(|(c, _)| c.kind == kind);
            let members: Vec<&str> = of_kind.map(|(_, name)| name.as_str()).collect();
            if members.is_empty() {
                continue;
            }
            let majority = members.len() / 2 + 1;
            let _ = writeln!(text, "group {group} {majority} {}", members.join(" "));
            groups.push(group.to_owned());
        }
        match &groups[..] {
            [] => text.push_str("quorum none\n"),
            [one] => {
                let _ = writeln!(text, "quorum {one}");
            }
            both => {
                let _ = writeln!(text, "group {BOTH} all {}\nquorum {BOTH}", both.join(" "));
            }
        }
        Ok((Self::parse(&text)?, text))
    }
}

#[cfg(test)]
mod tests {
    use CosignerKind::{Auditor, Witness};

    use super::*;
    use crate::cosign;

    fn one(kind: CosignerKind, name: &str, seed: u8) -> Cosigner {
        let key = cosign::Cosigner::from_seed(name, &[seed; 32]).unwrap();
        Cosigner { kind, vkey: key.key().vkey() }
    }

    #[test]
    fn more_than_half_of_each_kind_is_needed() {
        let all = [
            one(Witness, "w1", 1),
            one(Auditor, "a1", 2),
            one(Witness, "w2", 3),
            one(Witness, "w3", 4),
            one(Auditor, "a2", 5),
        ];
        let (quorum, text) = Quorum::of(&all).unwrap();
        assert_eq!(Quorum::parse(&text).unwrap(), quorum);
        assert_eq!(quorum.rule(), "all of (all of (a1, a2), 2 of 3 of (w1, w2, w3))");
        assert!(quorum.met(|at| at != 2));
        // Places are those of the list: without an auditor, or with one witness, it is not met.
        assert!(!quorum.met(|at| at != 1));
        assert!(!quorum.met(|at| at != 2 && at != 3));
    }

    #[test]
    fn a_kind_of_which_there_is_nobody_is_left_out() {
        let (quorum, text) = Quorum::of(&[one(Auditor, "a", 1)]).unwrap();
        assert_eq!(quorum.rule(), "a");
        assert!(text.ends_with("group auditors 1 a\nquorum auditors\n"), "{text}");
        let (quorum, text) = Quorum::of(&[]).unwrap();
        assert!(quorum.is_none());
        assert_eq!(text, "quorum none\n");
    }

    #[test]
    fn names_that_collide_are_told_apart() {
        let all = [
            one(Witness, "same", 1),
            one(Witness, "same", 2),
            one(Auditor, "none", 3),
            one(Auditor, "witnesses", 4),
        ];
        let (quorum, _) = Quorum::of(&all).unwrap();
        let names: BTreeSet<&str> = quorum.witnesses().iter().map(|w| w.name()).collect();
        assert_eq!(names.len(), 4);
        assert!(quorum.met(|_| true) && !quorum.met(|at| at != 3));
    }

    #[test]
    fn one_key_is_one_voice() {
        let twice = [one(Witness, "w", 1), one(Auditor, "a", 1)];
        let error = Quorum::of(&twice).unwrap_err();
        assert!(error.to_string().contains("has the key of"), "{error}");
        let odd = Cosigner { kind: Witness, vkey: "log.example+00000000+AQ==".to_owned() };
        assert_eq!(Quorum::of(&[one(Witness, "w", 1), odd]).unwrap_err().line, 2);
    }
}
