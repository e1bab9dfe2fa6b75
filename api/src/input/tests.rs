use super::*;

#[test]
fn a_segment_is_found_by_its_place_and_kept_as_it_came() {
    let uri: Uri = "/api/v1/identities/a%2Fb%FF/history?x=/y/z".parse().unwrap();
    let route = "/api/v1/identities/{uid}/history";
    assert_eq!(segment(&uri, route, "{uid}"), Some("a%2Fb%FF"));
    assert_eq!(segment(&uri, route, "{serial}"), None);
}

#[test]
fn pages() {
    let page = |query: &str| page(&format!("/x{query}").parse().unwrap());
    let request =
        |cursor: Option<&str>, limit| PageRequest { cursor: cursor.map(str::to_owned), limit };
    assert_eq!(page("").unwrap(), request(None, 100));
    assert_eq!(page("?limit=1000").unwrap(), request(None, 1000));
    assert_eq!(page("?cursor=a%3Db&limit=7").unwrap(), request(Some("a=b"), 7));
    let long = format!("?cursor={}", "c".repeat(513));
    for bad in ["?limit=-1", "?limit=", "?limit", "?cursor=%C3%A4", "?Limit=1", long.as_str()] {
        page(bad).unwrap_err();
    }
}

#[test]
fn media_types_are_compared_without_case_and_parameters() {
    let kind = |value: &str| {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
        media_type(&headers, &[PKCS10, JSON]).ok()
    };
    assert_eq!(kind("Application/PKCS10"), Some(PKCS10));
    assert_eq!(kind("application/json ; charset=UTF-8"), Some(JSON));
    assert_eq!(kind("application/jsonx"), None);
    assert_eq!(kind("application/pkcs10, application/json"), None);
}

#[tokio::test]
async fn content_length_beyond_the_limit_is_refused_unread() {
    let headers = HeaderMap::from_iter([(CONTENT_LENGTH, "11".parse().unwrap())]);
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let deadline = Instant::now() + std::time::Duration::from_secs(3600);
    read(&headers, never, 10, deadline).await.unwrap_err();
}

#[test]
fn tiles_have_one_path_each() {
    for good in [
        "0/000",
        "63/999",
        "0/x001/234",
        "0/x001/x234/067.p/1",
        "entries/000.p/255",
        "1/x123/x456/x789/x012/x345/x678/901",
    ] {
        assert!(is_tile(good), "{good}");
    }
    for bad in [
        "",
        "0",
        "0/",
        "64/000",
        "00/000",
        "+1/000",
        "-1/000",
        "0/0",
        "0/0000",
        "0/001/234",
        "0/x001",
        "0/x000/001",
        "0/x001/x234",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/000.p/",
        "0/000.p",
        "0/000.p/1/",
        "0/000.p/1.p/1",
        "0/000/",
        "/0/000",
        "Entries/000",
        "entries/%30%30%30",
        "0/../0/000",
        "0/x001/x123/x456/x789/x012/x345/x678/901",
        "data/000",
    ] {
        assert!(!is_tile(bad), "{bad}");
    }
}

#[test]
fn a_number_of_an_event() {
    let since = |query: &str| query_of(&format!("/x{query}"));
    assert_eq!(since("?since=7").unwrap(), [Some("7".to_owned())]);
    assert_eq!(since("").unwrap(), [None]);
    since("?since=1&since=2").unwrap_err();
    since("?sinze=1").unwrap_err();
}

fn query_of(uri: &str) -> Result<[Option<String>; 1], Refusal> {
    query(&uri.parse().unwrap(), ["since"])
}
