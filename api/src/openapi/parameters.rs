//! Parameters as they are described; the extractors of the same names read them.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Required, SchemaFormat};
use wire::UserId;

use super::examples::ISSUER;
use crate::input::{
    CURSOR_MAX, CertificateSearch, IdentitySearch, IssuerId, PAGE_DEFAULT, PAGE_MAX, Page, Serial,
    Shard, Since, SwitchId, Uid,
};

/// `If-None-Match`.
pub(crate) struct IfNoneMatch;
/// `If-Match` with an identity's entity tag.
pub(crate) struct IfMatch;
/// `Idempotency-Key`.
pub(crate) struct IdempotencyKey;
/// `{path}` of a tile.
pub(crate) struct TilePath;
/// `{slug}` of a problem.
pub(crate) struct Slug;

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn parameter(
    name: &str,
    place: ParameterIn,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    example: &str,
) -> Vec<Parameter> {
    // OpenAPI 3.1.0 section 4.8.12.2: what stands in a path is always required.
    let required =
        if matches!(place, ParameterIn::Path) { Required::True } else { Required::False };
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema));
    if example.is_empty() {
        return vec![parameter.build()];
    }
    vec![parameter.example(Some(example.into())).build()]
}

/// What both searches know: the beginning of the user's id, a key, a serial number.
fn searched(whose: &str) -> Vec<Parameter> {
    let serial = format!("The serial number of {whose}");
    let key = "SHA-256 of the SubjectPublicKeyInfo of a key, present or past";
    let user = text()
        .min_length(Some(1))
        .max_length(Some(UserId::MAX))
        .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]+$"));
    let hash = text().pattern(Some("^[0-9a-fA-F]{64}$"));
    let digits = text().pattern(Some("^[0-9a-fA-F]{32}$"));
    [
        parameter("user", ParameterIn::Query, "What the user's id begins with", user, "al"),
        parameter("key", ParameterIn::Query, key, hash, ""),
        parameter("serial", ParameterIn::Query, &serial, digits, ""),
    ]
    .concat()
}

fn status(names: &[&str]) -> Vec<Parameter> {
    let names = names.iter().map(|name| (*name).to_owned());
    parameter("status", ParameterIn::Query, "The status", text().enum_values(Some(names)), "")
}

macro_rules! described {
    ($($type:ident => $parameters:expr;)+) => {
        $(impl IntoParams for $type {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                $parameters
            }
        })+
    };
}

described! {
    Uid => parameter(
        "uid", ParameterIn::Path, "The user's id, percent-encoded",
        Ref::from_schema_name("UserId"), "alice",
    );
    Serial => parameter(
        "serial", ParameterIn::Path, "The serial number, 32 hexadecimal digits",
        text().pattern(Some("^[0-9a-fA-F]{32}$")), "01000000000000070011223344556677",
    );
    SwitchId => parameter(
        "id", ParameterIn::Path, "SHA-256 of the intent that asked for the switch",
        text().pattern(Some("^[0-9a-fA-F]{64}$")),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    IssuerId => parameter(
        "issuer", ParameterIn::Path, "The issuer's id, as certificates and `/api/v1/issuers` have it",
        text().pattern(Some("^[0-9a-fA-F]{16,128}$")), ISSUER,
    );
    Shard => parameter(
        "shard", ParameterIn::Path, "The CRL's number, from 0, with or without `.crl`",
        text().pattern(Some(r"^[0-9]{1,9}(\.crl)?$")), "0.crl",
    );
    Slug => parameter(
        "slug", ParameterIn::Path, "The problem's code",
        text().pattern(Some("^[a-z0-9-]+$")), "bad-encoding",
    );
    TilePath => parameter(
        "path", ParameterIn::Path,
        "Level and index of a tile as C2SP tlog-tiles writes them, its slashes not encoded: \
         `0/x001/234`, `1/000.p/7`, `entries/000`",
        text().pattern(Some(
            r"^(entries|0|[1-9]|[1-5][0-9]|6[0-3])/(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?$",
        )),
        "0/000.p/1",
    );
    IfNoneMatch => parameter(
        "If-None-Match", ParameterIn::Header, "Entity tags at hand: what has one of them is not sent again",
        text(), "",
    );
    IfMatch => parameter(
        "If-Match", ParameterIn::Header,
        "The `ETag` of the identity as it was read. In another state nothing is done. It is compared \
         just before the request is passed on; what must hold at the moment of the change itself \
         goes into a signed intent",
        text(), "",
    );
    IdempotencyKey => parameter(
        "Idempotency-Key", ParameterIn::Header,
        "The same key with the same request gives the same certificate, however often it is sent",
        text().pattern(Some("^[!-~]{1,128}$")), "5b6c1f0e",
    );
    Since => parameter(
        "since", ParameterIn::Query, "Events from this number on; what is before it is at hand",
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(Since::MAX))
            .default(Some(0.into())),
        "",
    );
    CertificateSearch => {
        let time = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let after = "notAfter is then or later";
        let before = "notAfter is before that";
        [
            searched("a certificate"),
            status(&["pending", "good", "revoked"]),
            parameter("expires_after", ParameterIn::Query, after, time(), ""),
            parameter("expires_before", ParameterIn::Query, before, time(), ""),
            parameter(
                "issuer", ParameterIn::Query, "The issuer's id",
                text().pattern(Some("^[0-9a-fA-F]{16,128}$")), "",
            ),
            Page::into_params(|| None),
        ]
        .concat()
    };
    IdentitySearch => [
        searched("a certificate of it"),
        status(&["active", "suspended", "retired"]),
        Page::into_params(|| None),
    ]
    .concat();
    Page => {
        let cursor = parameter(
            "cursor", ParameterIn::Query, "`next` of the page before",
            text().min_length(Some(1)).max_length(Some(CURSOR_MAX)).pattern(Some("^[ -~]+$")), "",
        );
        let limit = parameter(
            "limit", ParameterIn::Query, "Greatest number of entries",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1))
                .maximum(Some(PAGE_MAX))
                .default(Some(PAGE_DEFAULT.into())),
            "",
        );
        [cursor, limit].concat()
    };
}
