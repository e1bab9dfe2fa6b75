use std::convert::Infallible;

use tokio::sync::oneshot;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn key(shard: u32) -> CrlKey {
    ("issuer".to_owned(), shard)
}

#[tokio::test]
async fn a_fresh_value_is_kept_and_a_stale_one_is_not() {
    let cell = Cell::default();
    let load = async |value: u32, fresh| {
        *cell.get(async || Ok::<_, Infallible>((value, fresh))).await.unwrap()
    };
    assert_eq!(load(1, Duration::ZERO).await, 1);
    assert_eq!(load(2, HOUR).await, 2);
    assert_eq!(load(3, HOUR).await, 2);
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let cell = Cell::<u32>::default();
    assert_eq!(cell.get(async || Err("no")).await, Err("no"));
    assert_eq!(cell.get(async || Ok::<_, &str>((1, HOUR))).await.as_deref(), Ok(&1));
}

#[tokio::test]
async fn callers_that_miss_together_load_once() {
    let cell = Cell::default();
    let (go, gate) = oneshot::channel();
    let first = cell.get(async || {
        let _: Result<(), _> = gate.await;
        Ok::<_, Infallible>((1, HOUR))
    });
    let second = cell.get(async || panic!("loaded twice"));
    let release = async {
        go.send(()).unwrap();
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    let second: Result<_, Infallible> = second;
    assert_eq!((*first.unwrap(), *second.unwrap()), (1, 1));
}

#[tokio::test]
async fn a_caller_that_goes_away_holds_up_nobody() {
    let cell = Cell::default();
    {
        let abandoned = cell.get(async || std::future::pending::<Result<_, Infallible>>().await);
        let mut abandoned = std::pin::pin!(abandoned);
        assert!(futures::poll!(abandoned.as_mut()).is_pending());
    }
    assert_eq!(cell.get(async || Ok::<_, Infallible>((1, HOUR))).await.as_deref(), Ok(&1));
}

#[tokio::test]
async fn the_shelf_drops_what_was_not_used_for_longest() {
    let shelf = Shelf::new(10);
    let get = async |shard, size: usize| {
        let mut loaded = false;
        let load = async || {
            loaded = true;
            Ok::<_, Infallible>((size, HOUR))
        };
        shelf.get(key(shard), |size| *size, load).await.unwrap();
        loaded
    };
    assert!(get(0, 4).await);
    assert!(get(1, 4).await);
    assert!(!get(0, 4).await);
    // No room for three: the second goes.
    assert!(get(2, 4).await);
    assert!(!get(0, 4).await);
    assert!(!get(2, 4).await);
    assert!(get(1, 4).await);
    // What is too big by itself is served and not kept.
    assert!(get(3, 11).await);
    assert!(get(3, 11).await);
}
