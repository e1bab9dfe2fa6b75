use super::*;

#[test]
fn pauses_grow_to_their_bound_and_begin_anew() {
    let greatest = Duration::from_secs(2);
    let mut backoff = Backoff::new(greatest);
    let first = backoff.next();
    assert!(first <= greatest / 32 && first >= greatest / 64, "{first:?}");
    for _ in 0..20 {
        assert!(backoff.next() <= greatest);
    }
    assert!(backoff.next() >= greatest / 2);
    backoff.reset();
    assert!(backoff.next() <= greatest / 32);
}
