//! Callers that ask too much.

use avouch_api::Rate;

use crate::support::{Stage, problem};

#[tokio::test]
async fn one_caller_does_not_take_what_is_for_others() {
    let stage = Stage::with(|options| {
        options.limits.anonymous_rate = Rate { per_second: 1, burst: 3 };
        options.limits.agent_rate = Rate { per_second: 1, burst: 2 };
    })
    .await;
    let path = "/api/v1/identities/alice";
    for _ in 0..3 {
        assert_eq!(stage.get(path).await.status(), 200);
    }
    let refused = stage.get(path).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    let (status, json) = problem(refused).await;
    assert_eq!((status, json.code.as_str()), (429, "too-many-requests"));
    // Whether the process is alive can always be asked.
    assert_eq!(stage.get("/api/v1/health/live").await.status(), 200);

    // Two agents at the same address, each with its own allowance.
    for name in ["agent 1", "agent 2"] {
        let (certificate, key, _) = stage.agents.issue(name, &[]);
        let agent = stage.client_with(&certificate, &key);
        for expected in [200, 200, 429] {
            let response = agent.get(stage.url(path)).send().await.unwrap();
            assert_eq!(response.status(), expected, "{name}");
        }
    }
}
