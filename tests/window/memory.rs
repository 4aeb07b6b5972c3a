//! What the processes of the window have in memory, after all of its pages were looked at in a house full of secrets.

use crate::support::Desktop;
use crate::support::canary::{Search, counted, nothing};
use crate::support::secrets::Secrets;
use crate::support::web_driver::Page;
use std::os::unix::fs::MetadataExt;

/// The window's processes: the app itself, and the two that WebKit has for its page.
const PROCESSES: [&str; 3] = ["larder-desktop", "WebKitWebProcess", "WebKitNetworkProcess"];

/// The window's pages, and what is to be read on each.
const PAGES: [(&str, &str); 4] = [
    ("Activity", "Token handed out"),
    ("Programs", "Rules, the first that matches wins"),
    ("Settings", "Start when you log in"),
    ("Accounts", "1 of 1 ready"),
];

#[test]
fn no_process_of_the_window_has_a_secret_in_memory() {
    let desktop = Desktop::new();
    let secrets = Secrets::signed_in(&desktop.session);
    let page = Page::open(&desktop, &[]);
    page.reads("work");
    // Each page, and on the account's own a refresh and a test: tokens come and go while it is looked at.
    page.press("work");
    page.press("Test");
    page.reads(" answered 200 in ");
    page.press("Refresh now");
    for (name, words) in PAGES {
        page.press(name);
        page.reads(words);
    }
    let search = secrets.search();
    let root = std::fs::metadata("/proc/self").expect("/proc").uid() == 0;
    for name in PROCESSES {
        let running = desktop.running(name);
        assert!(!running.is_empty(), "{name} runs");
        for process in running {
            if root {
                nothing(&search.memory(process), name);
            } else {
                // Whoever is not root is refused: that is what is seen then.
                let refused = std::fs::File::open(format!("/proc/{process}/mem"));
                assert!(refused.is_err() || name != "larder-desktop", "{name}'s memory can be read");
            }
        }
    }
    if root {
        finds(&desktop);
    }
    let held = page.run(
        "return document.documentElement.outerHTML + document.cookie + JSON.stringify({ ...localStorage })",
        serde_json::json!([]),
    );
    nothing(&search.text("the page", held.as_str().expect("text").as_bytes()), "the page");
}

/// The search does find what the page has: what an account is called is no secret, and is in all of its memory.
fn finds(desktop: &Desktop) {
    let search = Search::new().and("an address", b"tauri://localhost/assets/");
    let web = desktop.running("WebKitWebProcess");
    let found: Vec<_> = web.into_iter().flat_map(|process| search.memory(process)).collect();
    assert!(counted(&found).contains_key("an address"), "the web process's memory was searched");
}
