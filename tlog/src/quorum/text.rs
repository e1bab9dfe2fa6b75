//! The text of a policy, line by line (C2SP tlog-policy, "Policy file syntax and structure").

use std::collections::BTreeMap;

use super::{Group, KnownLog, MAX_POLICY, Member, PolicyError, Quorum, Witness};
use crate::cosign::CosignerKey;
use crate::note::LogKey;

/// The name that stands for nobody.
const NONE: &str = "none";

/// Where a name was defined, and whether it is a member of a group already.
struct Defined {
    member: Member,
    taken: bool,
}

#[derive(Default)]
struct Reader {
    logs: Vec<KnownLog>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    names: BTreeMap<String, Defined>,
    rule: Option<Option<Member>>,
}

pub(super) fn parse(policy: &str) -> Result<Quorum, PolicyError> {
    let refuse = |line, reason: String| PolicyError { line, reason };
    if policy.len() > MAX_POLICY {
        let reason = format!("the text has {} bytes, at most {MAX_POLICY} are read", policy.len());
        return Err(refuse(1, reason));
    }
    let forbidden = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n');
    if let Some(at) = policy.find(forbidden) {
        let line = 1 + policy[..at].matches('\n').count();
        return Err(refuse(line, "a control character".to_owned()));
    }
    let lines = policy.matches('\n').count();
    let Some(body) = policy.strip_suffix('\n') else {
        return Err(refuse(lines + 1, "the last line has no end".to_owned()));
    };
    let mut reader = Reader::default();
    for (at, line) in body.split('\n').enumerate() {
        reader.line(line).map_err(|reason| refuse(at + 1, reason))?;
    }
    let Reader { logs, witnesses, groups, rule, .. } = reader;
    let rule = rule.ok_or_else(|| refuse(lines + 1, "there is no quorum line".to_owned()))?;
    Ok(Quorum { logs, witnesses, groups, rule })
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(keyword) = words.next().filter(|word| !word.starts_with('#')) else {
            return Ok(());
        };
        let words: Vec<&str> = words.collect();
        match (keyword, &words[..]) {
            ("log", [key]) => self.log(key, None),
            ("log", [key, url]) => self.log(key, Some(url)),
            ("log", _) => Err("not of the form: log KEY [URL]".to_owned()),
            ("witness", [name, key]) => self.witness(name, key, None),
            ("witness", [name, key, url]) => self.witness(name, key, Some(url)),
            ("witness", _) => Err("not of the form: witness NAME KEY [URL]".to_owned()),
            ("group", [name, threshold, members @ ..]) => self.group(name, threshold, members),
            ("group", _) => Err("not of the form: group NAME K MEMBER...".to_owned()),
            ("quorum", [name]) => self.quorum(name),
            ("quorum", _) => Err("not of the form: quorum NAME".to_owned()),
            _ => Err(format!("begins with {keyword:?}, not with log, witness, group or quorum")),
        }
    }

    fn log(&mut self, key: &str, url: Option<&str>) -> Result<(), String> {
        let key = LogKey::parse_vkey(key).map_err(|error| error.to_string())?;
        if self.logs.iter().any(|log| log.key.same_key(&key)) {
            return Err(format!("the key of {key} stands in an earlier line, too"));
        }
        self.logs.push(KnownLog { key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), String> {
        let key = CosignerKey::parse_vkey(key).map_err(|error| error.to_string())?;
        if let Some(other) = self.witnesses.iter().find(|w| w.key.public() == key.public()) {
            return Err(format!("{name:?} has the key of {:?}", other.name));
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(Witness { name: name.to_owned(), key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, names: &[&str]) -> Result<(), String> {
        let count = names.len();
        if count == 0 {
            return Err(format!("the group {name:?} has no members"));
        }
        let threshold = match threshold {
            "any" => 1,
            "all" => count,
            number => match number.parse::<usize>() {
                Ok(k) if k.to_string() == number && (1..=count).contains(&k) => k,
                _ => {
                    return Err(format!("{number:?} is neither any, all, nor 1 to {count}"));
                }
            },
        };
        let mut members = Vec::new();
        for member in names {
            let defined = self
                .names
                .get_mut(*member)
                .ok_or_else(|| format!("{member:?} is not defined before this line"))?;
            if std::mem::replace(&mut defined.taken, true) {
                return Err(format!("{member:?} is a member of a group already"));
            }
            members.push(defined.member);
        }
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        if self.rule.is_some() {
            return Err("a second quorum line".to_owned());
        }
        let named = self.names.get(name).map(|defined| defined.member);
        if named.is_none() && name != NONE {
            return Err(format!("{name:?} is not defined before this line"));
        }
        self.rule = Some(named);
        Ok(())
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), String> {
        if name == NONE {
            return Err("nothing may be called none".to_owned());
        }
        if self.names.contains_key(name) {
            return Err(format!("the name {name:?} is given twice"));
        }
        self.names.insert(name.to_owned(), Defined { member, taken: false });
        Ok(())
    }
}
