//! The API's description.

use serde_json::Value;

use crate::support::Stage;

fn committed() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test]
async fn programs_get_the_committed_description() {
    let stage = Stage::new().await;
    let response = stage.get("/openapi.json").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let etag = response.headers()["etag"].clone();
    let served: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert!(served == committed(), "openapi.json is not what is served");
    let again = stage.client.get(stage.url("/openapi.json")).header("if-none-match", etag);
    assert_eq!(again.send().await.unwrap().status(), 304);
}

#[tokio::test]
async fn people_get_a_page_without_anything_from_elsewhere() {
    let stage = Stage::new().await;
    let response = stage.get_as("/docs", "text/html,*/*;q=0.8").await;
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let page = response.text().await.unwrap();
    assert!(page.contains("POST /api/v1/identities/{uid}/certificates"), "{page}");
    assert!(!page.contains("src=") && !page.contains("href=\"http"), "{page}");
}

/// Each described GET that needs no more than the examples is there, and answers as described.
#[tokio::test]
async fn described_addresses_are_there() {
    let stage = Stage::new().await;
    let document: Value = committed();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        let mut address = path.clone();
        for parameter in operation["parameters"].as_array().unwrap() {
            if parameter["in"] == "path" {
                let name = parameter["name"].as_str().unwrap();
                let example = parameter["example"].as_str().unwrap();
                address = address.replace(&format!("{{{name}}}"), example);
            }
        }
        let response = stage.get(&address).await;
        assert_eq!(response.status(), 200, "{address}");
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let kind = kind.split(';').next().unwrap();
        assert!(operation["responses"]["200"]["content"][kind].is_object(), "{address} {kind}");
        count += 1;
    }
    assert!(count > 15, "{count}");
}
