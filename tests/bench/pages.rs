//! The window's pages: what they weigh, and how soon they answer with a thousand accounts in them.

use crate::figures::{Figure, Goal, Report};
use crate::support::web_driver::Page;
use crate::support::{Desktop, Provider};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// More than anybody has; the issue of a list is how it is with too many.
const ACCOUNTS: usize = 1000;

/// Times that each is done.
const TIMES: usize = 30;

/// What a person does, as a script that does it, and a name for the figure.
const DONE: &[(&str, &str)] = &[
    (
        "the next of 1,000 accounts, by key",
        "const row = document.activeElement.closest('main') ? document.activeElement : document.querySelector('main li button');
         row.focus(); row.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true, cancelable: true }))",
    ),
    (
        "a letter in Find, among 1,000 accounts",
        "const find = document.querySelector('main input'); find.focus();
         find.value = find.value.length < 6 ? find.value + 'user77'[find.value.length] : '';
         find.dispatchEvent(new Event('input', { bubbles: true }))",
    ),
    (
        "from another page to 1,000 accounts",
        "document.querySelector('nav button').click()",
    ),
];

/// Does it, and tells how long it takes until the frame with it is drawn, in milliseconds.
const TIMED: &str = "const then = arguments[0], began = performance.now();
    (() => { DO })();
    requestAnimationFrame(() => {
        const drawn = new MessageChannel();
        drawn.port1.onmessage = () => then(performance.now() - began);
        drawn.port2.postMessage(null);
    });";

/// Measures.
pub fn measure(report: &mut Report) {
    report.add(Figure::alone("all of the window's pages, gzipped", "kB", vec![weight()], Goal::AtMost(150.0)));
    let desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, 3600);
    desktop.session.add("work", &provider);
    for number in 0..ACCOUNTS {
        desktop.session.sign_in("work", &format!("user{number}"));
    }
    let page = Page::open(&desktop, &[]);
    page.reads("work");
    for (name, script) in DONE {
        let timed = TIMED.replace("DO", script);
        let samples = (0..TIMES).map(|_| {
            if name.starts_with("from another page") {
                page.press("Programs");
                page.reads("policy.toml");
            }
            page.run_until_told(&timed, json!([]))
        });
        let samples = samples.map(|took: Value| took.as_f64().expect("a time")).collect();
        report.add(Figure::alone(name, "ms", samples, Goal::AtMost(50.0)));
    }
}

/// What everything that is built weighs, as it would be sent.
fn weight() -> f64 {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/dist");
    let packed = |path: &Path| {
        let gzip = Command::new("gzip").args(["-9", "-c"]).arg(path).stderr(Stdio::inherit()).output().expect("gzip");
        gzip.stdout.len()
    };
    let inside = |folder: &Path| std::fs::read_dir(folder).expect("what is built").flatten().map(|entry| entry.path());
    let files = inside(&pages).chain(inside(&pages.join("assets"))).filter(|path| path.is_file());
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand bytes")]
    let bytes = files.map(|path| packed(&path)).sum::<usize>() as f64;
    bytes / 1000.0
}
