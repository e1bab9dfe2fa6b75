//! The problems that an operation may answer with, by status.

use std::collections::BTreeMap;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use wire::problem::ProblemCode;
use wire::problem::ProblemCode::{
    AuthorityUnavailable, Internal, MalformedRequest, NotAcceptable, Overloaded, Oversize,
    RequestTimeout, StoreUnavailable, Timeout, TooManyRequests, UnsupportedMediaType,
};

/// Whatever is asked.
pub(crate) const EVER: &[ProblemCode] = &[TooManyRequests, Internal, Overloaded, Timeout];
/// Where the authority is asked.
pub(crate) const ASKED: &[ProblemCode] = &[AuthorityUnavailable, StoreUnavailable];
/// Where there is a choice of representations, be it of one.
pub(crate) const CHOICE: &[ProblemCode] = &[NotAcceptable];
/// Where a body is read.
pub(crate) const BODY: &[ProblemCode] =
    &[MalformedRequest, RequestTimeout, Oversize, UnsupportedMediaType];

/// Declares a type that stands for an operation's problems among its responses.
macro_rules! problems {
    ($name:ident: $($list:expr),+ $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                let lists: &[&[wire::problem::ProblemCode]] = &[$($list),+];
                $crate::openapi::problems::responses(lists)
            }
        }
    };
}
pub(crate) use problems;

/// A response for each status of these codes.
pub(crate) fn responses(lists: &[&[ProblemCode]]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for &code in lists.iter().copied().flatten() {
        let codes = by_status.entry(code.status()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), response(status, &codes).into()))
        .collect()
}

fn response(status: u16, codes: &[ProblemCode]) -> Response {
    let slugs: Vec<_> = codes.iter().map(|code| code.slug()).collect();
    let one_of = ObjectBuilder::new().property(
        "code",
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(slugs.clone())),
    );
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(one_of);
    let examples = slugs.iter().map(|slug| {
        let example = Ref::new(format!("#/components/examples/{slug}"));
        ((*slug).to_owned(), RefOr::Ref(example))
    });
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let titles: Vec<_> = codes.iter().map(|code| code.title()).collect();
    let mut response = ResponseBuilder::new()
        .description(titles.join("; "))
        .content("application/problem+json", content);
    // RFC 9110 section 10.2.3.
    if matches!(status, 429 | 503) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds after which a new try makes sense"))
            .build();
        response = response.header("retry-after", header);
    }
    response.build()
}
