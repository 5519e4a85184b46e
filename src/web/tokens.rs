//! Who has which token. A token is known by its hash, and compared with all there are in the same time whatever it is.
//!
//! Files of tokens are looked at whenever somebody asks: one that was renewed counts at once, and the one before no longer.
//! Their values are never told; those that the engine knows at its start are secrets like the values of `env`.

use std::{
    hint::black_box,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

use super::caller::{Caller, Scope};
pub use crate::permission::tokens::{TokenError, owner_token, renew};
use crate::permission::{OWN, settings::ApiSettings, tokens};

type Hash = [u8; 32];

/// All tokens that count.
#[derive(Default)]
pub struct Keys(Vec<Key>);

struct Key {
    name: Arc<str>,
    scope: Scope,
    source: Source,
}

enum Source {
    /// From the environment: it stays as it was at the start.
    Fixed(Hash),
    File(PathBuf, Mutex<Known>),
}

/// What a file held when it was read last.
#[derive(Default)]
struct Known {
    signature: Option<Signature>,
    hash: Option<Hash>,
}

/// (device, inode, size, modified, changed) of a file.
type Signature = (u64, u64, u64, i128, i128);

impl Keys {
    /// The owner's token and those of the settings. What is wrong with one is told, and that one counts for nothing; it
    /// does not keep the others from counting.
    pub fn load(
        root: &Path,
        settings: &ApiSettings,
        env: impl Fn(&str) -> Option<String>,
    ) -> (Keys, Vec<String>) {
        let mut keys = vec![Key {
            name: tokens::OWNER.into(),
            scope: Scope::Admin,
            source: Source::File(root.join(OWN).join(tokens::FILE), Mutex::default()),
        }];
        let mut wrong = Vec::new();
        for token in &settings.tokens {
            let source = match (&token.env, &token.file) {
                (Some(name), _) => match env(name).map(|value| value.trim().to_owned()) {
                    None => Err(format!("{name} is not set")),
                    Some(value) => tokens::fit(&value)
                        .map(|()| Source::Fixed(hash(&value)))
                        .map_err(|why| format!("{name} holds no token: {why}")),
                },
                (None, Some(file)) => {
                    let path = root.join(file);
                    match tokens::read(&path) {
                        Err(error) => Err(error.told()),
                        Ok(None) => Err(format!("there is no {}", path.display())),
                        Ok(Some(_)) => Ok(()),
                    }
                    .map_err(|why| {
                        wrong.push(format!(
                            "the token `{}` does not count yet: {why}",
                            token.name
                        ))
                    })
                    .ok();
                    Ok(Source::File(path, Mutex::default()))
                }
                (None, None) => Err("it has neither `env` nor `file`".to_owned()),
            };
            match source {
                Ok(source) => keys.push(Key {
                    name: token.name.as_str().into(),
                    scope: token.scope,
                    source,
                }),
                Err(why) => wrong.push(format!("the token `{}` does not count: {why}", token.name)),
            }
        }
        (Keys(keys), wrong)
    }

    /// Whose token this is. Every key is compared, whichever it is.
    pub fn find(&self, token: &str) -> Option<Caller> {
        let asked = hash(token);
        let mut found = None;
        for key in &self.0 {
            let same = key.hash().is_some_and(|known| equal(&known, &asked));
            if same && found.is_none() {
                found = Some(Caller {
                    name: Some(key.name.clone()),
                    scope: Some(key.scope),
                });
            }
        }
        found
    }
}

impl Key {
    fn hash(&self) -> Option<Hash> {
        match &self.source {
            Source::Fixed(hash) => Some(*hash),
            Source::File(path, known) => {
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                let now = signature(path);
                if now.is_none() || now != known.signature {
                    let read = tokens::read(path).unwrap_or_else(|error| {
                        tracing::warn!(token = %self.name, error = %error.told(), "a token does not count");
                        None
                    });
                    known.hash = read.map(|token| hash(&token));
                    known.signature = now;
                }
                known.hash
            }
        }
    }
}

fn signature(path: &Path) -> Option<Signature> {
    let found = std::fs::symlink_metadata(path).ok()?;
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        nanos(found.mtime(), found.mtime_nsec()),
        nanos(found.ctime(), found.ctime_nsec()),
    ))
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

/// In the same time whether and wherever they differ.
fn equal(one: &Hash, other: &Hash) -> bool {
    let differing = one
        .iter()
        .zip(other)
        .fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::permission::settings::TokenSettings;

    fn token(name: &str, scope: Scope, env: Option<&str>, file: Option<&str>) -> TokenSettings {
        TokenSettings {
            name: name.to_owned(),
            scope,
            env: env.map(str::to_owned),
            file: file.map(str::to_owned),
        }
    }

    #[test]
    fn tokens_are_known_by_their_values_and_a_renewed_one_counts_at_once() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join(OWN);
        let first = owner_token(&own).unwrap();
        let file = root.path().join("deploy");
        fs::write(&file, "deploy-token-0123456789\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let settings = ApiSettings {
            tokens: vec![
                token("grafana", Scope::Read, Some("READ"), None),
                token("deploy", Scope::Operate, None, Some("deploy")),
                token("absent", Scope::Admin, Some("ABSENT"), None),
                token("short", Scope::Admin, Some("SHORT"), None),
                token("gone", Scope::Admin, None, Some("gone")),
            ],
            ..ApiSettings::default()
        };
        let env = |name: &str| match name {
            "READ" => Some("read-token-0123456789".to_owned()),
            "SHORT" => Some("short".to_owned()),
            _ => None,
        };
        let (keys, wrong) = Keys::load(root.path(), &settings, env);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(
            wrong.iter().all(|it| !it.contains("short`: short")),
            "no value is told"
        );
        let scope = |token: &str| keys.find(token).and_then(|it| it.scope);
        assert_eq!(scope(&first), Some(Scope::Admin));
        assert_eq!(scope("read-token-0123456789"), Some(Scope::Read));
        assert_eq!(scope("deploy-token-0123456789"), Some(Scope::Operate));
        for other in [
            "",
            "short",
            "read-token-012345678",
            "read-token-0123456789 ",
        ] {
            assert_eq!(scope(other), None, "{other}");
        }
        assert_eq!(keys.find(&first).unwrap().name.as_deref(), Some("owner"));
        let second = renew(&own).unwrap();
        assert_eq!((scope(&first), scope(&second)), (None, Some(Scope::Admin)));
        fs::remove_file(own.join(tokens::FILE)).unwrap();
        assert_eq!(scope(&second), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(
            scope("deploy-token-0123456789"),
            None,
            "others may read it now"
        );
    }
}
