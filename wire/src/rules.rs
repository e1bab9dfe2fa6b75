//! The policy in its canonical form: what is hashed, logged and signed over. The TOML that people
//! write is read in `policy`.

use der::Sequence;

use crate::codec::encoded;

/// The rules of an installation. All times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Rules {
    /// Format version, 1.
    pub version: u8,
    /// Officers who must approve a switch (M).
    pub approvals: u32,
    /// Officers that there must be at least (N > M).
    pub officers: u32,
    /// How long a switch, and any loosening, waits.
    pub wait: u64,
    /// After which a switch request expires.
    pub request_expiry: u64,
    /// How long the old recovery key wins over a change that it did not sign.
    pub recovery_window: u64,
    /// Least time between two changes of key by switch.
    pub cooldown: u64,
    /// Validity of leaf certificates.
    pub certificate_validity: u64,
    /// How far notBefore lies in the past.
    pub backdate: u64,
    /// Greatest age of a status (CRL, head proof) that a client accepts.
    pub max_status_age: u64,
    /// Leaves of the log that share one CRL: a certificate's CRL follows from its serial number.
    pub leaves_per_crl: u64,
    /// Least size of RSA keys, in bits.
    pub min_rsa_bits: u32,
    /// Certificates, and changes of the recovery key, that the current key alone may bring about on
    /// one day (UTC).
    pub certificates_per_day: u32,
    /// Whether the word of a transport alone may enrol (development only).
    pub allow_transport_evidence: bool,
    /// Whether known software tokens count as HSMs (development only).
    pub allow_software_token: bool,
    /// Whether waits may run on the authority's clock alone.
    pub allow_unwitnessed: bool,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Rules {
    /// The preset `standard` (DESIGN section 3, «Defaults»).
    #[must_use]
    pub fn standard() -> Self {
        Self {
            version: 1,
            approvals: 2,
            officers: 3,
            wait: 72 * HOUR,
            request_expiry: 14 * DAY,
            recovery_window: 72 * HOUR,
            cooldown: 7 * DAY,
            certificate_validity: 365 * DAY,
            backdate: 5 * MINUTE,
            max_status_age: 24 * HOUR,
            leaves_per_crl: 1 << 16,
            min_rsa_bits: 2048,
            certificates_per_day: 12,
            allow_transport_evidence: false,
            allow_software_token: false,
            allow_unwitnessed: true,
        }
    }

    /// Checks every value against the bounds compiled in.
    ///
    /// # Errors
    /// Names the first field out of bounds, and its bounds.
    pub fn within_bounds(&self) -> Result<(), (&'static str, String)> {
        let within = |field, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err((field, format!("{value} is outside {min} to {max}")))
            }
        };
        within("approvals", self.approvals.into(), 1, 32)?;
        if self.officers <= self.approvals {
            let reason = format!(
                "{} officers for {} approvals: there must be more officers than approvals, or the \
                 loss of one officer locks everybody out",
                self.officers, self.approvals
            );
            return Err(("officers", reason));
        }
        within("officers", self.officers.into(), 2, 64)?;
        within("wait", self.wait, HOUR, 90 * DAY)?;
        within("request_expiry", self.request_expiry, self.wait.saturating_add(DAY), 365 * DAY)?;
        within("recovery_window", self.recovery_window, HOUR, 90 * DAY)?;
        within("cooldown", self.cooldown, 0, 365 * DAY)?;
        within("certificate_validity", self.certificate_validity, HOUR, 825 * DAY)?;
        within("backdate", self.backdate, 0, HOUR)?;
        within("max_status_age", self.max_status_age, 5 * MINUTE, 31 * DAY)?;
        within("leaves_per_crl", self.leaves_per_crl, 1 << 10, 1 << 20)?;
        within("min_rsa_bits", self.min_rsa_bits.into(), 2048, 4096)?;
        within("certificates_per_day", self.certificates_per_day.into(), 1, 1000)
    }
}
encoded!(Rules, "rules", limit = 4096, check = Rules::within_bounds);
