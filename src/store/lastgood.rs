//! The last good book on disk, so that a restart beside a broken rule file still starts: `last_good.json.gz`.
//!
//! It holds the sources, not the compiled book: a newer program compiles them by its own rules. The text under the
//! compression is a line with the SHA-256 of all that follows, and a JSON object.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::{Generation, moment::Moment};

use super::file::{make_dir, rename};

const FILE: &str = "last_good.json.gz";

/// More is not read back, and not written.
const BYTES: u64 = 256 << 20;

const FORMAT: u32 = 1;

/// What a book was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct LastGood {
    pub generation: Generation,
    /// When it was saved.
    pub saved: Moment,
    /// `--set NAME=VALUE`, which went into the generation.
    pub overrides: Map<String, Value>,
    /// (path relative to the rules directory, contents).
    pub sources: BTreeMap<String, Arc<[u8]>>,
}

#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    #[error("could not {doing} {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// It is there and cannot be trusted.
    #[error("the last good book {path} is broken: {why}")]
    Broken { path: PathBuf, why: String },
    #[error("the rules take more than {} MiB", BYTES >> 20)]
    TooLarge,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    generation: Generation,
    saved: Moment,
    overrides: Map<String, Value>,
    files: BTreeMap<String, Body>,
}

/// A file: as text where it is text, so that the book can be read with `zcat`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    Text(String),
    Hex(String),
}

impl LastGood {
    /// Writes it in place of the one before, all or nothing, durable when it returns.
    pub fn save(&self, dir: &Path) -> Result<(), LastGoodError> {
        let path = dir.join(FILE);
        let bytes = self.encode()?;
        let temporary = dir.join(format!("{FILE}.new"));
        make_dir(dir)
            .map_err(|error| std::io::Error::other(error.chain()))
            .and_then(|()| write_whole(&temporary, &bytes))
            .and_then(|()| {
                rename(&temporary, &path).map_err(|error| std::io::Error::other(error.chain()))
            })
            .map_err(|source| LastGoodError::Io {
                doing: "save the last good book",
                path,
                source,
            })
    }

    /// The one saved last; `None` if there never was one.
    pub fn load(dir: &Path) -> Result<Option<LastGood>, LastGoodError> {
        let path = dir.join(FILE);
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other,
        };
        let mut bytes = Vec::new();
        file.and_then(|file| file.take(BYTES).read_to_end(&mut bytes))
            .map_err(|source| LastGoodError::Io {
                doing: "read the last good book",
                path: path.clone(),
                source,
            })?;
        match decode(&bytes) {
            Ok(book) => Ok(Some(book)),
            Err(why) => Err(LastGoodError::Broken { path, why }),
        }
    }

    fn encode(&self) -> Result<Vec<u8>, LastGoodError> {
        let saved = Saved {
            format: FORMAT,
            generation: self.generation.clone(),
            saved: self.saved,
            overrides: self.overrides.clone(),
            files: self
                .sources
                .iter()
                .map(|(path, bytes)| (path.clone(), body_of(bytes)))
                .collect(),
        };
        // Plain strings and maps always serialise, and writing to memory does not fail.
        let text = serde_json::to_vec(&saved).unwrap_or_default();
        if text.len() as u64 > BYTES / 2 {
            return Err(LastGoodError::TooLarge);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let _ = encoder.write_all(digest(&text).as_bytes());
        let _ = encoder.write_all(b"\n");
        let _ = encoder.write_all(&text);
        Ok(encoder.finish().unwrap_or_default())
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn decode(bytes: &[u8]) -> Result<LastGood, String> {
    let mut text = Vec::new();
    GzDecoder::new(bytes)
        .take(BYTES)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    let end = text
        .iter()
        .position(|&byte| byte == b'\n')
        .ok_or("it has no checksum")?;
    let (told, rest) = text.split_at(end);
    let body = rest.get(1..).unwrap_or_default();
    if digest(body).as_bytes() != told {
        return Err("its checksum is wrong".to_owned());
    }
    let saved: Saved = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if saved.format != FORMAT {
        return Err(format!("its format {} is unknown", saved.format));
    }
    let sources = saved
        .files
        .into_iter()
        .map(|(path, body)| Some((path, bytes_of(body)?)))
        .collect::<Option<_>>()
        .ok_or("a file of it cannot be read")?;
    Ok(LastGood {
        generation: saved.generation,
        saved: saved.saved,
        overrides: saved.overrides,
        sources,
    })
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn body_of(bytes: &[u8]) -> Body {
    match std::str::from_utf8(bytes) {
        Ok(text) => Body::Text(text.to_owned()),
        Err(_) => Body::Hex(hex(bytes)),
    }
}

fn bytes_of(body: Body) -> Option<Arc<[u8]>> {
    match body {
        Body::Text(text) => Some(text.into_bytes().into()),
        Body::Hex(hex) => {
            let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
            if !rest.is_empty() {
                return None;
            }
            pairs
                .iter()
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> LastGood {
        let mut overrides = Map::new();
        overrides.insert("limit".to_owned(), Value::from(2.7));
        LastGood {
            generation: "0123456789ab".into(),
            saved: Moment(1_767_717_000_000),
            overrides,
            sources: [
                ("critical.yaml", &b"checks: []\n"[..]),
                ("defaults/\u{fc}.bin", &[0, 255, 10, 13, 254][..]),
                ("empty.yaml", &[][..]),
            ]
            .map(|(path, bytes)| (path.to_owned(), Arc::from(bytes)))
            .into(),
        }
    }

    #[test]
    fn a_book_comes_back_byte_for_byte() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("state/homeostat");
        assert_eq!(LastGood::load(&dir).unwrap(), None);
        book().save(&dir).unwrap();
        assert_eq!(LastGood::load(&dir).unwrap(), Some(book()));
        let mut later = book();
        later.generation = "ba9876543210".into();
        later.save(&dir).unwrap();
        assert_eq!(LastGood::load(&dir).unwrap(), Some(later));
    }

    #[test]
    fn a_broken_book_is_refused_and_a_crash_while_saving_keeps_the_old_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        book().save(dir).unwrap();
        std::fs::write(dir.join("last_good.json.gz.new"), "half of").unwrap();
        assert_eq!(LastGood::load(dir).unwrap(), Some(book()));
        book().save(dir).unwrap();
        let good = std::fs::read(dir.join(FILE)).unwrap();
        for length in 0..good.len() {
            std::fs::write(dir.join(FILE), &good[..length]).unwrap();
            let loaded = LastGood::load(dir);
            assert!(
                matches!(loaded, Err(LastGoodError::Broken { .. })),
                "{length}"
            );
        }
        // Changed by hand and packed again.
        let text = good.clone();
        let mut unpacked = String::new();
        GzDecoder::new(&text[..])
            .read_to_string(&mut unpacked)
            .unwrap();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder
            .write_all(unpacked.replace("checks", "checkz").as_bytes())
            .unwrap();
        std::fs::write(dir.join(FILE), encoder.finish().unwrap()).unwrap();
        let error = LastGood::load(dir).unwrap_err().to_string();
        assert!(error.ends_with("its checksum is wrong"), "{error}");
    }
}
