//! Shows, at every contact, what happened to an identity of one's own since the last one.

use std::path::{Path, PathBuf};

use client::bundle::ProvenIdentity;
use client::news::{News, NewsError, Own};
use wire::{Hash32, UserId};

use super::common::time;
use crate::output;

/// The identity is one's own: says what is new of it. Where nothing can be remembered all of it is
/// shown, which is no reason to do nothing else.
pub(super) fn tell(genesis: Hash32, proven: &ProvenIdentity) {
    let told = match file() {
        Some(path) => remembered(&path, genesis, proven),
        None => Ok(Own::default().news(genesis, proven)),
    };
    match told {
        Ok(news) => show(&proven.identity().uid, &news),
        Err(error) => {
            output::talk(&format!("avouch: {error}"));
            show(&proven.identity().uid, &Own::default().news(genesis, proven));
        }
    }
}

/// Whether this client has used an identity as its own.
pub(super) fn is_own(genesis: Hash32, uid: &UserId) -> bool {
    let own = file().and_then(|path| Own::load(&path).ok());
    own.is_some_and(|own| own.has(genesis, uid))
}

fn remembered(
    path: &Path,
    genesis: Hash32,
    proven: &ProvenIdentity,
) -> Result<Vec<News>, NewsError> {
    let mut own = Own::load(path)?;
    let before = own.clone();
    let news = own.news(genesis, proven);
    if own != before {
        own.save(path)?;
    }
    Ok(news)
}

fn show(uid: &UserId, news: &[News]) {
    for News { at_ms, what, against } in news {
        let mut line = format!("{}  {uid}: {what}", time(*at_ms));
        if let Some(command) = against {
            line.push_str(&format!("; if this was not you: `avouch {command} {uid}`"));
        }
        output::talk(&line);
    }
}

/// `AVOUCH_OWN`, else a file in the user's data folder (XDG Base Directory).
fn file() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os("AVOUCH_OWN") {
        return Some(file.into());
    }
    let folder = super::common::data_folder().ok()?;
    Some(folder.join("own.json"))
}
