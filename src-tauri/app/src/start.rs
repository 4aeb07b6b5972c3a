//! From the command line to the running app. Up to [`become_app`] no window toolkit is touched.

use crate::args::Options;
use crate::demo::{self, Demo};
use crate::link::Link;
use crate::say::say;
use crate::shell::{self, Shell};
use crate::watch::{self, Attached, Place};
use crate::{commands, window};
use larder_client::unexpected;
use larder_core::problem::Problem;
use larder_core::protocol::{OnWire, Request};
use larder_core::words::sentence;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use tauri::{Manager, RunEvent, WindowEvent};

/// The outcome of a redirect that is being handed over.
type Arrival = JoinHandle<Result<(), Problem>>;

/// Hands a redirect to the agent, and becomes the app only where none runs.
pub fn redirect(url: OnWire) -> ExitCode {
    let link = match new_link() {
        Ok(link) => link,
        Err(problem) => return failed(&problem),
    };
    let token = activation_token();
    let arrival = hand_over(&link, url, token.clone());
    match take_place(&link, token) {
        Ok(Place::Taken) => match outcome(arrival) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => failed(&problem),
        },
        Ok(Place::Ours(attached)) => become_app(link, Some(attached), Options::default(), None, Some(arrival)),
        // The window says what is wrong.
        Err(problem) => {
            link.away(problem);
            become_app(link, None, Options::default(), None, Some(arrival))
        }
    }
}

/// Becomes the app, unless one runs: that one then comes to the front.
pub fn app(options: Options) -> ExitCode {
    let link = match new_link() {
        Ok(link) => link,
        Err(problem) => return failed(&problem),
    };
    let program = match options.demo.then(demo::find).transpose() {
        Ok(program) => program,
        Err(sentence) => return said(&sentence),
    };
    let place = match take_place(&link, activation_token()) {
        Ok(Place::Taken) => {
            if options.demo {
                say("Larder runs already, without this demonstration; quit it first to have one.");
            }
            return ExitCode::SUCCESS;
        }
        Ok(Place::Ours(attached)) => Some(attached),
        Err(problem) => {
            link.away(problem);
            None
        }
    };
    let demo = match program.map(|program| demo::start(program, link.profile())).transpose() {
        Ok(demo) => demo,
        Err(sentence) => return said(&sentence),
    };
    become_app(link, place, options, demo, None)
}

fn new_link() -> Result<Arc<Link>, Problem> {
    Ok(Arc::new(Link::new(larder_client::profile()?)))
}

fn take_place(link: &Link, activation_token: Option<String>) -> Result<Place, Problem> {
    watch::attach(link.connect()?, activation_token)
}

/// Sends the redirect from a thread of its own: the exchange that follows takes as long as the provider does, and the
/// window should not wait for it. By the time this returns the agent runs, or why not is known.
fn hand_over(link: &Arc<Link>, url: OnWire, activation_token: Option<String>) -> Arrival {
    let client = link.connect();
    std::thread::spawn(move || client?.ask(Request::Callback { url, activation_token }).map(drop))
}

fn outcome(arrival: Arrival) -> Result<(), Problem> {
    arrival.join().unwrap_or_else(|_| Err(unexpected("callback")))
}

/// What a Wayland desktop gave this process to bring a window to the front.
fn activation_token() -> Option<String> {
    std::env::var("XDG_ACTIVATION_TOKEN").ok().filter(|token| !token.is_empty())
}

fn failed(problem: &Problem) -> ExitCode {
    say(&sentence(problem));
    ExitCode::from(problem.exit() as u8)
}

fn said(sentence: &str) -> ExitCode {
    say(sentence);
    ExitCode::FAILURE
}

/// Builds tray, menu and window, and runs until the app is quit.
fn become_app(
    link: Arc<Link>,
    place: Option<Attached>,
    options: Options,
    demo: Option<Demo>,
    arrival: Option<Arrival>,
) -> ExitCode {
    // In time for the first page, which otherwise asks by itself.
    if place.is_some() && !options.hidden {
        let link = Arc::clone(&link);
        std::thread::spawn(move || {
            link.learn_settings();
            link.house()
        });
    }
    // Asked here because Tauri panics where there is none.
    #[cfg(target_os = "linux")]
    if gtk::init().is_err() {
        return said("There is no display for Larder's window; `larder` and its agent work without one.");
    }
    let issuer = demo.as_ref().map(|demo| demo.issuer.clone());
    let state = (Shell::new(Arc::clone(&link)), Arc::clone(&link));
    let built = tauri::Builder::default()
        .plugin(tauri_plugin_clipboard_manager::init())
        .manage(state.0)
        .manage(state.1)
        .invoke_handler(tauri::generate_handler![
            commands::house,
            commands::sign_in,
            commands::cancel_sign_in,
            commands::open_again,
            commands::copy_link,
            commands::paste_address,
            commands::open_registration,
            commands::copy_redirect,
            commands::own_redirect,
            commands::copy_own_redirect,
            commands::save_client,
            commands::picture,
            commands::find,
            commands::adopt,
            commands::add_provider,
            commands::check_provider,
            commands::refresh,
            commands::refresh_all,
            commands::sign_out,
            commands::sign_out_in_browser,
            commands::undo_sign_out,
            commands::forget,
            commands::unlock,
            commands::answer_prompt,
            commands::policy,
            commands::set_policy,
            commands::remove_rule,
            commands::lock,
            commands::events,
            commands::rename,
            commands::place,
            commands::test,
            commands::history,
            commands::last_uses,
            commands::activity,
            commands::save_activity,
            commands::settings,
            commands::change_settings,
            commands::open_folder,
            commands::export_accounts,
            commands::import_accounts,
            commands::reset,
            commands::ready,
            commands::hears,
        ])
        .on_menu_event(|app, event| shell::click(app, event.id().as_ref()))
        .on_window_event(|window, event| match event {
            #[cfg(target_os = "linux")]
            WindowEvent::CloseRequested { .. } => shell::closing(window),
            WindowEvent::Destroyed => window::closed(window.app_handle()),
            _ => {}
        })
        .setup(move |app| {
            let app = app.handle();
            #[cfg(target_os = "linux")]
            crate::appearance::follow();
            // Its web process starts while the menus are made.
            if !options.hidden {
                window::first(app);
            }
            shell::set_up(app)?;
            if options.hidden {
                shell::beside(app);
                if !app.state::<Shell>().has_tray() {
                    window::open(app, None, None);
                }
            }
            if let Some(arrival) = arrival {
                let link = Arc::clone(&link);
                std::thread::spawn(move || {
                    if let Err(problem) = outcome(arrival) {
                        link.notice(Some(problem));
                    }
                });
            }
            watch::start(link, place, issuer)?;
            Ok(())
        })
        .build(tauri::generate_context!());
    let app = match built {
        Ok(app) => app,
        Err(error) => return said(&format!("Larder's window system does not start: {error}.")),
    };
    let code = app.run_return(|app, event| match event {
        // The last window was closed: the tray stays, if there is one.
        RunEvent::ExitRequested { code: None, api, .. } if app.state::<Shell>().has_tray() => api.prevent_exit(),
        #[cfg(target_os = "macos")]
        RunEvent::Reopen { .. } => window::open(app, None, None),
        #[cfg(target_os = "macos")]
        RunEvent::Opened { urls } => opened(app, urls),
        _ => {}
    });
    drop(demo);
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// On macOS a redirect reaches the running app as an event. Not through Tauri's plugin, which would also send the
/// URL, code and all, to the window.
#[cfg(target_os = "macos")]
fn opened(app: &tauri::AppHandle, urls: Vec<url::Url>) {
    let link = Arc::clone(&app.state::<Shell>().link);
    for url in urls.into_iter().map(String::from).filter(|url| larder_core::scheme::is_ours(url)) {
        let arrival = hand_over(&link, OnWire::new(url), None);
        let link = Arc::clone(&link);
        std::thread::spawn(move || {
            if let Err(problem) = outcome(arrival) {
                link.notice(Some(problem));
            }
        });
    }
    window::open(app, None, None);
}
