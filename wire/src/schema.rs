//! Schemas (OpenAPI 3.1, JSON Schema) of the types that are written as one string.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::bundle::Blob;
use crate::{Hash32, Realm, UserId};

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

macro_rules! schema {
    ($type:ident, $name:literal, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.build().into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    };
}

schema!(
    UserId,
    "UserId",
    string()
        .description(Some(
            "An id: 1 to 64 bytes of UTF-8 without control characters, compared byte for byte"
        ))
        .min_length(Some(1))
        .max_length(Some(UserId::MAX))
        // RFC 20 and ISO 6429: C0, DEL and C1.
        .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]+$"))
);
schema!(
    Realm,
    "Realm",
    string()
        .description(Some("The installation's realm"))
        .min_length(Some(1))
        .max_length(Some(64))
        .pattern(Some("^[a-z0-9.-]+$"))
);
schema!(
    Hash32,
    "Hash32",
    string().description(Some("SHA-256, lower-case hexadecimal")).pattern(Some("^[0-9a-f]{64}$"))
);
schema!(
    Blob,
    "Blob",
    string()
        .description(Some("Bytes in base64 (RFC 4648 section 4)"))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Byte)))
        .content_encoding("base64")
);
