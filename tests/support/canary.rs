//! Looks for what must not be found: secrets that a test knows, in every shape that they may have been left behind in.
//!
//! A search that finds nothing proves nothing by itself: each test also looks where its secrets must be.

use super::files_below;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are compared at once. Every shape is longer than two of them, so one of its first eight groups lies where the
/// search looks, which is at every eighth byte.
const GROUP: usize = 8;

/// Of a secret its end is looked for, in bytes: an allocator writes over the beginning of what was freed, and what is left of it
/// is found too.
const END: usize = 24;

/// The same where it stands as it is.
const LAST: usize = 16;

/// What is read of a process's memory at once, in bytes.
const PIECE: usize = 1024 * 1024;

/// The upper bits of a product with this depend on all bits of the number (Knuth's multiplicative hashing).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// All but the twenty upper bits: of a million groups that are looked for by none, some hundred are looked at twice.
const NARROW: u32 = 44;

/// The least that memory is given in, in bytes: where pages are larger, more is searched than there is need to.
const PAGE: u64 = 4096;

/// What is looked over at once of memory that was never touched, in bytes.
const RESERVED: u64 = 64 << 20;

/// What is told of each page, in bytes.
const ENTRY: usize = 8;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Which secret.
    pub what: String,
    /// In which shape.
    pub shape: &'static str,
    /// Where.
    pub place: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) in {}", self.what, self.shape, self.place)
    }
}

struct Shape {
    what: String,
    name: &'static str,
    bytes: Vec<u8>,
}

/// A search for some secrets.
#[derive(Default)]
pub struct Search {
    shapes: Vec<Shape>,
    /// Where a group may be the beginning of: shape, and how far into it.
    groups: HashMap<u64, Vec<(usize, usize)>>,
    /// Whether a group is in `groups`, roughly.
    may: Vec<bool>,
}

impl Search {
    /// A search for nothing yet.
    pub fn new() -> Self {
        Self { may: vec![false; 1 << (u64::BITS - NARROW)], ..Self::default() }
    }

    /// Looks for this secret too: as it is, as UTF-16, and as base64, hexadecimal digits and percent-encoding have it.
    #[must_use]
    pub fn and(mut self, what: &str, secret: &[u8]) -> Self {
        assert!(secret.len() >= 2 * GROUP, "{what} is too short to be told from other bytes");
        let end = &secret[secret.len().saturating_sub(END)..];
        self.shape(what, "as it is", secret[secret.len() - LAST..].to_vec());
        self.shape(what, "reversed", end.iter().rev().copied().collect());
        self.shape(what, "UTF-16", end.iter().flat_map(|byte| [*byte, 0]).collect());
        let hex = end.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.shape(what, "hexadecimal", hex.to_uppercase().into_bytes());
        self.shape(what, "hexadecimal", hex.into_bytes());
        self.shape(what, "percent-encoded", url::form_urlencoded::byte_serialize(end).collect::<String>().into_bytes());
        for before in 0..3 {
            // What stands before and after it in the same text is not known, and neither are the letters that share its bits.
            let text = [&[0; 2][..before], end].concat();
            let whole = text.len() / 3 * 4;
            for text in [BASE64_STANDARD.encode(&text), BASE64_URL_SAFE.encode(&text)] {
                self.shape(what, "base64", text.as_bytes()[if before == 0 { 0 } else { 4 }..whole].to_vec());
            }
        }
        self
    }

    fn shape(&mut self, what: &str, name: &'static str, bytes: Vec<u8>) {
        if self.shapes.iter().any(|known| known.bytes == bytes) {
            return;
        }
        for at in 0..GROUP {
            let group = group(&bytes[at..]);
            self.may[rough(group)] = true;
            self.groups.entry(group).or_default().push((self.shapes.len(), at));
        }
        self.shapes.push(Shape { what: what.to_owned(), name, bytes });
    }

    fn longest(&self) -> usize {
        self.shapes.iter().map(|shape| shape.bytes.len()).max().unwrap_or_default()
    }

    /// What of it these bytes hold, and where. Written for a build that is not optimised, where each call in the loop counts: a web
    /// view has hundreds of megabytes.
    fn within(&self, bytes: &[u8]) -> Vec<(usize, &Shape)> {
        let mut found = Vec::new();
        let (groups, _) = bytes.as_chunks::<GROUP>();
        let (may, count, mut number) = (self.may.as_slice(), groups.len(), 0);
        while number < count {
            let group = u64::from_le_bytes(groups[number]);
            if group != 0 && may[(group.wrapping_mul(SPREAD) >> NARROW) as usize] {
                self.begins(bytes, number * GROUP, group, &mut found);
            }
            number += 1;
        }
        found
    }

    /// The shapes that this group, which begins there, is a part of.
    fn begins<'a>(&'a self, bytes: &[u8], at: usize, group: u64, found: &mut Vec<(usize, &'a Shape)>) {
        for (shape, into) in self.groups.get(&group).into_iter().flatten() {
            let shape = &self.shapes[*shape];
            let Some(from) = at.checked_sub(*into) else { continue };
            if bytes[from..].starts_with(&shape.bytes) {
                found.push((from, shape));
            }
        }
    }

    /// What of it stands in this text, which is called so.
    pub fn text(&self, place: &str, bytes: &[u8]) -> Vec<Found> {
        // What ends in the last few bytes begins in a group of its own.
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len() + GROUP, 0);
        let found = self.within(&padded).into_iter();
        found.map(|(_, shape)| Found { what: shape.what.clone(), shape: shape.name, place: place.to_owned() }).collect()
    }

    /// What of it stands in any file below this folder, and in the files' names.
    pub fn below(&self, folder: &Path) -> Vec<Found> {
        let files = files_below(folder);
        assert!(!files.is_empty(), "{} was searched", folder.display());
        let mut found = Vec::new();
        for file in files {
            let place = file.display().to_string();
            found.extend(self.text(&place, place.as_bytes()));
            // One that is gone meanwhile holds nothing.
            found.extend(self.text(&place, &fs::read(&file).unwrap_or_default()));
        }
        found
    }

    /// What of it stands in this process's environment and arguments; nothing of one that has ended.
    pub fn environment(&self, process: i32) -> Vec<Found> {
        let mut found = Vec::new();
        for name in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{process}/{name}")).unwrap_or_default();
            found.extend(self.text(&format!("{name} of {process}"), &bytes));
        }
        found
    }

    /// What of it stands in this process's memory, as root reads it: all that can be written to, which is all that a secret
    /// can have come to.
    pub fn memory(&self, process: i32) -> Vec<Found> {
        let maps =
            fs::read_to_string(format!("/proc/{process}/maps")).expect("the process runs, and may be looked into");
        let memory = fs::File::open(format!("/proc/{process}/mem")).expect("memory");
        let pages = Pages(fs::File::open(format!("/proc/{process}/pagemap")).expect("its pages"));
        let (mut found, mut searched, mut room) = (Vec::new(), 0, vec![0; PIECE]);
        let overlap = self.longest().next_multiple_of(GROUP);
        for line in maps.lines() {
            let mut fields = line.split_whitespace();
            let (range, permissions) = (fields.next().expect("a range"), fields.next().expect("permissions"));
            let name = fields.nth(3).unwrap_or("anonymous");
            if !permissions.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').expect("a range");
            let address = |text| u64::from_str_radix(text, 16).expect("an address");
            let (mut from, to) = (address(from), address(to));
            // A web view's process reserves sixty gigabytes; what it never touched holds nothing.
            while let Some((start, end)) = pages.next(from, to) {
                from = start;
                let piece = &mut room[..usize::try_from(end - start).expect("a piece")];
                let read = match memory.read_at(piece, from) {
                    Ok(read) if read > 0 => read,
                    // Not every mapping is memory: a device's is not.
                    _ => break,
                };
                searched += read;
                let hits = self.within(&piece[..read]).into_iter();
                found.extend(hits.map(|(at, shape)| {
                    let place = format!("{process} at {:x} ({name})", from + at as u64);
                    Found { what: shape.what.clone(), shape: shape.name, place }
                }));
                // What a whole piece ends with may go on in the next one.
                from += if read == PIECE && end < to { read - overlap } else { read } as u64;
            }
        }
        assert!(searched > PIECE, "{process}'s memory was searched");
        found.sort();
        found.dedup();
        found
    }
}

/// Which pages of a process are in memory or swapped out (proc_pid_pagemap(5)).
struct Pages(fs::File);

impl Pages {
    /// The next piece of these addresses that is there. To read any other would bring it there.
    fn next(&self, mut from: u64, to: u64) -> Option<(u64, u64)> {
        let mut stride = PIECE as u64;
        while from < to {
            let last = (from + stride).min(to).div_ceil(PAGE) * PAGE;
            let entries = self.entries(from, last)?;
            // Pages that were never there are all described alike, and to compare is quicker than to look at each.
            let alike = entries[ENTRY..] == entries[..entries.len() - ENTRY];
            let all = entries.as_chunks::<ENTRY>().0;
            if (!alike || is_there(&all[0]))
                && let Some(number) = all.iter().position(is_there)
            {
                let from = from.max((from / PAGE + number as u64) * PAGE);
                let most = (from + PIECE as u64).min(to);
                let entries = self.entries(from, most.div_ceil(PAGE) * PAGE)?;
                let there = entries.as_chunks::<ENTRY>().0.iter().take_while(|entry| is_there(entry)).count();
                return Some((from, most.min((from / PAGE + there as u64) * PAGE)));
            }
            from = last;
            stride = RESERVED;
        }
        None
    }

    /// None where that cannot be told any more.
    fn entries(&self, from: u64, to: u64) -> Option<Vec<u8>> {
        let (first, last) = (from / PAGE, to / PAGE);
        let mut entries = vec![0; usize::try_from(last - first).expect("a stride") * ENTRY];
        self.0.read_exact_at(&mut entries, first * ENTRY as u64).ok()?;
        Some(entries)
    }
}

fn is_there(entry: &[u8; ENTRY]) -> bool {
    u64::from_le_bytes(*entry) & (1 << 63 | 1 << 62) != 0
}

fn group(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..GROUP].try_into().expect("eight bytes"))
}

fn rough(group: u64) -> usize {
    (group.wrapping_mul(SPREAD) >> NARROW) as usize
}

/// How often each secret was found.
pub fn counted(found: &[Found]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for one in found {
        *counts.entry(one.what.as_str()).or_default() += 1;
    }
    counts
}

/// Fails where anything was found, and says what and where, but not how it reads.
#[track_caller]
pub fn nothing(found: &[Found], of: &str) {
    let lines: Vec<String> = found.iter().take(40).map(Found::to_string).collect();
    assert!(found.is_empty(), "{of}: {} found\n{}", found.len(), lines.join("\n"));
}
