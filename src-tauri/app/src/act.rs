//! What a click in a menu does, and the ids that say so. Menu events are global in Tauri: one handler hears both
//! menus, so each id begins with its menu's name, and accounts are named by their own id, whatever their label or state.

use larder_core::names::AccountId;

/// What a click does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// An account's own line: signs in again where that is what it asks for, else opens the window.
    Account(AccountId),
    /// Signs out at once.
    SignOut(AccountId),
    /// Refreshes every account.
    RefreshAll,
    /// Chooses a provider, in the window.
    SignIn,
    /// Opens the keychain, and ends a lock.
    Unlock,
    /// Has no program get a token until it is unlocked.
    Lock,
    /// Opens the window, as it was.
    Open,
    /// Shows the accounts.
    Accounts,
    /// Shows what happened.
    Activity,
    /// Shows which programs may ask.
    Programs,
    /// Shows what can be set.
    Settings,
    /// Starts Larder at login, or no more.
    StartAtLogin,
    /// An editing command in the window, as WebKit names it.
    Edit(&'static str),
    /// Ends the app; tokens stay fresh.
    Quit,
    /// Ends the agent as well.
    QuitCompletely,
}

/// The acts without a parameter, and what their ids end with.
const PLAIN: &[(&str, Act)] = &[
    ("refresh-all", Act::RefreshAll),
    ("sign-in", Act::SignIn),
    ("unlock", Act::Unlock),
    ("lock", Act::Lock),
    ("open", Act::Open),
    ("accounts", Act::Accounts),
    ("activity", Act::Activity),
    ("programs", Act::Programs),
    ("settings", Act::Settings),
    ("start-at-login", Act::StartAtLogin),
    ("cut", Act::Edit("Cut")),
    ("copy", Act::Edit("Copy")),
    ("paste", Act::Edit("Paste")),
    ("select-all", Act::Edit("SelectAll")),
    ("quit", Act::Quit),
    ("quit-completely", Act::QuitCompletely),
];

impl Act {
    /// The id of the item that does this in the menu `menu`.
    pub fn id(&self, menu: &str) -> String {
        match self {
            Self::Account(account) => format!("{menu}/account/{account}"),
            Self::SignOut(account) => format!("{menu}/sign-out/{account}"),
            plain => {
                let name = PLAIN.iter().find(|(_, act)| act == plain).map_or("unknown", |(name, _)| name);
                format!("{menu}/{name}")
            }
        }
    }

    /// What the item `id` does, whichever menu it is in.
    pub fn of(id: &str) -> Option<Self> {
        let (_menu, rest) = id.split_once('/')?;
        match rest.split_once('/') {
            Some(("account", account)) => Some(Self::Account(account.into())),
            Some(("sign-out", account)) => Some(Self::SignOut(account.into())),
            Some(_) => None,
            None => PLAIN.iter().find(|(name, _)| *name == rest).map(|(_, act)| act.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_leads_back_to_its_act() {
        let accounts = [Act::Account("a1".into()), Act::SignOut("a1".into())];
        for act in PLAIN.iter().map(|(_, act)| act).chain(&accounts) {
            assert_eq!(Act::of(&act.id("tray")).as_ref(), Some(act));
            assert_eq!(Act::of(&act.id("bar")).as_ref(), Some(act));
        }
    }

    #[test]
    fn an_unknown_id_does_nothing() {
        for id in ["", "quit", "tray/", "tray/unknown", "tray/forget/a1"] {
            assert_eq!(Act::of(id), None, "{id}");
        }
    }
}
