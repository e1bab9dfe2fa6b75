use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::routes;

fn description() -> Value {
    document(&routes::described())
}

/// `AVOUCH_WRITE_OPENAPI=1 cargo test -p avouch-api openapi` writes the file anew.
#[test]
fn the_description_is_the_committed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut text = serde_json::to_string_pretty(&description()).unwrap();
    text.push('\n');
    if std::env::var_os("AVOUCH_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    // Not assert_eq: nobody reads a difference of two thousand lines.
    let difference = committed.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(committed == text, "the API's description changed, first here: {difference:?}");
}

/// Every `$ref` of a value.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str() {
                    Some(target) if key == "$ref" => drop(found.insert(target)),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn references_lead_somewhere_and_schemas_are_used() {
    let description = description();
    let mut found = BTreeSet::new();
    references(&description, &mut found);
    for target in &found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{target}");
    }
    for name in description["components"]["schemas"].as_object().unwrap().keys() {
        assert!(found.contains(format!("#/components/schemas/{name}").as_str()), "{name}");
    }
}

#[test]
fn operations_have_names_of_their_own_and_words() {
    let description = description();
    let mut names = BTreeSet::new();
    let tags: BTreeSet<&str> = TAGS.iter().map(|(name, _)| *name).collect();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{method} {path}");
            assert!(operation["summary"].as_str().unwrap().len() > 10, "{method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let about = response["description"].as_str().unwrap();
                assert!(!about.is_empty(), "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn the_page_names_every_operation_problem_and_schema() {
    let description = description();
    let page = page(&description);
    for path in description["paths"].as_object().unwrap().keys() {
        assert!(page.contains(path.as_str()), "{path}");
    }
    for name in description["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    assert!(page.contains("<a href=\"problems/identity-change-required\">"));
    // Nothing from elsewhere, and no script (CSP would stop either).
    assert!(!page.contains("<script") && !page.contains("//cdn") && !page.contains("<img"));
}

#[test]
fn links_of_rust_documentation_become_names() {
    assert_eq!(without_links("a ([`crate::leaf::Leaf`], DER)."), "a (`Leaf`, DER).");
    assert_eq!(without_links("none `here`"), "none `here`");
    assert!(!description().to_string().contains("crate::"));
}
