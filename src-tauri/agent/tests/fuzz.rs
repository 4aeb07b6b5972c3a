//! The targets of `src-tauri/fuzz` in an ordinary test: every kept input, and some thousand mutations of them, always the same.
//! `make fuzz` goes on from there with libFuzzer.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Mutations of each target, at the most, and the time for them: what opens a database for each input does fewer on a slow
/// machine.
const MUTATIONS: u32 = 2000;
const TIME: Duration = Duration::from_millis(800);

/// What the kept inputs may take together, in bytes.
const MOST_KEPT: u64 = 200_000;

/// What a mutation puts in: what has a meaning to one parser or another, and what has none.
const WORDS: [&[u8]; 16] = [
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\"",
    b"\\",
    b"{",
    b"[",
    b"\n",
    b"=",
    b"&state=s",
    b"%00",
    b"null",
    b"-1",
    b"9223372036854775808",
    b"1e309",
];

/// An input, shown as it can be written down.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// A change of an input.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Word(Index, Index),
    Remove(Index, u8),
    Repeat(Index, u8, u8),
    /// The other half of another input.
    Splice(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (index(), proptest::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (index(), index()).prop_map(|(at, word)| Edit::Word(at, word)),
        (index(), 1..40_u8).prop_map(|(at, length)| Edit::Remove(at, length)),
        (index(), 1..40_u8, 1..20_u8).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        (index(), index()).prop_map(|(at, other)| Edit::Splice(at, other)),
    ]
}

fn edited(mut input: Vec<u8>, edit: Edit, seeds: &[Vec<u8>]) -> Vec<u8> {
    let place = |at: &Index, input: &[u8]| at.index(input.len() + 1);
    match edit {
        Edit::Set(at, byte) => {
            let at = place(&at, &input);
            if let Some(there) = input.get_mut(at) {
                *there = byte;
            }
        }
        Edit::Insert(at, bytes) => {
            let at = place(&at, &input);
            input.splice(at..at, bytes);
        }
        Edit::Word(at, word) => {
            let at = place(&at, &input);
            input.splice(at..at, word.get(&WORDS).iter().copied());
        }
        Edit::Remove(at, length) => {
            let at = place(&at, &input);
            let end = input.len().min(at + usize::from(length));
            input.drain(at..end);
        }
        Edit::Repeat(at, length, times) => {
            let at = place(&at, &input);
            let end = input.len().min(at + usize::from(length));
            let part = input[at..end].repeat(usize::from(times));
            input.splice(at..at, part);
        }
        Edit::Splice(at, other) => {
            let other = other.get(seeds);
            input.truncate(place(&at, &input));
            input.extend_from_slice(&other[place(&at, other)..]);
        }
    }
    input
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = corpus().join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "a handful of inputs for {target}");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[track_caller]
fn holds(name: &str) {
    let seeds = seeds(name);
    seeds.iter().for_each(|seed| targets::run(name, seed));
    let mutated = (any::<Index>(), proptest::collection::vec(edit(), 1..6)).prop_map({
        let seeds = seeds.clone();
        move |(seed, edits)| {
            Input(edits.into_iter().fold(seed.get(&seeds).clone(), |input, one| edited(input, one, &seeds)))
        }
    });
    let config = Config { cases: MUTATIONS, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let until = Instant::now() + TIME;
    let ran = runner.run(&mutated, |input| {
        if Instant::now() < until {
            targets::run(name, &input.0);
        }
        Ok(())
    });
    ran.unwrap_or_else(|failed| panic!("{name}: {failed}"));
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        #[test]
        fn every_target_is_tested_and_built_and_what_is_kept_is_small() {
            let names: BTreeSet<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*].into());
            let cargo = std::fs::read_to_string(corpus().join("../Cargo.toml")).unwrap();
            let mut kept = 0;
            for folder in std::fs::read_dir(corpus()).unwrap() {
                let folder = folder.unwrap();
                let name = folder.file_name().into_string().unwrap();
                assert!(names.contains(name.as_str()), "no target has the inputs of {name}");
                assert!(cargo.contains(&format!("name = \"{name}\"")), "make fuzz does not build {name}");
                let files = std::fs::read_dir(folder.path()).unwrap();
                kept += files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
            }
            assert!(kept < MOST_KEPT, "{kept} bytes");
        }
    };
}

targets!(callback token_response metadata resource id_token providers policy settings frames row export);
