//! The log's addresses, and bundles.

use wire::bundle::{Bundle, MAX_BUNDLE};
use wire::problem::{Problem, ProblemCode};
use wire::socket::RequestBody;

use crate::support::{Action, CHECKPOINT, Stage, bundle, problem, uid};

#[tokio::test]
async fn the_checkpoint_is_text_and_asked_for_anew() {
    let stage = Stage::new().await;
    let path = "/api/v1/log/checkpoint";
    let response = stage.get(path).await;
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "public, no-cache");
    let etag = response.headers()["etag"].clone();
    assert_eq!(response.text().await.unwrap(), CHECKPOINT);
    let again = stage.client.get(stage.url(path)).header("if-none-match", etag);
    assert_eq!(again.send().await.unwrap().status(), 304);
}

#[tokio::test]
async fn tiles_are_kept_for_ever() {
    let mut stage = Stage::new().await;
    for tile in ["0/000", "0/x001/x234/067", "1/000.p/7", "entries/x001/000.p/255"] {
        let response = stage.get(&format!("/api/v1/log/tile/{tile}")).await;
        assert_eq!(response.headers()["content-type"], "application/octet-stream");
        let cache = &response.headers()["cache-control"];
        assert_eq!(cache, "public, max-age=31536000, immutable");
        assert_eq!(response.bytes().await.unwrap(), tile.as_bytes());
        let asked = stage.asked.recv().await.unwrap().body;
        assert_eq!(asked, RequestBody::Tile { path: tile.to_owned() });
    }
}

#[tokio::test]
async fn what_is_no_tile_is_not_asked_for() {
    let mut stage = Stage::new().await;
    for path in ["0", "0/0", "64/000", "0/x000/001", "0%2F000", "0/000.p/0", "0//000", "0/000/"] {
        let (status, json) = problem(stage.get(&format!("/api/v1/log/tile/{path}")).await).await;
        assert_eq!((status, json.code.as_str()), (404, "unknown-tile"), "{path}");
    }
    assert!(stage.asked.try_recv().is_err());
    // A tile that is not there yet may be there soon: that is not kept.
    stage.authority.script(|_| Action::problem(Problem::new(ProblemCode::UnknownTile, "not yet")));
    assert_eq!(problem(stage.get("/api/v1/log/tile/0/999").await).await.0, 404);
}

#[tokio::test]
async fn a_bundle_has_two_forms() {
    let mut stage = Stage::new().await;
    let path = "/api/v1/identities/alice/bundle?since=7";
    let response = stage.get(path).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["vary"], "accept");
    let etag = response.headers()["etag"].clone();
    let json: Bundle = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(json, bundle(&uid("alice"), 7));
    let asked = stage.asked.recv().await.unwrap().body;
    assert_eq!(asked, RequestBody::Bundle { uid: uid("alice"), since: 7 });

    let compact = stage.get_as(path, "application/vnd.avouch.bundle").await;
    assert_eq!(compact.headers()["content-type"], "application/vnd.avouch.bundle");
    assert_ne!(compact.headers()["etag"], etag);
    let bytes = compact.bytes().await.unwrap();
    assert_eq!(wire::frame::decode::<Bundle>(&bytes, MAX_BUNDLE).unwrap(), json);

    let again = stage.client.get(stage.url(path)).header("if-none-match", &etag);
    assert_eq!(again.send().await.unwrap().status(), 304);
    // Without a number it is the whole history.
    stage.get("/api/v1/identities/alice/bundle").await;
    let mut last = None;
    while let Ok(request) = stage.asked.try_recv() {
        last = Some(request.body);
    }
    assert_eq!(last, Some(RequestBody::Bundle { uid: uid("alice"), since: 0 }));
    for bad in ["since=-1", "since=+1", "since=x", "since=9007199254740992", "since=1&since=1"] {
        let response = stage.get(&format!("/api/v1/identities/alice/bundle?{bad}")).await;
        assert_eq!(problem(response).await.1.code, "malformed-request", "{bad}");
    }
}
