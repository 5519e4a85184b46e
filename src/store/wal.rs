//! Reading a database with its write-ahead log, without opening either: SQLite makes files beside a database even when
//! it only reads, and a dry run must not write a byte anywhere.
//!
//! The log's format is part of SQLite's file format (<https://www.sqlite.org/fileformat2.html>, section 4): a header of
//! 32 bytes, then frames of a 24-byte header and a page. A frame counts if its salts are the header's and its checksum,
//! which runs on from frame to frame, is right; what follows the last frame that ends a transaction does not count.

const HEADER: usize = 32;
const FRAME: usize = 24;

/// The file with the committed transactions of its log. The result says of itself that it has no log, so it can be
/// opened in memory.
pub(super) fn applied(mut file: Vec<u8>, log: &[u8]) -> Vec<u8> {
    for (at, page) in committed(log).unwrap_or_default() {
        let end = at.saturating_add(page.len());
        if file.len() < end {
            file.resize(end, 0);
        }
        if let Some(place) = file.get_mut(at..end) {
            place.copy_from_slice(page);
        }
    }
    if let Some(pages) = pages_committed(log) {
        file.truncate(pages);
    }
    // Bytes 18 and 19: write and read version; 2 is a write-ahead log, 1 is none.
    if let Some(versions) = file.get_mut(18..20)
        && *versions == [2, 2]
    {
        versions.fill(1);
    }
    file
}

struct Log<'a> {
    page: usize,
    salts: &'a [u8],
    big_endian: bool,
    sums: (u32, u32),
    frames: &'a [u8],
}

struct Frame<'a> {
    number: u32,
    /// Pages of the database after this transaction, if the frame ends one.
    pages: u32,
    page: &'a [u8],
}

impl<'a> Log<'a> {
    fn read(log: &'a [u8]) -> Option<Log<'a>> {
        let (header, frames) = log.split_at_checked(HEADER)?;
        let big_endian = match word(header, 0)? {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let page = usize::try_from(word(header, 8)?).ok()?;
        let sums = sum(header.get(..24)?, (0, 0), big_endian);
        let told = (word(header, 24)?, word(header, 28)?);
        let sane = page.is_power_of_two() && (512..=65536).contains(&page) && sums == told;
        sane.then_some(Log {
            page,
            salts: header.get(16..24)?,
            big_endian,
            sums,
            frames,
        })
    }
}

impl<'a> Iterator for Log<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (frame, rest) = self.frames.split_at_checked(FRAME + self.page)?;
        let (header, page) = frame.split_at_checked(FRAME)?;
        if header.get(8..16)? != self.salts {
            return None;
        }
        let sums = sum(header.get(..8)?, self.sums, self.big_endian);
        let sums = sum(page, sums, self.big_endian);
        if sums != (word(header, 16)?, word(header, 20)?) {
            return None;
        }
        self.frames = rest;
        self.sums = sums;
        Some(Frame {
            number: word(header, 0)?,
            pages: word(header, 4)?,
            page,
        })
    }
}

/// (offset, page) of the frames that count, in order.
fn committed(log: &[u8]) -> Option<Vec<(usize, &[u8])>> {
    let mut pages = Vec::new();
    let mut whole = 0;
    for frame in Log::read(log)? {
        let before = usize::try_from(frame.number.checked_sub(1)?).ok()?;
        pages.push((before.checked_mul(frame.page.len())?, frame.page));
        if frame.pages > 0 {
            whole = pages.len();
        }
    }
    pages.truncate(whole);
    Some(pages)
}

/// Bytes of the database after the last transaction.
fn pages_committed(log: &[u8]) -> Option<usize> {
    let log = Log::read(log)?;
    let page = log.page;
    let last = log.filter(|frame| frame.pages > 0).last()?;
    usize::try_from(last.pages).ok()?.checked_mul(page)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// The running checksum over pairs of words.
fn sum(bytes: &[u8], (mut one, mut two): (u32, u32), big_endian: bool) -> (u32, u32) {
    let number = |bytes: [u8; 4]| match big_endian {
        true => u32::from_be_bytes(bytes),
        false => u32::from_le_bytes(bytes),
    };
    let (pairs, _) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in pairs {
        one = one.wrapping_add(number([a, b, c, d])).wrapping_add(two);
        two = two.wrapping_add(number([e, f, g, h])).wrapping_add(one);
    }
    (one, two)
}
