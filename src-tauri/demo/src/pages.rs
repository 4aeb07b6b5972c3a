//! The pages a person sees: plain HTML, no script.

use axum::http::header;
use axum::response::{Html, IntoResponse as _, Response};

use crate::scope;
use crate::user::User;

/// The style of all pages.
pub(crate) const STYLE: &str = include_str!("style.css");

/// No script, no frame, nothing from elsewhere. `form-action` is left out: Chromium holds it against the redirect that
/// follows a form as well, and would stop the one to the client's own scheme.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the issuer itself shows.
pub(crate) const FRONT: &str = "<h1>Demonstration provider</h1>\
    <p>It lets you try Larder without an account anywhere. It runs on this computer, and only for programs on it.</p>\
    <p class=\"soft\">Nothing to do here: sign in from Larder.</p>";

const ANY_NAME: &str = "This is a demonstration provider on this computer; any name will do.";

/// A whole page around its content.
pub(crate) fn page(title: &str, Html(content): Html<String>) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><link rel=\"stylesheet\" href=\"/style.css\"></head>\
         <body><main><p class=\"place\">Demo, on this computer</p>{content}</main></body></html>\n",
        title = escape(title),
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        // Addresses here carry state and codes.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, Html(html)).into_response()
}

/// Where a person says who they are.
pub(crate) fn login(transaction: &str, username: &str, complaint: Option<&str>) -> Response {
    let complaint = complaint.map_or_else(String::new, |text| {
        format!("<p class=\"alarm\" id=\"complaint\" role=\"alert\">{}</p>", escape(text))
    });
    let content = format!(
        "<h1>Sign in</h1><p class=\"soft\">{ANY_NAME}</p>{complaint}\
         <form method=\"post\" action=\"/login\">\
         <input type=\"hidden\" name=\"transaction\" value=\"{transaction}\">\
         <label for=\"username\">User name</label>\
         <input type=\"text\" id=\"username\" name=\"username\" value=\"{username}\" autocomplete=\"username\" \
         autocapitalize=\"none\" spellcheck=\"false\" required autofocus>\
         <div class=\"choice\"><button id=\"sign-in\">Sign in</button>\
         <button id=\"cancel\" class=\"quiet\" name=\"decision\" value=\"deny\" formnovalidate>Cancel</button>\
         </div></form>",
        transaction = escape(transaction),
        username = escape(username),
    );
    page("Sign in", Html(content))
}

/// Where they decide.
pub(crate) fn consent(transaction: &str, user: &User, scope: &[String]) -> Response {
    let items: String = scope.iter().map(|name| format!("<li>{}</li>", escape(scope::in_words(name)))).collect();
    let content = format!(
        "<h1>Let Larder use your account?</h1>\
         <p class=\"soft\">You are {name}, {email}. Larder would be able to:</p><ul>{items}</ul>\
         <form method=\"post\" action=\"/consent\">\
         <input type=\"hidden\" name=\"transaction\" value=\"{transaction}\">\
         <div class=\"choice\"><button id=\"allow\" name=\"decision\" value=\"allow\">Allow</button>\
         <button id=\"cancel\" class=\"quiet\" name=\"decision\" value=\"deny\">Cancel</button></div></form>",
        name = escape(&user.name()),
        email = escape(&user.email()),
        transaction = escape(transaction),
    );
    page("Let Larder use your account?", Html(content))
}

/// Where they type the code a device shows (RFC 8628 3.3).
pub(crate) fn device(user_code: &str, complaint: Option<&str>) -> Response {
    let complaint = complaint.map_or_else(String::new, |text| {
        format!("<p class=\"alarm\" id=\"complaint\" role=\"alert\">{}</p>", escape(text))
    });
    let content = format!(
        "<h1>Connect a device</h1>\
         <p class=\"soft\">Type the code that Larder shows. Go on only if you asked for it yourself.</p>{complaint}\
         <form method=\"post\" action=\"/device\"><label for=\"user_code\">Code</label>\
         <input type=\"text\" id=\"user_code\" name=\"user_code\" value=\"{user_code}\" autocomplete=\"off\" \
         autocapitalize=\"characters\" spellcheck=\"false\" required autofocus>\
         <div class=\"choice\"><button id=\"continue\">Continue</button></div></form>",
        user_code = escape(user_code),
    );
    page("Connect a device", Html(content))
}

/// A page that says one thing and asks nothing.
pub(crate) fn say(heading: &str, text: &str) -> Response {
    let content = format!("<h1>{}</h1><p id=\"message\">{}</p>", escape(heading), escape(text));
    page(heading, Html(content))
}

/// Text as HTML, also within a quoted attribute.
fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}
