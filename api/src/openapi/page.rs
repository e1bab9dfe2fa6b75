//! The description as a page for people: no script, nothing from elsewhere.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::routes::html::{Marked, Text};

/// The page's content.
pub(crate) fn page(document: &Value) -> String {
    let mut html = String::new();
    // Writing to a String does not fail; its results are dropped for that reason.
    let _ = writeln!(
        html,
        "<h1>{} <small>{}</small></h1>",
        Text(text(&document["info"]["title"])),
        Text(text(&document["info"]["version"])),
    );
    paragraphs(&mut html, text(&document["info"]["description"]));
    html.push_str(
        "<p>For programs: <a href=\"openapi.json\">openapi.json</a> (OpenAPI 3.1). \
         All <a href=\"problems/\">problems</a>.</p>\n",
    );
    let operations = operations(document);
    let tags = document["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    html.push_str("<ul>\n");
    for tag in tags {
        let name = text(&tag["name"]);
        let _ = writeln!(
            html,
            "<li><a href=\"#tag-{0}\">{0}</a>: {1}</li>",
            Text(name),
            Text(text(&tag["description"])),
        );
    }
    html.push_str("<li><a href=\"#schemas\">schemas</a>: the shapes of JSON values</li>\n</ul>\n");
    for tag in tags {
        let name = text(&tag["name"]);
        let _ = writeln!(html, "<h2 id=\"tag-{0}\">{0}</h2>", Text(name));
        for operation in operations.iter().filter(|o| text(&o.operation["tags"][0]) == name) {
            operation.write(&mut html, document);
        }
    }
    schemas(&mut html, &document["components"]["schemas"]);
    html
}

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    operation: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let members = |(path, item)| {
        object(item).map(move |(method, operation)| Operation { method, path, operation })
    };
    object(&document["paths"]).flat_map(members).collect()
}

impl Operation<'_> {
    fn write(&self, html: &mut String, document: &Value) {
        let operation = self.operation;
        let _ = writeln!(
            html,
            "<section id=\"{id}\">\n<h3><code>{method} {path}</code></h3>\n<p><strong>{summary}</strong></p>",
            id = Text(text(&operation["operationId"])),
            method = self.method.to_ascii_uppercase(),
            path = Text(self.path),
            summary = Marked(text(&operation["summary"]).trim_end_matches('.')),
        );
        paragraphs(html, text(&operation["description"]));
        self.parameters(html, document);
        self.bodies(html);
        self.responses(html);
        html.push_str("</section>\n");
    }

    fn parameters(&self, html: &mut String, document: &Value) {
        html.push_str("<table>\n<tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>\n");
        for parameter in array(&self.operation["parameters"]) {
            let parameter = followed(document, parameter);
            let _ = writeln!(
                html,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                Text(text(&parameter["name"])),
                Text(text(&parameter["in"])),
                kind(&parameter["schema"]),
                Marked(text(&parameter["description"])),
            );
        }
        html.push_str("</table>\n");
    }

    fn bodies(&self, html: &mut String) {
        for (media_type, content) in object(&self.operation["requestBody"]["content"]) {
            let _ = writeln!(
                html,
                "<p>Body <code>{}</code>: {}</p>",
                Text(media_type),
                kind(&content["schema"])
            );
            example(html, &content["example"]);
        }
    }

    fn responses(&self, html: &mut String) {
        html.push_str("<table>\n<tr><th>status</th><th>body</th><th></th></tr>\n");
        for (status, response) in object(&self.operation["responses"]) {
            let mut bodies = String::new();
            let mut about = Marked(text(&response["description"])).to_string();
            for (media_type, content) in object(&response["content"]) {
                let codes = array(&content["schema"]["allOf"][1]["properties"]["code"]["enum"]);
                let codes: Vec<String> = codes.iter().map(|code| problem(text(code))).collect();
                if !codes.is_empty() {
                    about = codes.join(", ");
                }
                let kind = kind(&content["schema"]);
                let _ = write!(bodies, "<code>{}</code>: {kind}<br>", Text(media_type));
            }
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td>{bodies}</td><td>{about}</td></tr>",
                Text(status),
            );
        }
        html.push_str("</table>\n");
    }
}

fn schemas(html: &mut String, schemas: &Value) {
    html.push_str("<h2 id=\"schemas\">schemas</h2>\n");
    for (name, schema) in object(schemas) {
        let _ = writeln!(html, "<section id=\"schema-{0}\">\n<h3>{0}</h3>", Text(name));
        paragraphs(html, text(&schema["description"]));
        if schema["properties"].is_object() {
            html.push_str("<table>\n<tr><th>member</th><th>type</th><th></th></tr>\n");
            for (member, schema) in object(&schema["properties"]) {
                let _ = writeln!(
                    html,
                    "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                    Text(member),
                    kind(schema),
                    Marked(text(&schema["description"])),
                );
            }
            html.push_str("</table>\n");
        } else {
            let _ = writeln!(html, "<p>{}</p>", kind(schema));
        }
        example(html, &schema["examples"][0]);
        html.push_str("</section>\n");
    }
}

/// A schema in a few words, as HTML.
fn kind(schema: &Value) -> String {
    if let Some(name) = text(&schema["$ref"]).rsplit('/').next().filter(|name| !name.is_empty()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", Text(name));
    }
    for (word, between) in [("allOf", " and "), ("oneOf", " or "), ("anyOf", " or ")] {
        let parts = array(&schema[word]);
        if !parts.is_empty() {
            let parts: Vec<String> =
                parts.iter().filter(|part| part["properties"].is_null()).map(kind).collect();
            return parts.join(between);
        }
    }
    let values = array(&schema["enum"]);
    if !values.is_empty() {
        let values: Vec<String> =
            values.iter().map(|v| format!("<code>{}</code>", Text(text(v)))).collect();
        return values.join(", ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        other => text(other).to_owned(),
    };
    if types == "array" {
        return format!("list of {}", kind(&schema["items"]));
    }
    let mut words = types;
    for member in ["format", "contentEncoding", "pattern", "minimum", "maximum", "default"] {
        match &schema[member] {
            Value::Null | Value::Array(_) | Value::Object(_) => {}
            Value::String(value) if member == "pattern" => {
                let _ = write!(words, " <code>{}</code>", Text(value));
            }
            Value::String(value) => {
                let _ = write!(words, ", {}", Text(value));
            }
            value => {
                let _ = write!(words, ", {member} {value}");
            }
        }
    }
    words
}

fn problem(slug: &str) -> String {
    format!("<a href=\"problems/{0}\"><code>{0}</code></a>", Text(slug))
}

fn example(html: &mut String, example: &Value) {
    let shown = match example {
        Value::Null => return,
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    let _ = writeln!(html, "<pre>{}</pre>", Text(&shown));
}

fn paragraphs(html: &mut String, text: &str) {
    for paragraph in text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()) {
        let _ = writeln!(html, "<p>{}</p>", Marked(paragraph));
    }
}

/// What a reference within the document leads to.
fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = text(&value["$ref"]).strip_prefix('#');
    target.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(key, value)| (key.as_str(), value))
}
