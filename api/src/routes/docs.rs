//! The API's description, for programs and for people.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::html::page_of;
use super::{cached, content, described, etag_of};
use crate::negotiate::{HTML, JSON, negotiate, not_modified};
use crate::openapi::parameters::IfNoneMatch;
use crate::openapi::problems::{CHOICE, EVER, problems};
use crate::openapi::{self, Text};
use crate::problem::Refusal;

/// The description in both forms; it is the same as long as the program runs.
struct Description {
    json: String,
    etag: String,
    page: String,
}

static DESCRIPTION: LazyLock<Description> = LazyLock::new(|| {
    let document = openapi::document(&described());
    let json = document.to_string();
    Description { etag: etag_of(json.as_bytes()), json, page: openapi::page(&document) }
});

problems!(Problems: CHOICE, EVER);

/// This description, for programs.
#[utoipa::path(
    get, path = "/openapi.json", tag = "documentation", operation_id = "openapi",
    params(IfNoneMatch),
    responses(
        (status = OK, description = "An OpenAPI 3.1 document", body = Object,
            headers(("etag" = String))),
        (status = NOT_MODIFIED, description = "The document at hand is the present one"),
        Problems,
    ),
)]
pub(crate) async fn openapi(headers: HeaderMap) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let description = &*DESCRIPTION;
    let response = if not_modified(&headers, &description.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content(JSON, description.json.as_str())
    };
    Ok(cached(response, &description.etag, "public, max-age=300"))
}

/// This description, as a page.
#[utoipa::path(
    get, path = "/docs", tag = "documentation", operation_id = "docs",
    responses(
        (status = OK, description = "The page", body = inline(Text), content_type = "text/html"),
        Problems,
    ),
)]
pub(crate) async fn docs(headers: HeaderMap) -> Result<Response, Refusal> {
    negotiate(&headers, &[HTML])?;
    Ok(page_of("API", &DESCRIPTION.page))
}
