//! What can happen, and how likely each is.

use crate::around::Keys;
use crate::server::Net;
use proptest::prelude::*;

/// Accounts: the first two are at one server, the third at the other.
pub const SLOTS: usize = 3;

/// What comes in between while a refresh is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Crash,
    SignOut,
    Suspend,
    Seal,
    DiskFull,
    NetDown,
    KeysGone,
}

/// One thing that happens. Each can happen at any time: there is nothing that an agent need not be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A person signs in, in the browser and all.
    SignIn {
        slot: usize,
    },
    /// So many programs ask for a token at once.
    Tokens {
        slot: usize,
        programs: usize,
    },
    Refresh {
        slot: usize,
    },
    SignOut {
        slot: usize,
        undoable: bool,
        forget: bool,
        here_only: bool,
    },
    Undo {
        slot: usize,
    },
    /// Time passes, in seconds; who is to be rung is rung on the way.
    Pass {
        seconds: i64,
    },
    /// The machine says that it is about to sleep.
    Suspend,
    /// It says that it is awake.
    Resume,
    /// The machine sleeps, in seconds: everything stands still, and then much is due at once.
    Sleep {
        seconds: i64,
    },
    /// Somebody sets the wall clock, by so many seconds.
    SetWall {
        seconds: i64,
    },
    Net {
        server: usize,
        net: Net,
    },
    Disk {
        works: bool,
    },
    Keychain {
        keys: Keys,
    },
    /// Somebody deletes the account's item from the keychain, or puts another one there.
    LoseItem {
        slot: usize,
    },
    SwapItem {
        slot: usize,
    },
    Lock {
        seal: bool,
    },
    Unlock,
    Restart,
    Crash,
    /// A refresh begins, so many of its steps are seen to end, and then something comes in between.
    Between {
        slot: usize,
        after: u32,
        by: By,
    },
    Policy {
        allow: bool,
    },
    /// `providers.toml` is written anew: as it was, otherwise, or as something that cannot be read.
    Providers {
        title: usize,
    },
    /// The provider ends the session, and tells nobody.
    EndSession {
        slot: usize,
    },
}

impl Step {
    /// Its kind, for figures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SignIn { .. } => "sign-in",
            Self::Tokens { .. } => "asks",
            Self::Refresh { .. } => "refresh",
            Self::SignOut { undoable: true, .. } => "sign-out, undoable",
            Self::SignOut { .. } => "sign-out",
            Self::Undo { .. } => "undo",
            Self::Pass { .. } => "time",
            Self::Sleep { .. } => "sleep",
            Self::Suspend => "sleep announced",
            Self::Resume => "awake",
            Self::SetWall { .. } => "clock set",
            Self::Net { net: Net::Up, .. } => "network back",
            Self::Net { .. } => "network fault",
            Self::Disk { works: true } => "disk back",
            Self::Disk { .. } => "disk fault",
            Self::Keychain { keys: Keys::Open } => "keychain back",
            Self::Keychain { .. } => "keychain fault",
            Self::LoseItem { .. } | Self::SwapItem { .. } => "keychain item lost or swapped",
            Self::Lock { .. } => "lock",
            Self::Unlock => "unlock",
            Self::Restart => "restart",
            Self::Crash => "crash",
            Self::Between { by: By::Crash, .. } => "crash within a refresh",
            Self::Between { by: By::SignOut, .. } => "sign-out within a refresh",
            Self::Between { by: By::Suspend, .. } => "sleep announced within a refresh",
            Self::Between { .. } => "fault within a refresh",
            Self::Policy { .. } | Self::Providers { .. } => "configuration",
            Self::EndSession { .. } => "session ended by its provider",
        }
    }
}

/// Any step. Faults come less often than what mends them, so that lives go on.
pub fn any_step() -> BoxedStrategy<Step> {
    let slot = || 0..SLOTS;
    let faults = prop_oneof![Just(Net::Refused), Just(Net::Lost), Just(Net::Busy), Just(Net::Portal), Just(Net::Slow)];
    let keys = prop_oneof![Just(Keys::Locked), Just(Keys::Gone), Just(Keys::Denying), Just(Keys::Silent)];
    let by = prop_oneof![
        Just(By::Crash),
        Just(By::SignOut),
        Just(By::Suspend),
        Just(By::Seal),
        Just(By::DiskFull),
        Just(By::NetDown),
        Just(By::KeysGone)
    ];
    let passes = prop_oneof![Just(1), Just(4), Just(12), Just(45), Just(300), Just(1500), Just(2900), Just(7200)];
    prop_oneof![
        10 => slot().prop_map(|slot| Step::SignIn { slot }),
        12 => (slot(), 1..5usize).prop_map(|(slot, programs)| Step::Tokens { slot, programs }),
        8 => slot().prop_map(|slot| Step::Refresh { slot }),
        4 => (slot(), any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
            |(slot, undoable, forget, here_only)| Step::SignOut { slot, undoable, forget, here_only }
        ),
        3 => slot().prop_map(|slot| Step::Undo { slot }),
        12 => passes.prop_map(|seconds| Step::Pass { seconds }),
        3 => prop_oneof![Just(30), Just(3000), Just(40_000)].prop_map(|seconds| Step::Sleep { seconds }),
        2 => Just(Step::Suspend),
        5 => Just(Step::Resume),
        3 => prop_oneof![-9000..9000i64, -300..300i64].prop_map(|seconds| Step::SetWall { seconds }),
        5 => (0..2usize, faults).prop_map(|(server, net)| Step::Net { server, net }),
        9 => (0..2usize).prop_map(|server| Step::Net { server, net: Net::Up }),
        2 => Just(Step::Disk { works: false }),
        4 => Just(Step::Disk { works: true }),
        2 => keys.prop_map(|keys| Step::Keychain { keys }),
        5 => Just(Step::Keychain { keys: Keys::Open }),
        1 => slot().prop_map(|slot| Step::LoseItem { slot }),
        1 => slot().prop_map(|slot| Step::SwapItem { slot }),
        2 => prop::bool::weighted(0.4).prop_map(|seal| Step::Lock { seal }),
        4 => Just(Step::Unlock),
        3 => Just(Step::Restart),
        3 => Just(Step::Crash),
        8 => (slot(), 0..3u32, by).prop_map(|(slot, after, by)| Step::Between { slot, after, by }),
        1 => prop::bool::weighted(0.3).prop_map(|deny| Step::Policy { allow: !deny }),
        1 => (0..3usize).prop_map(|title| Step::Providers { title }),
        1 => slot().prop_map(|slot| Step::EndSession { slot }),
    ]
    .boxed()
}
