//! The pages behind the problems' type URIs. They hold no script and load nothing.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use axum::extract::Request;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};
use wire::Hash32;
use wire::problem::ProblemCode;

use super::content;
use crate::negotiate::{HTML, negotiate};
use crate::problem::Refusal;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;\
padding:0 1rem;color:#1b1b1b;background:#fff}code{background:#eee;padding:0 .2em}\
dt{margin-top:1rem}@media(prefers-color-scheme:dark){body{color:#eee;background:#1b1b1b}\
code{background:#333}a{color:#9cf}}";

/// Nothing but this one style, named by its hash (CSP Level 3, section 6.6.2).
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = STANDARD.encode(Hash32::of(STYLE.as_bytes()).as_bytes());
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    ))
    .ok()
});

/// GET `/problems/`: all problems.
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

/// GET `/problems/{slug}`: what one problem means and what to do about it.
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

fn page_of(title: &str, body: &str) -> Response {
    let title = Text(title);
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title} – Avouch</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    );
    let mut response = content("text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    if let Some(policy) = &*POLICY {
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// Text in HTML.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Text with `code` between backticks.
struct Marked<'a>(&'a str);

impl fmt::Display for Marked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.split('`').enumerate() {
            if index % 2 == 1 {
                write!(f, "<code>{}</code>", Text(part))?;
            } else {
                write!(f, "{}", Text(part))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
