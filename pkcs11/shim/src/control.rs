//! What is to go wrong, as text: one rule a line.
//!
//! ```text
//! token absent
//! rule 1 C_Sign skip=2 times=1 return=0x30
//! rule 2 C_Sign delay=5
//! rule 3 C_GenerateKeyPair after crash
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

macro_rules! calls {
    ($($variant:ident $name:literal,)*) => {
        /// A function that can be made to fail: all that a worker of ours calls, and those that
        /// provisioning needs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Call {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl Call {
            /// All of them.
            pub const ALL: &[Call] = &[$(Call::$variant,)*];

            /// The name as the standard writes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Call::$variant => $name,)* }
            }
        }
    };
}

calls! {
    Initialize "C_Initialize",
    Finalize "C_Finalize",
    GetInfo "C_GetInfo",
    GetSlotList "C_GetSlotList",
    GetTokenInfo "C_GetTokenInfo",
    GetMechanismList "C_GetMechanismList",
    OpenSession "C_OpenSession",
    CloseSession "C_CloseSession",
    GetSessionInfo "C_GetSessionInfo",
    Login "C_Login",
    Logout "C_Logout",
    FindObjectsInit "C_FindObjectsInit",
    FindObjects "C_FindObjects",
    FindObjectsFinal "C_FindObjectsFinal",
    GetAttributeValue "C_GetAttributeValue",
    SignInit "C_SignInit",
    Sign "C_Sign",
    GenerateKeyPair "C_GenerateKeyPair",
    InitToken "C_InitToken",
    InitPin "C_InitPIN",
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// This code is returned, and the wrapped module is left as the code says.
    Return(u64),
    /// The call takes this much longer.
    Delay(Duration),
    /// The call never returns.
    Hang,
    /// The process dies by SIGSEGV.
    Crash,
    /// What the call gives is not what the token gave.
    Garbage,
    /// The signature is a byte too short.
    Short,
    /// So many KiB are lost.
    Leak(usize),
}

/// One line of the control file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its place in the report; never used twice.
    pub id: u16,
    /// The function.
    pub call: Call,
    /// What happens.
    pub act: Act,
    /// Calls that are let pass first.
    pub skip: u64,
    /// Calls that it happens to.
    pub times: u64,
    /// Of those, one in so many.
    pub one_in: u64,
    /// The token does what it is asked first, and only its answer is lost.
    pub after: bool,
}

impl Rule {
    /// Happens to every call.
    #[must_use]
    pub fn new(id: u16, call: Call, act: Act) -> Self {
        Rule { id, call, act, skip: 0, times: u64::MAX, one_in: 1, after: false }
    }

    /// Whether it happens to the call of this number, counted from 0.
    #[must_use]
    pub fn happens(&self, number: u64) -> bool {
        let within = number.checked_sub(self.skip).is_some_and(|n| n < self.times);
        within && (self.one_in <= 1 || scattered(number).is_multiple_of(self.one_in))
    }
}

/// A number as good as random, the same each time (splitmix64).
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A control file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The token is not there. Who has seen that sees it until the module is initialised again.
    pub absent: bool,
    /// What goes wrong; of several rules for one call each is asked, and the first that does not
    /// let the call go on ends it.
    pub rules: Vec<Rule>,
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.absent {
            writeln!(f, "token absent")?;
        }
        for rule in &self.rules {
            let Rule { id, call, act, skip, times, one_in, after } = rule;
            write!(f, "rule {id} {} skip={skip} times={times} one_in={one_in} ", call.name())?;
            if *after {
                write!(f, "after ")?;
            }
            match act {
                Act::Return(code) => writeln!(f, "return={code:#x}")?,
                Act::Delay(time) => writeln!(f, "delay={}", time.as_millis())?,
                Act::Hang => writeln!(f, "hang")?,
                Act::Crash => writeln!(f, "crash")?,
                Act::Garbage => writeln!(f, "garbage")?,
                Act::Short => writeln!(f, "short")?,
                Act::Leak(kib) => writeln!(f, "leak={kib}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Control {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut control = Control::default();
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            match line.strip_prefix("rule ") {
                Some(words) => control
                    .rules
                    .push(rule(words).ok_or_else(|| format!("not understood: {line}"))?),
                None if line == "token absent" => control.absent = true,
                None => return Err(format!("not understood: {line}")),
            }
        }
        Ok(control)
    }
}

fn rule(words: &str) -> Option<Rule> {
    let mut words = words.split_whitespace();
    let id = words.next()?.parse().ok()?;
    let name = words.next()?;
    let call = *Call::ALL.iter().find(|call| call.name() == name)?;
    let mut rule = Rule::new(id, call, Act::Hang);
    let mut act = None;
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "skip" => rule.skip = value.parse().ok()?,
            "times" => rule.times = value.parse().ok()?,
            "one_in" => rule.one_in = value.parse().ok()?,
            "after" => rule.after = true,
            "return" => {
                let code = u64::from_str_radix(value.strip_prefix("0x")?, 16).ok()?;
                act = Some(Act::Return(code));
            }
            "delay" => act = Some(Act::Delay(Duration::from_millis(value.parse().ok()?))),
            "hang" => act = Some(Act::Hang),
            "crash" => act = Some(Act::Crash),
            "garbage" => act = Some(Act::Garbage),
            "short" => act = Some(Act::Short),
            "leak" => act = Some(Act::Leak(value.parse().ok()?)),
            _ => return None,
        }
    }
    rule.act = act?;
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let acts = [
            Act::Return(0x30),
            Act::Delay(Duration::from_millis(5)),
            Act::Hang,
            Act::Crash,
            Act::Garbage,
            Act::Short,
            Act::Leak(64),
        ];
        let rules = acts.into_iter().zip(1..).map(|(act, id)| Rule {
            skip: 2,
            times: 1,
            one_in: 3,
            after: id == 2,
            ..Rule::new(id, Call::Sign, act)
        });
        let control = Control { absent: true, rules: rules.collect() };
        assert_eq!(control.to_string().parse(), Ok(control));
        assert!("rule 1 C_Sign explode".parse::<Control>().is_err());
    }

    #[test]
    fn the_third_call_is_the_third() {
        let rule = Rule { skip: 2, times: 1, ..Rule::new(1, Call::Sign, Act::Hang) };
        assert_eq!((0..9).filter(|n| rule.happens(*n)).collect::<Vec<_>>(), [2]);
    }
}
