//! What docs/recipes.md tells people to write, so that the tests run what is documented.

use std::path::PathBuf;

fn document(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The first block of this language below this heading of docs/recipes.md.
#[track_caller]
pub fn snippet(heading: &str, language: &str) -> String {
    snippet_of("recipes.md", heading, language)
}

/// The first block of this language below this heading of a document.
#[track_caller]
pub fn snippet_of(name: &str, heading: &str, language: &str) -> String {
    let text = document(name);
    let below =
        text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading {heading} in {name}")).1;
    let section = below.split("\n## ").next().unwrap_or_default();
    let fence = format!("\n```{language}\n");
    let block = section.split_once(&fence).unwrap_or_else(|| panic!("no {language} below {heading} in {name}")).1;
    block.split_once("\n```").expect("an end of the block").0.to_owned() + "\n"
}
