//! The gateway's description of itself (OpenAPI 3.1.0), made of what stands beside the handlers.
//!
//! `utoipa` collects routes, parameters, bodies and schemas. What holds for every operation (the
//! request id, the problems' shape, examples) is added here once.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use wire::event::RevocationReason;
use wire::problem::{Problem, ProblemCode};
use wire::rest::ProblemJson;

mod examples;
mod page;
pub(crate) mod parameters;
pub(crate) mod problems;
mod types;

pub(crate) use page::page;
pub(crate) use types::{Binary, Text};

/// What the API is, for the head of its description.
const ABOUT: &str = "\
Certificates for identities of people who share end-to-end encrypted data. An identity's key is \
replaced only by whom its policy lets, and every event is in a log that clients check.

Refusals and failures are problems (RFC 9457) with a stable `code`; each has a page of its own. \
A request may carry an `X-Request-Id`; the answer has it, or one made here, and so has the \
server's log. GET is also answered to HEAD. Lists come in pages: take `next` as the `cursor` of the \
next request until it is `null`. User ids are percent-encoded in paths, byte for byte.

`POST` requests are made safe to repeat by an `Idempotency-Key`, and dependent on what was seen \
before by `If-Match` with an identity's `ETag`.";

const TAGS: &[(&str, &str)] = &[
    ("identities", "Who there is, with which key, and what happened to it"),
    ("certificates", "Enrolling, renewing, fetching, revoking"),
    ("moves", "Moving an identity to another key, suspending, ending: by intents that people sign"),
    ("issuers", "Issuing certificates and CRLs, for everybody's software; also over plain HTTP"),
    ("log", "The log that proves all of it"),
    ("installation", "What this installation is, and how it is"),
    ("documentation", "About this API"),
];

/// Schemas of request bodies: what they do not require may be left out.
const REQUESTS: &[&str] =
    &["CertificateRequest", "RevocationRequest", "SignedRequest", "SimulateRequest", "Problem"];

/// The whole description.
pub(crate) fn document(collected: &OpenApi) -> Value {
    // Made of maps with text keys: this cannot fail, and a test looks at the outcome.
    let mut document = serde_json::to_value(collected).unwrap_or_default();
    let tags: Vec<Value> = TAGS
        .iter()
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .collect();
    document["openapi"] = "3.1.0".into();
    document["info"] = json!({
        "title": "Avouch",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
    });
    // Relative to the description's own address (OpenAPI 3.1.0, section 4.8.5), which need not be
    // at the root of its host.
    document["servers"] = json!([{ "url": "." }]);
    document["tags"] = tags.into();
    let components = &mut document["components"];
    components["examples"] = problem_examples();
    components["headers"] = json!({ "X-Request-Id": {
        "description": "The request's id, which the server's log has too",
        "schema": { "type": "string", "pattern": "^[0-9A-Za-z._~:-]{1,64}$" },
    }});
    components["parameters"] = json!({ "X-Request-Id": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "An id of the caller's for this request: 1 to 64 letters, digits, or `._~:-`. \
                        Anything else is replaced.",
        "schema": { "type": "string" },
        "example": "4f1c",
    }});
    components["securitySchemes"] = json!({ "agent": {
        "type": "mutualTLS",
        "description": "A TLS client certificate of an enrolment agent. It counts as evidence only \
                        where the policy lets the transport's word count.",
    }});
    schemas(&mut components["schemas"]);
    let reasons: Vec<_> = RevocationReason::ALL.iter().map(|reason| reason.name()).collect();
    components["schemas"]["RevocationRequest"]["properties"]["reason"]["enum"] = json!(reasons);
    for item in values(&mut document["paths"]) {
        for operation in values(item) {
            complete(operation);
        }
    }
    examples::add(&mut document);
    plain_links(&mut document);
    document
}

/// Descriptions come from Rust's documentation: of a link to a type its name is left.
fn plain_links(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if key == "description" => *text = without_links(text),
                    value => plain_links(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(plain_links),
        _ => {}
    }
}

fn without_links(text: &str) -> String {
    let mut parts = text.split("[`");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (link, rest) = part.split_once("`]").unwrap_or((part, ""));
        let name = link.rsplit("::").next().unwrap_or(link);
        plain.push_str(&format!("`{name}`{rest}"));
    }
    plain
}

fn values(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().into_iter().flat_map(Map::values_mut)
}

/// What serde writes of a type has all its members; absent values are `null`.
fn schemas(schemas: &mut Value) {
    for (name, schema) in schemas.as_object_mut().into_iter().flatten() {
        if REQUESTS.contains(&name.as_str()) {
            continue;
        }
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            continue;
        };
        let all: Vec<Value> = properties.keys().map(|key| key.as_str().into()).collect();
        schema["required"] = all.into();
        // A list's entries stand in it by value; their own schema says the same.
        if let Some(entry) = name.strip_prefix("Page_") {
            let reference = format!("#/components/schemas/{entry}");
            schema["properties"]["items"]["items"] = json!({ "$ref": reference });
        }
    }
}

/// The request id of each request and of each answer.
fn complete(operation: &mut Value) {
    let id = json!({ "$ref": "#/components/parameters/X-Request-Id" });
    match operation.get_mut("parameters").and_then(Value::as_array_mut) {
        Some(parameters) => parameters.push(id),
        None => operation["parameters"] = json!([id]),
    }
    for response in values(&mut operation["responses"]) {
        response["headers"]["x-request-id"] =
            json!({ "$ref": "#/components/headers/X-Request-Id" });
    }
}

/// An example of each problem, by its code.
fn problem_examples() -> Value {
    let example = |code: ProblemCode| {
        let problem = Problem::new(code, code.title());
        let value = ProblemJson::new(&problem, "https://ca.example.test/problems/", "4f1c");
        let value = json!({ "summary": code.title(), "value": value });
        (code.slug().to_owned(), value)
    };
    Value::Object(ProblemCode::ALL.iter().map(|&code| example(code)).collect())
}

#[cfg(test)]
mod tests;
