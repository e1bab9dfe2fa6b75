//! Licences of everything that is linked in, against a list.

/// Licences that a distributor of the binary can keep with ease: permissive, no copyleft.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Every crate whose licence cannot be kept.
pub(crate) fn refused(licences: &[(String, Option<String>)]) -> Vec<String> {
    let mut refused = Vec::new();
    for (name, licence) in licences {
        match licence {
            None => refused.push(format!("{name} names no licence")),
            Some(text) => match Expression::allowed(text) {
                Some(true) => {}
                Some(false) => refused.push(format!("{name}: {text:?} is not allowed")),
                None => refused.push(format!("{name}: {text:?} is not an SPDX expression")),
            },
        }
    }
    refused
}

/// Reads an SPDX licence expression (annex D of the SPDX specification), and the old `A/B`.
struct Expression<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl Expression<'_> {
    fn allowed(text: &str) -> Option<bool> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let mut expression = Expression { tokens: spaced.split_whitespace().collect(), at: 0 };
        let allowed = expression.any()?;
        (expression.at == expression.tokens.len()).then_some(allowed)
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.tokens.get(self.at) == Some(&token);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Option<bool> {
        let mut allowed = self.all()?;
        while self.take("OR") {
            allowed |= self.all()?;
        }
        Some(allowed)
    }

    fn all(&mut self) -> Option<bool> {
        let mut allowed = self.one()?;
        while self.take("AND") {
            allowed &= self.one()?;
        }
        Some(allowed)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let allowed = self.any()?;
            return self.take(")").then_some(allowed);
        }
        let mut name = (*self.tokens.get(self.at)?).to_owned();
        self.at += 1;
        if self.take("WITH") {
            name = format!("{name} WITH {}", self.tokens.get(self.at)?);
            self.at += 1;
        }
        Some(ALLOWED.contains(&name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_allowed_and_a_sum_needs_all() {
        for (text, allowed) in [
            ("MIT", Some(true)),
            ("MIT OR GPL-3.0-only", Some(true)),
            ("GPL-3.0-only/MIT", Some(true)),
            ("MIT AND GPL-3.0-only", Some(false)),
            ("(MIT OR GPL-3.0-only) AND Unicode-3.0", Some(true)),
            ("MIT OR GPL-3.0-only AND AGPL-3.0-only", Some(true)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("GPL-2.0-only WITH LLVM-exception", Some(false)),
            ("(MIT", None),
            ("MIT MIT", None),
            ("", None),
        ] {
            assert_eq!(Expression::allowed(text), allowed, "{text}");
        }
    }

    #[test]
    fn no_licence_is_no_permission() {
        assert_eq!(refused(&[("x 1.0.0".into(), None)]).len(), 1);
    }
}
