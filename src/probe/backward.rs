//! Lines of a file from its end: what is read depends on how far back one goes, not on the file.

use std::{fs::File, io, os::unix::fs::FileExt};

/// The first read; each further one is twice as large, up to [`LARGEST`].
const FIRST: u64 = 16 << 10;
const LARGEST: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It became shorter than it was when it was opened.
    #[error("it changes while it is read")]
    Changed,
    /// The line begins before the floor.
    #[error("the limit was reached")]
    TooFar,
    #[error("{0}")]
    Io(io::Error),
}

/// Reads a part of a file that must be there.
pub(super) fn part(file: &File, from: u64, to: u64) -> Result<Vec<u8>, ReadError> {
    let length = usize::try_from(to.saturating_sub(from)).map_err(|_| ReadError::TooFar)?;
    let mut bytes = vec![0; length];
    fill(file, &mut bytes, from)?;
    Ok(bytes)
}

fn fill(file: &File, bytes: &mut [u8], from: u64) -> Result<(), ReadError> {
    file.read_exact_at(bytes, from)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Changed,
            _ => ReadError::Io(error),
        })
}

/// A way back through a file, from a position that is its end or the beginning of a line.
pub(super) struct Backward<'a> {
    file: &'a File,
    /// Where `buffer` begins in the file.
    at: u64,
    buffer: Vec<u8>,
    /// Bytes of `buffer` not yet given.
    left: usize,
    next: u64,
    /// No line that begins before this is given.
    floor: u64,
}

impl<'a> Backward<'a> {
    pub(super) fn new(file: &'a File, end: u64, floor: u64) -> Backward<'a> {
        Backward {
            file,
            at: end,
            buffer: Vec::new(),
            left: 0,
            next: FIRST,
            floor,
        }
    }

    /// What stands behind the last line end: a line that is not finished, or nothing.
    pub(super) fn unfinished(&mut self) -> Result<Vec<u8>, ReadError> {
        let begin = self.line_begin(0)?;
        let rest = self
            .buffer
            .get(begin..self.left)
            .unwrap_or_default()
            .to_vec();
        self.left = begin;
        Ok(rest)
    }

    /// The line before the present position, without its end, and where it begins. `None` at the beginning of the file.
    pub(super) fn line(&mut self) -> Result<Option<(u64, &[u8])>, ReadError> {
        if self.left == 0 && !self.load(self.next)? {
            return Ok(None);
        }
        let begin = self.line_begin(1)?;
        let end = self.left - 1; // its line end
        self.left = begin;
        let line = self.buffer.get(begin..end).unwrap_or_default();
        Ok(Some((self.at + begin as u64, line)))
    }

    /// Where the line begins (in the buffer) that ends `ending` bytes before the present position.
    fn line_begin(&mut self, ending: usize) -> Result<usize, ReadError> {
        let mut searched = ending;
        loop {
            let open = self.left.saturating_sub(searched);
            let found = self.buffer[..open].iter().rposition(|byte| *byte == b'\n');
            if let Some(newline) = found {
                let begin = newline + 1;
                let too_far = self.at + (begin as u64) < self.floor;
                return if too_far {
                    Err(ReadError::TooFar)
                } else {
                    Ok(begin)
                };
            }
            searched = self.left.max(ending);
            let more = match self.left as u64 > LARGEST {
                true => self.load_line()?,
                false => self.load(self.next)?,
            };
            if !more {
                return if self.floor > 0 {
                    Err(ReadError::TooFar)
                } else {
                    Ok(0)
                };
            }
        }
    }

    /// Reads so much of what lies before the buffer; false at the beginning of the file.
    fn load(&mut self, count: u64) -> Result<bool, ReadError> {
        if self.at == 0 {
            return Ok(false);
        }
        if self.at < self.floor {
            return Err(ReadError::TooFar);
        }
        let count = count.min(self.at);
        self.next = (self.next * 2).min(LARGEST);
        let size = usize::try_from(count).map_err(|_| ReadError::TooFar)?;
        let mut buffer = vec![0; size + self.left];
        let (fresh, kept) = buffer.split_at_mut(size);
        kept.copy_from_slice(&self.buffer[..self.left]);
        fill(self.file, fresh, self.at - count)?;
        self.buffer = buffer;
        self.left += size;
        self.at -= count;
        Ok(true)
    }

    /// The same up to where the line begins that the buffer is the end of. It is a long one: where it begins is found
    /// first, a part at a time, so that one without end costs neither memory nor the copying of all its parts.
    fn load_line(&mut self) -> Result<bool, ReadError> {
        let mut from = self.at;
        while from > 0 {
            if from < self.floor {
                return Err(ReadError::TooFar);
            }
            let to = from;
            from = to.saturating_sub(LARGEST);
            if part(self.file, from, to)?.contains(&b'\n') {
                break;
            }
        }
        self.load(self.at - from)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// What is not finished, and the lines with their beginnings.
    type Lines = (Vec<u8>, Vec<(u64, Vec<u8>)>);

    fn lines(bytes: &[u8], floor: u64) -> Result<Lines, ReadError> {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("written");
        let mut back = Backward::new(&file, bytes.len() as u64, floor);
        let rest = back.unfinished()?;
        let mut found = Vec::new();
        while let Some((begin, line)) = back.line()? {
            found.push((begin, line.to_vec()));
        }
        found.reverse();
        Ok((rest, found))
    }

    /// The same by looking at all of it.
    fn simply(bytes: &[u8]) -> Lines {
        let mut found = Vec::new();
        let mut begin = 0;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(line) => found.push((begin, line.to_vec())),
                None => return (part.to_vec(), found),
            }
            begin += part.len() as u64;
        }
        (Vec::new(), found)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn gives_every_line_once(parts in prop::collection::vec((0_usize..40_000, any::<bool>()), 0..8)) {
            let mut bytes = Vec::new();
            for (number, (length, ends)) in parts.into_iter().enumerate() {
                bytes.extend(std::iter::repeat_n(b'a' + number as u8, length));
                if ends {
                    bytes.push(b'\n');
                }
            }
            prop_assert_eq!(lines(&bytes, 0).expect("readable"), simply(&bytes));
        }
    }

    #[test]
    fn stops_at_the_floor() {
        assert!(lines(b"one\ntwo\nthree\n", 0).is_ok());
        assert!(matches!(
            lines(b"one\ntwo\nthree\n", 4),
            Err(ReadError::TooFar)
        ));
        let long = [b'x'; 100_000];
        assert!(matches!(lines(&long, 50_000), Err(ReadError::TooFar)));
    }

    #[test]
    fn a_long_line_is_whole_and_one_without_end_is_not_kept() {
        let long = vec![b'x'; 5_000_000];
        let bytes = [&b"one\n"[..], &long, b"\n", &long[..3_000_000]].concat();
        let (rest, found) = lines(&bytes, 0).expect("readable");
        assert_eq!(rest.len(), 3_000_000);
        assert_eq!(found, [(0, b"one".to_vec()), (4, long)]);
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&bytes).expect("written");
        let mut back = Backward::new(&file, bytes.len() as u64 - 3_000_001, 1_000_000);
        assert!(matches!(back.unfinished(), Err(ReadError::TooFar)));
        assert!(back.buffer.len() < 3 << 20, "{}", back.buffer.len());
    }

    #[test]
    fn a_file_that_shrank_has_changed() {
        let file = tempfile::tempfile().expect("a temporary file");
        let mut back = Backward::new(&file, 100, 0);
        assert!(matches!(back.unfinished(), Err(ReadError::Changed)));
    }
}
