//! Randomness from the operating system.

/// `N` random bytes.
///
/// # Panics
/// When the operating system has none to give: nothing can be done safely then.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}
