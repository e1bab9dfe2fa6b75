//! How much goes through: not a test but a figure. Client, gateway and fake authority share the
//! machine, so it is a lower bound.
//!
//! `cargo test --release -p avouch-api --test gateway -- --ignored --nocapture load`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::support::{Action, Stage, answer};

const REQUESTS: usize = 40_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn load() {
    let csr = vec![b'x'; 700];
    for clients in [1, 16, 64] {
        let welcome = wire::socket::Welcome::Ok { in_flight: 1000 };
        let mut stage = Stage::greeted(welcome, |options| {
            options.limits.anonymous_rate = options.limits.agent_rate;
        })
        .await;
        stage.authority.script(|request| Action::ok(answer(&request.body)));
        stage.asked.close();
        let requests = if clients == 1 { REQUESTS / 10 } else { REQUESTS };
        let left = Arc::new(AtomicUsize::new(requests));
        let start = Instant::now();
        let tasks = (0..clients).map(|_| {
            let client = stage.http1_client();
            let url = stage.url("/api/v1/identities/alice/certificates");
            let (left, csr) = (Arc::clone(&left), csr.clone());
            tokio::spawn(async move {
                let next = |left: usize| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
                    let request = client.post(&url).header("content-type", "application/pkcs10");
                    let response = request.body(csr.clone()).send().await.unwrap();
                    assert_eq!(response.status(), 201);
                    response.bytes().await.unwrap();
                }
            })
        });
        futures::future::join_all(tasks.collect::<Vec<_>>()).await;
        let rate = requests as f64 / start.elapsed().as_secs_f64();
        println!("{clients} clients: {rate:.0} requests/s");
    }
}
