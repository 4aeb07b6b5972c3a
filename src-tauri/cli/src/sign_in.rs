//! `larder sign-in` and `larder callback`.

use crate::args::SignIn;
use crate::print::{Failure, cell};
use crate::{Context, accounts, browser, links, words};
use larder_client::{Answer, Client, OnWire, Problem, Request, sentence, unexpected};
use larder_core::names::{AccountId, AttemptId, ProviderName, Scope};
use larder_core::protocol::{Authentication, MOST_CALLBACK};
use larder_core::view::{DeviceCode, RedirectKind};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use std::io::{self, BufRead, IsTerminal};

pub fn sign_in(context: &Context, args: SignIn) -> Result<(), Failure> {
    let mut client = context.connect()?;
    let provider = args.provider.map(|provider| adopted(context, &mut client, provider)).transpose()?;
    let (provider, account) = which(&mut client, provider, args.account.as_deref())?;
    let redirect = match (args.device, args.client_credentials) {
        (true, _) => Some(RedirectKind::Device),
        (_, true) => Some(RedirectKind::ClientCredentials),
        _ => args.redirect.map(Into::into),
    };
    let scopes: Vec<Scope> = args.add_scope.into_iter().map(Scope).collect();
    let (acr_values, max_age, prompt) = (args.acr_values, args.max_age, args.prompt);
    let authentication = Authentication { acr_values, max_age, prompt };
    let mut asked = scopes.clone();
    let request = Request::SignIn { provider, label: args.label, account, redirect, scopes, authentication };
    let Answer::SignIn { attempt, authorization_url, redirect, until, device } = client.ask(request)? else {
        return Err(unexpected("sign-in").into());
    };
    if redirect == RedirectKind::ClientCredentials {
        // Nobody has to do anything.
        return ended(context, &mut client, attempt, &asked);
    }
    if let Some(whole) = requested(&authorization_url) {
        asked = whole;
    }
    if redirect == RedirectKind::DeepLink && !args.no_browser {
        answerable(context, &mut client, &attempt)?;
    }
    let shown = cell(&authorization_url);
    if args.no_browser {
        let answer = serde_json::json!({
            "attempt": attempt,
            "authorization_url": authorization_url,
            "redirect": redirect,
            "until": until,
            "device": device,
        });
        context.print.answer(&answer, |_| shown.to_string())?;
    }
    match &device {
        Some(device) => context.print.note(&code(device, io::stderr().is_terminal())),
        None if args.no_browser => {}
        None => match browser::open(&authorization_url) {
            Ok(()) => context.print.note(&format!("Your browser opens; if it does not, open this address:\n{shown}")),
            Err(error) => context
                .print
                .note(&format!("No browser could be opened ({error}). Open this address, or try `--device`:\n{shown}")),
        },
    }
    if redirect == RedirectKind::Paste {
        context.print.note(
            "It will end at an address that does not load. Copy that address, run `larder callback` (in another \
             terminal, if this one waits) and paste it there.",
        );
    }
    context.print.note(&format!("Larder waits for {} more.", words::from_now(until)));
    if args.no_browser && !args.wait {
        return Ok(());
    }
    ended(context, &mut client, attempt, &asked)
}

/// All that an authorization request asks for; `None` where it does not say.
fn requested(authorization_url: &str) -> Option<Vec<Scope>> {
    let (_, query) = authorization_url.split_once('?')?;
    let (_, scope) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "scope")?;
    // Some providers want commas.
    Some(scope.split([' ', ',']).filter(|scope| !scope.is_empty()).map(Scope::from).collect())
}

/// Before any browser opens: where another program would get its answer, the sign-in ends here. Where nobody would, the address
/// can be handed over by hand.
fn answerable(context: &Context, client: &mut Client, attempt: &AttemptId) -> Result<(), Problem> {
    let Some(problem) = links::handler().and_then(|handler| links::problem(&handler)) else { return Ok(()) };
    if problem == Problem::SchemeUnhandled {
        context.print.note(&sentence(&problem));
        return Ok(());
    }
    // Best effort: left alone, it ends by itself.
    let _ = client.ask(Request::CancelSignIn { attempt: attempt.clone() });
    context
        .print
        .note("Nothing was opened. `larder sign-in --redirect loopback` needs no link, where the provider takes that.");
    Err(problem)
}

/// Waits for the end of a sign-in, and prints the account's label. What was asked for in addition may not be granted.
fn ended(context: &Context, client: &mut Client, attempt: AttemptId, asked: &[Scope]) -> Result<(), Failure> {
    match client.ask(Request::AwaitSignIn { attempt })? {
        Answer::Account(account) => {
            // A person may agree to a part of it, and a provider may leave out what it does not know.
            let missing: Vec<_> = asked.iter().filter(|scope| !account.scopes.contains(scope)).collect();
            for scope in missing {
                context.print.note(&format!("{} was not granted.", cell(scope.as_str())));
            }
            context.print.answer(&*account, |account| cell(&account.label).into_owned())
        }
        _ => Err(unexpected("await-sign-in").into()),
    }
}

/// What to do elsewhere (RFC 8628 section 3.3), with a picture of the address for a phone where somebody looks.
fn code(device: &DeviceCode, picture: bool) -> String {
    let mut text = format!(
        "In a browser on any device, open {}\nand enter the code {}",
        cell(&device.verification_uri),
        cell(&device.user_code)
    );
    if picture && let Ok(code) = QrCode::new(device.link()) {
        // Dark on light, whatever the terminal's colours: half the cameras do not read the inverse.
        let picture = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        text = format!("{picture}\n{text}");
    }
    text
}

/// The provider's name; of an address, the one that stands for it from now on.
fn adopted(context: &Context, client: &mut Client, provider: String) -> Result<String, Problem> {
    if !provider.contains("://") {
        return Ok(provider);
    }
    match client.ask(Request::Adopt { url: provider.clone() })? {
        Answer::Adopted { provider: name, client } => {
            let (url, name) = (cell(&provider), cell(name.as_str()));
            context.print.note(&format!("{url} is provider “{name}”, {}.", words::client(client)));
            Ok(name.into_owned())
        }
        _ => Err(unexpected("adopt")),
    }
}

/// The provider, and the account that is signed in again.
fn which(
    client: &mut Client,
    provider: Option<String>,
    account: Option<&str>,
) -> Result<(ProviderName, Option<AccountId>), Problem> {
    let Some(account) = account else {
        let provider = provider.ok_or_else(|| Problem::BadRequest { detail: "no provider is named".to_owned() })?;
        return Ok((ProviderName(provider), None));
    };
    let view = accounts::view(client)?;
    let found = accounts::find(&view, account)?;
    match provider {
        Some(provider) if provider != found.provider.as_str() => {
            let detail = format!("{} belongs to {}, not to {provider}", found.label, found.provider);
            Err(Problem::BadRequest { detail })
        }
        _ => Ok((found.provider.clone(), Some(found.id.clone()))),
    }
}

pub fn callback(context: &Context, url: Option<String>) -> Result<(), Failure> {
    let url = match url {
        Some(url) => bounded(url)?,
        None => {
            let stdin = io::stdin().lock();
            if stdin.is_terminal() {
                context.print.note("Paste the address at which your browser ended, then press Enter.");
            }
            read(stdin)?
        }
    };
    // The word for bringing a window to the front belongs to who was started by the desktop, which this is not.
    match context.connect()?.ask(Request::Callback { url, activation_token: None })? {
        Answer::Account(account) => context.print.answer(&*account, |account| cell(&account.label).into_owned()),
        _ => {
            context.print.note("The sign-in goes on with it.");
            Ok(())
        }
    }
}

/// The first line, without what surrounds it.
fn read(from: impl BufRead) -> Result<OnWire, Problem> {
    let unreadable = |error: io::Error| Problem::BadCallback { detail: error.to_string() };
    let mut text = String::with_capacity(MOST_CALLBACK);
    // Room for a line end, and for one byte more, by which one that is too long is known.
    from.take(MOST_CALLBACK as u64 + 3).read_line(&mut text).map_err(unreadable)?;
    bounded(text)
}

fn bounded(mut url: String) -> Result<OnWire, Problem> {
    url.truncate(url.trim_end().len());
    url.drain(..url.len() - url.trim_start().len());
    // Wrapped before anything can fail, so that its memory is cleared.
    let url = OnWire::new(url);
    match url.expose().len() {
        0 => Err(Problem::BadCallback { detail: "no address was given".to_owned() }),
        1..=MOST_CALLBACK => Ok(url),
        _ => Err(Problem::BadCallback { detail: format!("it is longer than {MOST_CALLBACK} bytes") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_the_first_line_without_spaces_around_it() {
        let url = read(&b"  dev.larder.desktop:/callback?code=a&state=b \r\nmore"[..]).unwrap();
        assert_eq!(url.expose(), "dev.larder.desktop:/callback?code=a&state=b");
    }

    #[test]
    fn a_code_is_told_in_words_and_where_somebody_looks_in_a_picture() {
        let device = DeviceCode {
            user_code: "WDJB-\u{1b}MJHT".to_owned(),
            verification_uri: "https://id.example/device".to_owned(),
            verification_uri_complete: Some("https://id.example/device?user_code=WDJB-MJHT".to_owned()),
        };
        let words = code(&device, false);
        assert!(words.contains("https://id.example/device\n") && !words.contains('\u{1b}'), "{words}");
        assert!(!words.contains('█') && code(&device, true).contains('█'));
    }

    #[test]
    fn a_redirect_of_nothing_or_too_much_is_refused() {
        let longest = "x".repeat(MOST_CALLBACK);
        assert!(read(format!("{longest}\r\n").as_bytes()).is_ok());
        for text in ["", "\n", " \n", &format!("{longest}x"), &"x".repeat(1 << 20)] {
            assert!(matches!(read(text.as_bytes()), Err(Problem::BadCallback { .. })), "{} bytes", text.len());
            assert!(matches!(bounded(text.to_owned()), Err(Problem::BadCallback { .. })));
        }
        assert!(matches!(read(&b"\xff\n"[..]), Err(Problem::BadCallback { .. })));
    }
}
