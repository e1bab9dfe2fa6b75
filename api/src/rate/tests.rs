use super::*;

const ALICE: Caller = Caller::Address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

fn limiter(per_second: u32, burst: u32) -> Limiter {
    let rate = Rate { per_second, burst };
    Limiter::new(rate, Rate { per_second: 1000, burst: 1000 })
}

#[test]
fn a_burst_is_taken_then_the_rate() {
    let limiter = limiter(10, 5);
    let now = Instant::now();
    for _ in 0..5 {
        limiter.take(ALICE, now).unwrap();
    }
    assert_eq!(limiter.take(ALICE, now), Err(Duration::from_millis(100)));
    // A refusal costs nothing.
    let later = now + Duration::from_millis(100);
    limiter.take(ALICE, later).unwrap();
    limiter.take(ALICE, later).unwrap_err();
    // After a rest the burst is there again, and not more.
    let rested = now + Duration::from_secs(60);
    for _ in 0..5 {
        limiter.take(ALICE, rested).unwrap();
    }
    limiter.take(ALICE, rested).unwrap_err();
}

#[test]
fn callers_do_not_share() {
    let limiter = limiter(1, 1);
    let now = Instant::now();
    limiter.take(ALICE, now).unwrap();
    limiter.take(ALICE, now).unwrap_err();
    limiter.take(Caller::at("192.0.2.1".parse().unwrap()), now).unwrap();
    // An agent behind the same address has its own, larger allowance.
    for _ in 0..1000 {
        limiter.take(Caller::Certificate(Hash32::of(b"agent")), now).unwrap();
    }
    limiter.take(Caller::Certificate(Hash32::of(b"agent")), now).unwrap_err();
}

#[test]
fn addresses_of_one_network_are_one_caller() {
    let at = |text: &str| Caller::at(text.parse().unwrap());
    assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::2"));
    assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
    assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    assert_ne!(at("192.0.2.2"), at("192.0.2.1"));
}

#[test]
fn the_number_of_callers_is_bounded() {
    let limiter = limiter(1, 1);
    let now = Instant::now();
    let caller = |n: u32| Caller::at(IpAddr::V4(n.into()));
    for n in 0..=u32::try_from(CALLERS).unwrap() {
        limiter.take(caller(n), now).unwrap();
    }
    assert_eq!(limiter.callers().len(), CALLERS);
    // Those that were told apart still are.
    limiter.take(caller(0), now).unwrap_err();
    // Later their places are free.
    limiter.take(caller(u32::MAX), now + Duration::from_secs(1)).unwrap();
    assert_eq!(limiter.callers().len(), 1);
}
