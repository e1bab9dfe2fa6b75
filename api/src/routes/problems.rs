//! The pages behind the problems' type URIs.

use std::fmt::Write as _;

use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use wire::problem::ProblemCode;

use super::html::{Marked, Text, page_of};
use crate::negotiate::{HTML, negotiate};
use crate::openapi::parameters::Slug;
use crate::openapi::problems::{CHOICE, EVER, problems};
use crate::problem::Refusal;

problems!(IndexProblems: CHOICE, EVER);
problems!(PageProblems: CHOICE, EVER, &[ProblemCode::UnknownRoute]);

/// All problems, as a page.
#[utoipa::path(
    get, path = "/problems/", tag = "documentation", operation_id = "problems",
    responses(
        (status = OK, description = "The page", body = inline(crate::openapi::Text), content_type = "text/html"),
        IndexProblems,
    ),
)]
pub(crate) async fn index(headers: HeaderMap) -> Result<Response, Refusal> {
    negotiate(&headers, &[HTML])?;
    let mut body = String::from(
        "<h1>Problems</h1>\n<p>Every refusal and failure that this server answers with (RFC 9457).</p>\n<dl>\n",
    );
    for code in ProblemCode::ALL {
        let (slug, title, status) = (code.slug(), Text(code.title()), code.status());
        // Writing to a String does not fail.
        let _ = writeln!(
            body,
            "<dt><a href=\"{slug}\"><code>{slug}</code></a> ({status})</dt><dd>{title}</dd>"
        );
    }
    body.push_str("</dl>\n");
    Ok(page_of("Problems", &body))
}

/// What one problem means and what to do about it, as a page.
#[utoipa::path(
    get, path = "/problems/{slug}", tag = "documentation", operation_id = "problem",
    params(Slug),
    responses(
        (status = OK, description = "The page", body = inline(crate::openapi::Text), content_type = "text/html"),
        PageProblems,
    ),
)]
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    negotiate(request.headers(), &[HTML])?;
    let slug = request.uri().path().rsplit('/').next().unwrap_or_default();
    let code = ProblemCode::from_slug(slug)
        .ok_or_else(|| Refusal::new(ProblemCode::UnknownRoute, "no problem has this name"))?;
    let body = format!(
        "<h1>{title}</h1>\n<p><code>{slug}</code>, HTTP status {status}</p>\n<p>{explanation}</p>\n\
         <p><a href=\"./\">All problems</a></p>\n",
        title = Text(code.title()),
        slug = code.slug(),
        status = code.status(),
        explanation = Marked(code.explanation()),
    );
    Ok(page_of(code.title(), &body))
}

#[cfg(test)]
mod tests;
