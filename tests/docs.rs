//! The pages for people: each is in the book, every link leads somewhere, and what is said of providers is the catalogue's.

use crate::support::Session;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// So many links are fewer than there are, so that a parser that finds none is noticed.
const LEAST_LINKS: usize = 60;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let in_folder = |folder: &str| {
        std::fs::read_dir(root().join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path())
    };
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    in_folder(".").chain(in_folder("docs")).filter(is_page).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A heading's anchor, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.replace(' ', "-")
}

/// Where a page's links lead, and the anchors that it has.
fn links_and_anchors(text: &str) -> (Vec<String>, BTreeSet<String>) {
    let (mut links, mut anchors, mut heading) = (Vec::new(), BTreeSet::new(), None::<String>);
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => links.push(dest_url.to_string()),
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                anchors.extend(heading.take().map(|heading| anchor(&heading)));
            }
            _ => {}
        }
    }
    (links, anchors)
}

#[test]
fn every_link_within_the_project_leads_somewhere() {
    let pages: BTreeMap<PathBuf, _> =
        pages().into_iter().map(|path| (path.clone(), links_and_anchors(&read(&path)))).collect();
    let (mut followed, mut broken) = (0, Vec::new());
    for (page, (links, own)) in &pages {
        for link in links.iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            followed += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = page.parent().expect("a folder").join(file);
            let there = if file.is_empty() { true } else { target.exists() };
            let anchors = if file.is_empty() {
                Some(own)
            } else {
                let target = target.canonicalize().ok();
                pages.iter().find(|(path, _)| path.canonicalize().ok() == target).map(|(_, (_, anchors))| anchors)
            };
            let named = anchor.is_empty() || anchors.is_some_and(|anchors| anchors.contains(anchor));
            if !there || !named {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed >= LEAST_LINKS, "{followed}");
}

#[test]
fn every_page_is_in_the_book() {
    let (links, _) = links_and_anchors(&read(&root().join("docs/SUMMARY.md")));
    for page in pages().into_iter().filter(|path| path.parent().is_some_and(|folder| folder.ends_with("docs"))) {
        let name = page.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(name == "SUMMARY.md" || links.contains(&name), "docs/SUMMARY.md does not name {name}");
    }
}

/// `docs/providers.md`, made from the catalogue as the command tells it.
fn providers_page(providers: &[Value]) -> String {
    let words: BTreeMap<String, String> =
        serde_json::from_str(&read(&root().join("src-tauri/core/messages/catalogue.en.json"))).expect("messages");
    let say = |key: &Value| words.get(key.as_str().unwrap_or_default()).cloned().unwrap_or_default();
    // What means the same everywhere is the window's to say.
    let everywhere: BTreeMap<String, String> =
        serde_json::from_str(&read(&root().join("ui/src/messages/en.json"))).expect("messages");
    let means =
        |scope: &str| everywhere.get(&format!("scope.{scope}")).map(|words| format!("{words}.")).unwrap_or_default();
    let mut page = String::from(
        "# Providers\n\nWhat Larder knows of each: whether a client of your own is needed, how to register one, and what can be asked for. The\n\
         window leads through the same steps. Any other OpenID provider works by its issuer: `larder sign-in https://…`.\n\n\
         This page is made from the catalogue (`LARDER_WRITE_DOCS=1 cargo test --test main docs::`). None of it was tried against the\n\
         real services.\n",
    );
    for provider in providers {
        let help = &provider["help"];
        let _ = write!(page, "\n## {}\n\n", provider["title"].as_str().expect("a title"));
        let _ =
            writeln!(page, "`larder sign-in {}`. {}\n", provider["name"].as_str().expect("a name"), say(&help["why"]));
        if help["verified"] == false {
            page.push_str("Not all of these facts were found in public documentation.\n\n");
        }
        if let Some(at) = help["register"].as_str().filter(|at| !at.is_empty()) {
            let _ = writeln!(page, "Register a client at <{at}>:\n");
        }
        for (number, step) in (1..).zip(help["steps"].as_array().into_iter().flatten()) {
            let _ = writeln!(page, "{number}. {}", say(step));
        }
        if let Some(redirect) = help["redirect"].as_str() {
            let _ = writeln!(page, "\nThe address to write down there: `{redirect}`");
        }
        let scopes = help["scopes"].as_array().expect("scopes");
        if !scopes.is_empty() {
            page.push_str("\n| Scope | What it allows |\n| --- | --- |\n");
            for scope in scopes {
                let name = scope["scope"].as_str().expect("a scope");
                let meaning =
                    Some(say(&scope["meaning"])).filter(|said| !said.is_empty()).unwrap_or_else(|| means(name));
                let _ = writeln!(page, "| `{name}` | {meaning} |");
            }
        }
    }
    page
}

#[test]
fn what_is_said_of_providers_is_the_catalogues() {
    let session = Session::new();
    let told: Value = serde_json::from_str(&session.larder(&["providers", "list", "--json"]).ok()).expect("JSON");
    let providers = told.as_array().expect("a list");
    assert!(providers.len() > 30, "{}", providers.len());
    let page = providers_page(providers);
    let path = root().join("docs/providers.md");
    if std::env::var_os("LARDER_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/providers.md");
    }
    assert!(read(&path) == page, "docs/providers.md is out of date: LARDER_WRITE_DOCS=1 cargo test --test main docs::");
}
