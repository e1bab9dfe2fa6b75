//! How often a day something may be done to one identity: nobody makes a history that cannot be
//! replayed in time.

use wire::problem::ProblemCode;

use crate::{Identity, Refusal, State, Time};

/// Whether the current key alone may bring about one more certificate, or change of the recovery
/// key, today; what to remember of it. Without a limit a thief could make a history that nobody can replay in time.
pub(super) fn one_more_today(
    state: &State<'_>,
    identity: &Identity,
    time: Time,
) -> Result<Option<(u64, u32)>, Refusal> {
    let limit = state.installation.rules().certificates_per_day;
    another_today(identity.details.certified, limit, time).map(Some).map_err(|refused| Refusal {
        rule: "certificates-per-day",
        detail: format!("the identity's key has acted {limit} times today"),
        remedy: "use the latest certificate, and ask again on the next day (UTC)",
        ..refused
    })
}

/// Switch requests of one identity on one day that no officer has approved yet.
const BARE_REQUESTS_PER_DAY: u32 = 16;

/// Whether somebody may file one more request that no officer stands behind; what to remember of
/// it. Anybody can: without a limit strangers could make a history that nobody can replay in time.
/// Whoever is held up by them goes to an officer first.
pub(super) fn one_more_request(
    identity: &Identity,
    time: Time,
) -> Result<Option<(u64, u32)>, Refusal> {
    let limit = BARE_REQUESTS_PER_DAY;
    another_today(identity.details.requested, limit, time).map(Some).map_err(|refused| Refusal {
        rule: "bare-requests-per-day",
        detail: format!("{limit} switches of this identity were asked for today"),
        remedy: "have an officer approve the request first, and send it with the approval",
        ..refused
    })
}

/// Counts one more on its day (UTC).
fn another_today(kept: Option<(u64, u32)>, limit: u32, time: Time) -> Result<(u64, u32), Refusal> {
    const DAY: u64 = 24 * 60 * 60;
    let today = time.lower_ms() / 1000 / DAY;
    // A clock that went back begins no new day.
    let (day, before) = match kept {
        Some((day, count)) if today <= day => (day, count),
        _ => (today, 0),
    };
    if before < limit {
        return Ok((day, before + 1));
    }
    Err(Refusal {
        code: ProblemCode::TooManyRequests,
        rule: "",
        detail: String::new(),
        expected: format!("{} s since 1970 or later; {limit} a day are allowed", (day + 1) * DAY),
        found: format!("{} s", time.lower_ms() / 1000),
        remedy: "",
    })
}
