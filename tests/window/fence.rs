//! The web view goes nowhere else, asks nobody else, runs nothing that did not come with the app, and may call nothing of Tauri
//! but what the capability names.

use super::window;
use crate::support::pages::Pages;
use crate::support::web_driver::Page;
use serde_json::{Value, json};

/// Ways to another page, each with `to` as its address.
const WAYS: &[(&str, &str)] = &[
    ("an address", "location.href = to"),
    ("another page in its place", "location.replace(to)"),
    ("a link", "const a = document.createElement('a'); a.href = to; document.body.append(a); a.click(); a.remove()"),
    (
        "a link to a window of its own",
        "const a = document.createElement('a'); a.href = to; a.target = '_blank'; document.body.append(a); a.click();
         a.remove()",
    ),
    (
        "a link to a file",
        "const a = document.createElement('a'); a.href = to; a.download = 'x'; document.body.append(a); a.click();
         a.remove()",
    ),
    ("a window", "window.open(to)"),
    (
        "a form",
        "const form = document.createElement('form'); form.action = to; form.method = 'post'; document.body.append(form);
         form.submit(); form.remove()",
    ),
    (
        "a form from a click",
        "const form = document.createElement('form'); form.action = to; document.body.append(form); form.requestSubmit();
         form.remove()",
    ),
    (
        "a new address after a while",
        "const meta = document.createElement('meta'); meta.httpEquiv = 'refresh'; meta.content = `0; url=${to}`;
         document.head.append(meta)",
    ),
];

/// Addresses that are not the window's own.
const ELSEWHERE: &[&str] =
    &["data:text/html,<script>window.__pwned=1</script>", "file:///etc/passwd", "tauri://evil.example/", "about:blank"];

/// Ways to ask another server for something, each with `to` as its address; each calls `then`.
const ASKING: &[(&str, &str)] = &[
    ("fetch", "fetch(to, { mode: 'no-cors' }).then(() => then('answered'), () => then('refused'))"),
    (
        "XMLHttpRequest",
        "const x = new XMLHttpRequest(); x.onload = () => then('answered'); x.onerror = () => then('refused');
         try { x.open('GET', to); x.send(); } catch { then('refused'); }",
    ),
    (
        "WebSocket",
        "try { const s = new WebSocket(to.replace('http', 'ws')); s.onopen = () => then('answered');
         s.onerror = () => then('refused'); } catch { then('refused'); }",
    ),
    (
        "EventSource",
        "try { const s = new EventSource(to); s.onopen = () => then('answered'); s.onerror = () => then('refused'); }
         catch { then('refused'); }",
    ),
    ("sendBeacon", "try { navigator.sendBeacon(to, 'x'); } catch {} setTimeout(() => then('refused'), 100)"),
    ("an image", "element('img', { src: to })"),
    ("a script", "element('script', { src: to })"),
    ("a module", "import(to).then(() => then('answered'), () => then('refused'))"),
    ("a style sheet", "element('link', { rel: 'stylesheet', href: to })"),
    ("a film", "element('video', { src: to })"),
    ("an object", "element('object', { data: to })"),
    ("an embedded page", "element('embed', { src: to })"),
    ("a frame", "element('iframe', { src: to })"),
    ("a page to come", "element('link', { rel: 'prefetch', href: to })"),
    (
        "a picture behind an element",
        "document.body.style.backgroundImage = `url(${to})`;
         requestAnimationFrame(() => setTimeout(() => { document.body.style.backgroundImage = ''; then('refused'); }, 100))",
    ),
    (
        "a typeface",
        "new FontFace('x', `url(${to})`).load().then(() => then('answered'), () => then('refused'))",
    ),
    ("a worker", "try { new Worker(to).onerror = () => then('refused'); } catch { then('refused'); }"),
];

/// What a page's element asks for: it tells whether that came, or that nothing has come of it.
const ELEMENT: &str = "const element = (kind, given) => {
    const one = Object.assign(document.createElement(kind), given);
    const end = (what) => { one.remove(); then(what); };
    for (const came of ['load', 'loadeddata']) one.addEventListener(came, () => end(kind === 'iframe' ? 'nothing' : 'answered'));
    one.addEventListener('error', () => end('refused'));
    setTimeout(() => end('nothing'), 300);
    document.body.append(one);
};";

/// Ways to run what did not come with the app: each sets `__pwned`, if it can.
const RUNNING: &[(&str, &str)] = &[
    ("eval", "(0, eval)('window.__pwned = 1')"),
    ("a function of text", "new Function('window.__pwned = 1')()"),
    ("a timer of text", "setTimeout('window.__pwned = 1', 0)"),
    (
        "a script in the page",
        "const s = document.createElement('script'); s.textContent = 'window.__pwned = 1'; document.body.append(s)",
    ),
    (
        "a script in an address",
        "const s = document.createElement('script'); s.src = 'data:text/javascript,window.__pwned=1'; document.body.append(s)",
    ),
    (
        "a script that the page made",
        "const s = document.createElement('script'); s.src = URL.createObjectURL(new Blob(['window.__pwned = 1']));
         document.body.append(s)",
    ),
    (
        "a handler in HTML",
        "const d = document.createElement('div'); d.innerHTML = '<img src=x onerror=\"window.__pwned = 1\">';
         document.body.append(d)",
    ),
    (
        "a click on a link that is a script",
        "const a = document.createElement('a'); a.href = 'javascript:window.__pwned = 1'; document.body.append(a); a.click()",
    ),
    ("an address that is a script", "location.href = 'javascript:window.__pwned = 1'"),
    (
        "a frame with a page in it",
        "const f = document.createElement('iframe'); f.srcdoc = '<script>parent.__pwned = 1</scr' + 'ipt>';
         document.body.append(f)",
    ),
    (
        "a drawing",
        "const d = document.createElement('div'); d.innerHTML = '<svg onload=\"window.__pwned = 1\"><animate
         onbegin=\"window.__pwned = 1\"></svg>'; document.body.append(d)",
    ),
];

/// Commands of Tauri and of its plugins that the capability does not name.
const NOT_OURS: &[(&str, &str)] = &[
    ("plugin:event|emit", r#"{ "event": "house", "payload": null }"#),
    ("plugin:event|emit_to", r#"{ "target": { "kind": "Any" }, "event": "page", "payload": "settings" }"#),
    ("plugin:window|close", r#"{ "label": "main" }"#),
    ("plugin:window|set_title", r#"{ "label": "main", "value": "x" }"#),
    ("plugin:window|create", r#"{ "options": { "label": "other" } }"#),
    ("plugin:webview|create_webview_window", r#"{ "options": { "label": "other", "url": "index.html" } }"#),
    ("plugin:webview|internal_toggle_devtools", "{}"),
    ("plugin:webview|clear_all_browsing_data", "{}"),
    ("plugin:app|version", "{}"),
    ("plugin:app|name", "{}"),
    ("plugin:path|resolve_directory", r#"{ "directory": 21 }"#),
    ("plugin:image|from_path", r#"{ "path": "/etc/passwd" }"#),
    ("plugin:menu|new", r#"{ "kind": "Menu", "options": {}, "handler": 0 }"#),
    ("plugin:tray|new", r#"{ "options": {} }"#),
    ("plugin:resources|close", r#"{ "rid": 0 }"#),
    ("plugin:clipboard-manager|read_text", "{}"),
    ("plugin:clipboard-manager|write_text", r#"{ "text": "x" }"#),
    ("plugin:deep-link|get_current", "{}"),
    ("plugin:shell|open", r#"{ "path": "https://example.com" }"#),
    ("plugin:fs|read_text_file", r#"{ "path": "/etc/passwd" }"#),
    ("no_such_command", "{}"),
];

/// The page is still the one that was opened, and works.
#[track_caller]
fn is_ours(page: &Page, after: &str) {
    assert!(page.address().starts_with("tauri://localhost"), "{after} led to {}", page.address());
    assert_eq!(
        page.run("return [window.__mark ?? null, window.__pwned ?? null]", json!([])),
        json!([1, null]),
        "{after}"
    );
    page.is_drawn();
}

/// Long enough for what was begun to have come to something: two frames, and what was queued before.
fn settles(page: &Page) {
    page.run_until_told("setTimeout(arguments[0], 150)", json!([]));
}

#[test]
fn the_window_goes_nowhere_else() {
    let (desktop, _provider, page) = window();
    let pages = Pages::start(|_| Vec::<(String, _)>::new());
    page.run("window.__mark = 1", json!([]));
    let there = format!("{}/page", pages.origin);
    for to in ELSEWHERE.iter().copied().chain([there.as_str()]) {
        for (way, script) in WAYS {
            // One that throws has led nowhere either.
            let _ = page.try_run(&format!("const [to] = arguments; {script}"), json!([to]));
            settles(&page);
            is_ours(&page, &format!("{way} to {to}"));
        }
    }
    assert_eq!(page.run("return window.length", json!([])), 0);
    assert_eq!(desktop.session.ran("xdotool", &["search", "--onlyvisible", "--name", "."]).lines().count(), 1);
    assert_eq!(pages.requests(), Vec::<String>::new());
    assert_eq!(desktop.browsers_opened(), 0);
    assert!(page.invoke("house", json!({})).is_ok());
}

#[test]
fn the_window_asks_nobody_else_for_anything() {
    let (_desktop, _provider, page) = window();
    let pages = Pages::start(|_| Vec::<(String, _)>::new());
    page.run("window.__mark = 1", json!([]));
    // It can be reached, by whoever may.
    ureq::get(format!("{}/control", pages.origin)).call().expect_err("there is no page");
    assert_eq!(pages.requests(), ["GET /control"]);
    for (number, (way, script)) in ASKING.iter().enumerate() {
        let to = format!("{}/{number}", pages.origin);
        let told = page.run_until_told(&format!("const [to, then] = arguments; {ELEMENT} {script}"), json!([to]));
        assert_ne!(told, "answered", "{way}");
        is_ours(&page, way);
    }
    settles(&page);
    assert_eq!(pages.requests(), ["GET /control"]);
    let refused = page.trouble().into_iter().filter(|line| line.starts_with("policy: ")).count();
    assert!(refused >= 10, "the policy refuses: {refused}");
}

#[test]
fn nothing_runs_in_the_window_that_did_not_come_with_the_app() {
    let (_desktop, _provider, page) = window();
    page.run("window.__mark = 1", json!([]));
    for (way, script) in RUNNING {
        let _ = page.try_run(script, json!([]));
        settles(&page);
        is_ours(&page, way);
    }
    // Nor is anything drawn otherwise than its style sheets say.
    let coloured = "const d = document.createElement('div');
        d.innerHTML = '<style>main { display: none !important }</style><p style=\"position: fixed\">x</p>';
        document.body.append(d);
        const is = (one, what) => getComputedStyle(one)[what];
        return [is(document.querySelector('main'), 'display'), is(d.querySelector('p'), 'position')]";
    assert_eq!(page.run(coloured, json!([])), json!(["grid", "static"]));
    // Whoever could change what all objects have could change what the page asks for.
    let frozen = "try { Object.prototype.x = 1 } catch {} return [Object.isFrozen(Object.prototype), ({}).x ?? null]";
    assert_eq!(page.run(frozen, json!([])), json!([true, null]));
}

#[test]
fn the_window_may_call_nothing_of_tauri_but_what_is_named() {
    let (desktop, _provider, page) = window();
    page.run("window.__mark = 1", json!([]));
    for (command, arguments) in NOT_OURS {
        let arguments: Value = serde_json::from_str(arguments).expect("JSON");
        let refused = page.invoke(command, arguments).expect_err(command).to_string();
        let words = ["not allowed", "not found", "not enabled"];
        assert!(words.iter().any(|word| refused.contains(word)), "{command}: {refused}");
        is_ours(&page, command);
    }
    assert!(desktop.window().is_some());
}
