use wire::Hash32;
use wire::body::ChannelKind;

use super::*;

fn row(attempts: u32) -> OutboxRow {
    OutboxRow {
        id: Hash32::of(b"id"),
        leaf_index: 1,
        kind: ChannelKind::Mail,
        address: "a@b".into(),
        notice: Vec::new(),
        at_ms: 1000,
        attempts,
    }
}

#[test]
fn tries_get_rarer_and_end() {
    let settings = NoticeSettings::default();
    let failed = Err(PostError::NoWay("mail server"));
    let mut last = Duration::ZERO;
    for attempts in 0..40 {
        let least = delay(settings.first_retry, attempts, [0]);
        let most = delay(settings.first_retry, attempts, [255]);
        assert!(least >= last && most <= LONGEST + LONGEST / 2, "{attempts}: {least:?} {most:?}");
        assert_eq!(most, least + least / 2);
        last = least;
    }
    assert_eq!(last, LONGEST);

    let three_days = 3 * 86_400_000;
    let Settled::Again { attempts: 1, next_ms, .. } = settle(&settings, &row(0), &failed, 1000)
    else {
        panic!("tried again")
    };
    assert!((31_000..=46_000).contains(&next_ms), "{next_ms}");
    let late = settle(&settings, &row(9), &failed, 1000 + three_days - 1);
    assert!(matches!(late, Settled::Again { .. }));
    let too_late = settle(&settings, &row(9), &failed, 1000 + three_days);
    assert!(matches!(too_late, Settled::GivenUp { .. }));
    assert!(matches!(settle(&settings, &row(9), &Ok(()), u64::MAX), Settled::Sent { .. }));
}

#[tokio::test]
async fn what_cannot_be_read_is_not_sent() {
    let outcome = one(&NoticeSettings::default(), &row(0), 0).await;
    assert!(matches!(outcome, Err(PostError::Failed(_))), "{outcome:?}");
}
