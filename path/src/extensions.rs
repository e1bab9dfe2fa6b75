//! The extensions of certificates, read into what validation asks for.

use crate::asn1::{
    BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, Oid, ParseError, Reader, SEQUENCE, Tlv, context,
    context_primitive,
};
use crate::constraints::NameConstraints;
use crate::name::{AuthorityKeyId, GeneralName, PointName, key_id};
use crate::{oid, policy, strict};

/// What the extensions said. A list that is absent differs from an empty one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions {
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<u16>,
    pub(crate) extended_key_usage: Option<Vec<Oid>>,
    pub(crate) alternative_names: Vec<GeneralName>,
    pub(crate) alternative_names_critical: bool,
    pub(crate) name_constraints: Option<NameConstraints>,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    pub(crate) authority_key_id: AuthorityKeyId,
    pub(crate) distribution_points: Vec<DistributionPoint>,
    pub(crate) policy: policy::Extensions,
    pub(crate) access: Vec<Access>,
    /// id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1).
    pub(crate) ocsp_no_check: bool,
    pub(crate) unknown_critical: Vec<Oid>,
    /// What issuers must not write, and what is taken all the same outside `strict`.
    pub(crate) quirks: Vec<Quirk>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BasicConstraints {
    pub(crate) critical: bool,
    pub(crate) ca: bool,
    pub(crate) path_len: Option<u32>,
}

/// An AccessDescription (RFC 5280 4.2.2.1).
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) method: Oid,
    pub(crate) location: GeneralName,
}

/// Something that an RFC forbids issuers to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quirk {
    pub(crate) rfc: &'static str,
    pub(crate) what: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct DistributionPoint {
    pub(crate) name: Option<PointName>,
    /// Bits of ReasonFlags; none named means all.
    pub(crate) reasons: Option<u16>,
    pub(crate) crl_issuer: Option<Vec<GeneralName>>,
}

impl Extensions {
    pub(crate) fn read(list: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut out = Self::default();
        if list.value.is_empty() {
            out.quirks.push(Quirk { rfc: "4.1", what: "an empty list of extensions" });
        }
        for extension in RawExtension::read_all(list.reader())? {
            let value = extension.value;
            let mut content = value.reader();
            let body = content.next();
            let whole = || -> Result<Tlv<'_>, ParseError> {
                let body = body.clone()?;
                content.clone().finish()?;
                Ok(body)
            };
            match extension.oid.as_bytes() {
                oid::BASIC_CONSTRAINTS => {
                    if whole()?.value.starts_with(&[BOOLEAN, 1, 0]) {
                        let what = "a default written out in basic constraints";
                        out.quirks.push(Quirk { rfc: "4.1", what });
                    }
                    let read = BasicConstraints::read(&whole()?, extension.critical)?;
                    out.basic_constraints = Some(read);
                }
                oid::KEY_USAGE => {
                    let bits = whole()?.expect(BIT_STRING, "key usage")?;
                    if !bits.is_shortest() {
                        let what = "key usage that ends with bits that are not set";
                        out.quirks.push(Quirk { rfc: "4.1", what });
                    }
                    out.key_usage = Some(bits.flags()?);
                }
                oid::EXTENDED_KEY_USAGE => {
                    let mut purposes = whole()?.expect(SEQUENCE, "extended key usage")?.reader();
                    let mut all = Vec::new();
                    while !purposes.is_empty() {
                        all.push(Oid::read(&purposes.next()?)?);
                    }
                    if all.is_empty() {
                        return Err(value.error("an empty extended key usage"));
                    }
                    out.extended_key_usage = Some(all);
                }
                oid::SUBJECT_ALT_NAME => {
                    let names = whole()?.expect(SEQUENCE, "subject alternative name")?;
                    if names.value.is_empty() {
                        out.quirks.push(Quirk {
                            rfc: "4.2.1.6",
                            what: "an empty list of alternative names",
                        });
                    } else {
                        out.alternative_names = GeneralName::read_all(names.reader())?;
                    }
                    out.alternative_names_critical = extension.critical;
                }
                oid::NAME_CONSTRAINTS => {
                    out.name_constraints = Some(NameConstraints::read(&whole()?)?);
                }
                oid::SUBJECT_KEY_ID => out.subject_key_id = Some(key_id(&whole()?)?),
                oid::AUTHORITY_KEY_ID => out.authority_key_id = AuthorityKeyId::read(&whole()?)?,
                oid::CRL_DISTRIBUTION_POINTS => {
                    out.distribution_points = DistributionPoint::read_all(&whole()?)?;
                    if out.distribution_points.is_empty() {
                        let what = "an empty list of distribution points";
                        out.quirks.push(Quirk { rfc: "4.2.1.13", what });
                    }
                }
                // Not used here, so it may be anything where nobody is strict.
                oid::FRESHEST_CRL => {
                    let points = whole().and_then(|tlv| DistributionPoint::read_all(&tlv));
                    if !points.is_ok_and(|points| !points.is_empty()) {
                        let what = "a freshest CRL that is no list of distribution points";
                        out.quirks.push(Quirk { rfc: "4.2.1.15", what });
                    }
                }
                oid::CERTIFICATE_POLICIES => {
                    let asserted = policy::Asserted::read(&whole()?)?;
                    let fault = asserted.fault();
                    out.quirks.extend(fault.map(|what| Quirk { rfc: "4.2.1.4", what }));
                    out.policy.asserted = Some(asserted);
                }
                oid::POLICY_MAPPINGS => {
                    out.policy.mappings = Some(policy::Mappings::read(&whole()?)?);
                }
                oid::POLICY_CONSTRAINTS => {
                    out.policy.constraints = Some(policy::Constraints::read(&whole()?)?);
                }
                oid::INHIBIT_ANY_POLICY => {
                    out.policy.inhibit_any = Some(policy::read_inhibit_any(&whole()?)?);
                }
                oid::AUTHORITY_INFO_ACCESS => out.access = Access::read_all(&whole()?)?,
                oid::OCSP_NO_CHECK => {
                    out.ocsp_no_check = whole()?.raw == [0x05, 0x00];
                    if !out.ocsp_no_check {
                        let what = "a noCheck that is not NULL";
                        out.quirks.push(Quirk { rfc: "RFC 6960 4.2.2.2.1", what });
                    }
                }
                // Names of the issuer are of no consequence to a path.
                oid::ISSUER_ALT_NAME => {
                    let names = whole()
                        .and_then(|tlv| tlv.expect(SEQUENCE, "issuer alternative name"))
                        .and_then(|tlv| GeneralName::read_all(tlv.reader()));
                    if !names.is_ok_and(|names| !names.iter().any(strict::malformed)) {
                        let what = "an issuer's alternative name that is not of its form";
                        out.quirks.push(Quirk { rfc: "4.2.1.7", what });
                    }
                }
                _ if extension.critical => out.unknown_critical.push(extension.oid.clone()),
                _ => {}
            }
            out.quirks.extend(extension.quirk());
        }
        Ok(out)
    }
}

impl Access {
    pub(crate) fn read_all(tlv: &Tlv<'_>) -> Result<Vec<Self>, ParseError> {
        let mut list = tlv.expect(SEQUENCE, "authority information access")?.reader();
        if list.is_empty() {
            return Err(tlv.error("an empty authority information access"));
        }
        let mut out = Vec::new();
        while !list.is_empty() {
            let mut fields = list.expect(SEQUENCE, "access description")?.reader();
            let method = Oid::read(&fields.next()?)?;
            let location = GeneralName::read(&fields.next()?)?;
            fields.finish()?;
            out.push(Self { method, location });
        }
        Ok(out)
    }
}

/// One extension, of a certificate, a CRL or an entry of one.
pub(crate) struct RawExtension<'a> {
    pub(crate) oid: Oid,
    pub(crate) critical: bool,
    /// The OCTET STRING around the value.
    pub(crate) value: Tlv<'a>,
    /// `critical` is FALSE in so many words, which DER leaves out (X.690 11.5).
    default_encoded: bool,
}

impl<'a> RawExtension<'a> {
    /// Reads the content of an Extensions SEQUENCE; the same extension twice is an error
    /// (RFC 5280 4.2).
    pub(crate) fn read_all(mut list: Reader<'a>) -> Result<Vec<Self>, ParseError> {
        /// Keeps the search for duplicates from being quadratic in hostile input.
        const MAX_EXTENSIONS: usize = 128;
        let mut out: Vec<Self> = Vec::new();
        while !list.is_empty() {
            let extension = list.expect(SEQUENCE, "extension")?;
            let mut fields = extension.reader();
            let oid = Oid::read(&fields.next()?)?;
            let flag = fields.optional(BOOLEAN)?.map(|flag| flag.boolean()).transpose()?;
            let critical = flag.unwrap_or(false);
            let value = fields.expect(OCTET_STRING, "extension value")?;
            fields.finish()?;
            if out.iter().any(|seen| seen.oid == oid) {
                return Err(extension.error(format!("extension {oid} twice")));
            }
            if out.len() == MAX_EXTENSIONS {
                return Err(extension.error(format!("more than {MAX_EXTENSIONS} extensions")));
            }
            out.push(Self { oid, critical, value, default_encoded: flag == Some(false) });
        }
        Ok(out)
    }

    /// What the RFC forbids about this extension's place and criticality.
    fn quirk(&self) -> Option<Quirk> {
        let quirk = |rfc, what| Some(Quirk { rfc, what });
        if self.default_encoded {
            return quirk("4.1", "an extension with its default criticality written out");
        }
        match (self.oid.as_bytes(), self.critical) {
            (oid::AUTHORITY_KEY_ID, true) => {
                quirk("4.2.1.1", "a critical authority key identifier")
            }
            (oid::SUBJECT_KEY_ID, true) => quirk("4.2.1.2", "a critical subject key identifier"),
            (oid::SUBJECT_DIRECTORY_ATTRIBUTES, true) => {
                quirk("4.2.1.8", "critical subject directory attributes")
            }
            (oid::NAME_CONSTRAINTS, false) => {
                quirk("4.2.1.10", "name constraints that are not critical")
            }
            (oid::POLICY_CONSTRAINTS, false) => {
                quirk("4.2.1.11", "policy constraints that are not critical")
            }
            (oid::INHIBIT_ANY_POLICY, false) => {
                quirk("4.2.1.14", "inhibitAnyPolicy that is not critical")
            }
            (oid::FRESHEST_CRL, true) => quirk("4.2.1.15", "a critical freshest CRL"),
            (oid::AUTHORITY_INFO_ACCESS, true) => {
                quirk("4.2.2.1", "critical authority information access")
            }
            (oid::SUBJECT_INFO_ACCESS, true) => {
                quirk("4.2.2.2", "critical subject information access")
            }
            _ => None,
        }
    }
}

impl BasicConstraints {
    fn read(tlv: &Tlv<'_>, critical: bool) -> Result<Self, ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "basic constraints")?.reader();
        let ca = match fields.optional(BOOLEAN)? {
            Some(flag) => flag.boolean()?,
            None => false,
        };
        let path_len = match fields.optional(INTEGER)? {
            Some(number) => Some(number.unsigned()?),
            None => None,
        };
        fields.finish()?;
        Ok(Self { critical, ca, path_len })
    }
}

impl DistributionPoint {
    fn read_all(tlv: &Tlv<'_>) -> Result<Vec<Self>, ParseError> {
        /// More than anybody has. A point of six octets takes fifty times that once it is read.
        const MAX_POINTS: usize = 1_024;
        let mut points = tlv.expect(SEQUENCE, "distribution points")?.reader();
        let mut out = Vec::new();
        while !points.is_empty() {
            if out.len() == MAX_POINTS {
                return Err(tlv.error(format!("more than {MAX_POINTS} distribution points")));
            }
            out.push(Self::read(&points.next()?)?);
        }
        Ok(out)
    }

    fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "distribution point")?.reader();
        let name = match fields.optional(context(0))? {
            Some(outer) => Some(PointName::read(&outer)?),
            None => None,
        };
        let reasons = match fields.optional(context_primitive(1))? {
            Some(flags) => Some(flags.flags()?),
            None => None,
        };
        let crl_issuer = match fields.optional(context(2))? {
            Some(names) => Some(GeneralName::read_all(names.reader())?),
            None => None,
        };
        fields.finish()?;
        if name.is_none() && crl_issuer.is_none() {
            // RFC 5280 4.2.1.13: one of the two must be there.
            return Err(tlv.error("a distribution point with neither name nor CRL issuer"));
        }
        Ok(Self { name, reasons, crl_issuer })
    }
}
