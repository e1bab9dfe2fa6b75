//! Pages for people. They hold no script and load nothing.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};
use wire::Hash32;

use super::content;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
padding:0 1rem;color:#1b1b1b;background:#fff}p,dl,ul{max-width:42rem}\
code,pre{background:#eee;padding:0 .2em;overflow-wrap:anywhere}\
pre{padding:.5rem;overflow:auto;max-height:20rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;\
border-top:1px solid #999;padding:.2rem .5rem .2rem 0}section{margin:2rem 0}\
dt{margin-top:1rem}@media(prefers-color-scheme:dark){body{color:#eee;background:#1b1b1b}\
code,pre{background:#333}a{color:#9cf}}";

/// Nothing but this one style, named by its hash (CSP Level 3, section 6.6.2).
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = STANDARD.encode(Hash32::of(STYLE.as_bytes()).as_bytes());
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    ))
    .ok()
});

/// A whole page. `body` is HTML.
pub(crate) fn page_of(title: &str, body: &str) -> Response {
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
pub(crate) struct Text<'a>(pub(crate) &'a str);

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
pub(crate) struct Marked<'a>(pub(crate) &'a str);

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
