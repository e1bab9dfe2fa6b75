//! The story of the README, told with a real server.

/// Not told yet.
pub(crate) fn demo() -> Result<(), String> {
    Err("the story is not written yet".to_owned())
}
