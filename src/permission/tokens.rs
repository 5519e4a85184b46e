//! The files that hold tokens: the owner's own, which is made here, and those that `homeostat.yaml` names.
//!
//! A token file belongs to whom the engine runs as, and nobody else may read it; else what stands in it is no secret, and
//! it is not taken. It is opened without following a link and without waiting.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use rustix::fs::OFlags;

/// The name of the owner's token in the engine's own directory.
pub const FILE: &str = "token";
/// The name under which it is known.
pub const OWNER: &str = "owner";
/// Bytes of chance in a token that is made here.
const BYTES: usize = 32;
/// Shorter tokens could be guessed, so they are not taken.
pub const SHORTEST: usize = 16;
/// Longer files are none of a token.
const LONGEST: u64 = 4096;

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("could not {doing} {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} {why}")]
    Unfit { path: PathBuf, why: String },
    #[error("the system gives no chance to make a token of")]
    Chance,
}

impl TokenError {
    /// The whole story in one line, cause included.
    pub fn told(&self) -> String {
        match self {
            TokenError::Io { source, .. } => format!("{self}: {source}"),
            other => other.to_string(),
        }
    }
}

/// The owner's token; it is made if there is none yet. `own` is the engine's own directory.
pub fn owner_token(own: &Path) -> Result<String, TokenError> {
    match read(&own.join(FILE))? {
        Some(token) => Ok(token),
        None => make(own, false),
    }
}

/// Another token for the owner: the one before counts no longer.
pub fn renew(own: &Path) -> Result<String, TokenError> {
    make(own, true)
}

/// What a token file holds, without the blanks around it; `None` if there is none. A file that others may read is an
/// error, and so is one that holds no token.
pub fn read(path: &Path) -> Result<Option<String>, TokenError> {
    let failed = |source| TokenError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let unfit = |why: &str| TokenError::Unfit {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(unfit("is no regular file"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(unfit("may be read by others: chmod 600 it"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(unfit("belongs to another user"));
    }
    let mut text = String::new();
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let token = text.trim();
    fit(token).map_err(|why| unfit(&format!("holds no token: {why}")))?;
    Ok(Some(token.to_owned()))
}

/// Whether a text can be a token.
pub fn fit(token: &str) -> Result<(), String> {
    if token.len() < SHORTEST {
        return Err(format!("it has fewer than {SHORTEST} characters"));
    }
    match token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("it has other characters than those of ASCII, or blanks".to_owned()),
    }
}

/// Writes a fresh token beside its place and moves it there, whole.
fn make(own: &Path, replace: bool) -> Result<String, TokenError> {
    let path = own.join(FILE);
    let failed = |source| TokenError::Io {
        doing: "write",
        path: path.clone(),
        source,
    };
    let mut chance = [0; BYTES];
    getrandom::fill(&mut chance).map_err(|_| TokenError::Chance)?;
    let token = BASE64_URL_SAFE_NO_PAD.encode(chance);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(own)
        .map_err(failed)?;
    let mut fresh = tempfile::Builder::new()
        .prefix(".token-")
        .tempfile_in(own)
        .map_err(failed)?; // mode 0600
    fresh
        .write_all(format!("{token}\n").as_bytes())
        .and_then(|()| fresh.as_file().sync_all())
        .map_err(failed)?;
    let placed = match replace {
        true => fresh.persist(&path),
        false => fresh.persist_noclobber(&path),
    };
    match placed {
        Ok(_) => {}
        // Somebody was faster.
        Err(error) if !replace && error.error.kind() == io::ErrorKind::AlreadyExists => {
            return read(&path)?.ok_or_else(|| failed(error.error));
        }
        Err(error) => return Err(failed(error.error)),
    }
    File::open(own)
        .and_then(|dir| dir.sync_all())
        .map_err(failed)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_owners_token_is_made_once_and_renewed_when_it_is_asked() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("state/homeostat");
        let token = owner_token(&own).unwrap();
        assert_eq!(token.len(), 43);
        assert_eq!(owner_token(&own).unwrap(), token);
        let mode = fs::metadata(own.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = renew(&own).unwrap();
        assert_ne!(other, token);
        assert_eq!(owner_token(&own).unwrap(), other);
        assert_eq!(
            fs::read_dir(&own).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn what_others_may_read_is_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        assert!(read(&path).unwrap().is_none());
        fs::write(&path, "0123456789abcdef\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let told = read(&path).unwrap_err().told();
        assert!(told.contains("may be read by others"), "{told}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("0123456789abcdef"));
        for (text, why) in [
            ("short", "fewer than 16"),
            ("two words in one line", "blanks"),
        ] {
            fs::write(&path, text).unwrap();
            let told = read(&path).unwrap_err().told();
            assert!(told.contains(why) && !told.contains(text), "{told}");
        }
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read(&link).is_err());
        assert!(read(dir.path()).is_err());
    }
}
