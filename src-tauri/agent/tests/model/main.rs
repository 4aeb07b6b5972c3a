//! Whatever happens: the agent as it is shipped, side by side with a model, over random interleavings of all that can happen.
//!
//! Real are the loop, the hands, SQLite and HTTP; in the test's hand are both clocks and the keychain. After each step all has
//! come to rest, and model, agent, disk and server must agree. A life that breaks a promise is told with its seed, and shrinks.
//! `LARDER_MODEL_STEPS` says how many steps all lives together have, `LARDER_MODEL_FIRST` the seed of the first of them, and
//! `LARDER_MODEL_SEED` which one life to live again.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as its test does")]

mod around;
mod breaks;
mod life;
mod oracle;
mod people;
mod server;
mod step;
mod world;

use life::{FIGURES, Life, STEPS};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use step::{Step, any_step};

/// Steps of one life: long enough for faults to meet, short enough to shrink.
const LENGTH: usize = 100;

/// So many lives are a line of their own.
const TOLD_EVERY: u64 = 50;

/// Steps of all lives where nothing else is said: some ten seconds.
const STEPS_IN_A_TEST: u64 = 2500;

/// What can happen next does not depend on what was: the agent must be ready for all of it at any time. What must follow is
/// the model's (`oracle.rs`), which is told what the agent drew (an account's random id) and therefore lives with it.
struct Anything;

impl ReferenceStateMachine for Anything {
    type State = ();
    type Transition = Step;

    fn init_state() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    fn transitions((): &()) -> BoxedStrategy<Step> {
        any_step()
    }

    fn apply((): (), _: &Step) {}
}

struct Agent;

impl StateMachineTest for Agent {
    type SystemUnderTest = Life;
    type Reference = Anything;

    fn init_test((): &()) -> Life {
        Life::new()
    }

    fn apply(mut life: Life, (): &(), step: Step) -> Life {
        life.apply(step);
        life
    }

    fn teardown(mut life: Life, (): ()) {
        life.end();
    }
}

/// The dice of the life with this number.
fn dice(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

#[expect(clippy::print_stdout, reason = "figures and seeds, for whoever wants them")]
fn tell(what: &str) {
    println!("{what}");
}

thread_local! {
    /// The seed of the life that this thread lives.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// What a life is drawn as: its beginning, its steps, and how many of them were seen.
type Drawn = ((), Vec<Step>, Option<Arc<AtomicUsize>>);

/// Lives this life; where it breaks a promise, ever shorter ones.
fn one(seed: u64) -> Result<(), TestError<Drawn>> {
    let shrink = number("PROPTEST_MAX_SHRINK_ITERS").and_then(|most| u32::try_from(most).ok()).unwrap_or(1000);
    let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: shrink, ..Config::default() };
    let each = config.clone();
    let every = Anything::sequential_strategy(LENGTH..=LENGTH);
    TestRunner::new_with_rng(config, dice(seed)).run(&every, |(state, steps, seen)| {
        Agent::test_sequential(each.clone(), state, steps, seen);
        Ok(())
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn the_agent_does_what_the_model_says() {
    let (steps, given) = (number("LARDER_MODEL_STEPS"), number("LARDER_MODEL_SEED"));
    // Where nothing is said, the same lives each time; else ones that nobody has lived.
    let anew = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().wrapping_mul(1_000_000);
    let first = given.or_else(|| number("LARDER_MODEL_FIRST")).unwrap_or_else(|| steps.map_or(1, |_| anew()));
    let steps = steps.unwrap_or(STEPS_IN_A_TEST);
    let lives = if given.is_some() { 1 } else { steps.div_ceil(LENGTH as u64) };
    // A life that breaks a promise is lived again and again, shorter each time: only the first time is told.
    let told = AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |panic| {
        if !told.swap(true, Ordering::SeqCst) {
            let seed = SEED.get();
            tell(&format!(
                "a promise is broken in the life LARDER_MODEL_SEED={seed}, which is made shorter now: {panic}"
            ));
        }
    }));
    let (began, next) = (std::time::Instant::now(), AtomicU64::new(first));
    let broken = Mutex::new(None);
    let live = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= first + lives || broken.lock().unwrap().is_some() {
                return;
            }
            SEED.set(seed);
            if let Err(error) = one(seed) {
                broken.lock().unwrap().get_or_insert((seed, error));
            }
            let lived = seed - first + 1;
            if lived.is_multiple_of(TOLD_EVERY) {
                tell(&format!("{lived} lives are lived, in {:.0?}", began.elapsed()));
            }
        }
    };
    // Each waits for its disk and its server most of the time.
    let at_once = std::thread::available_parallelism().map_or(4, |cores| 2 * cores.get());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(live);
        }
    });
    let broken = broken.into_inner().unwrap();
    drop(std::panic::take_hook());
    let figures = FIGURES.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let list: Vec<_> = figures.iter().map(|(what, many)| format!("{what}: {many}")).collect();
    let (steps, took) = (STEPS.load(Ordering::SeqCst), began.elapsed());
    tell(&format!("{steps} steps in {took:.0?}, lives from LARDER_MODEL_FIRST={first} on; {}", list.join(", ")));
    if let Some((seed, error)) = broken {
        let TestError::Fail(why, (_, steps, _)) = error else { panic!("no life could be made: {error}") };
        let steps: Vec<_> = steps.iter().map(|step| format!("  {step:?}")).collect();
        let number = seed - first + 1;
        panic!(
            "in the life LARDER_MODEL_SEED={seed}, number {number}: {why}\nthe shortest that does it:\n{}",
            steps.join("\n")
        );
    }
}
