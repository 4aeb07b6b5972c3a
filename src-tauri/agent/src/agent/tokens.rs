//! Which access token whoever asks means, where they say that one was rejected (401).

use super::{AccountId, Agent, Arc, Message, Peer, Problem, Reply, Want, Why, grants};
use crate::database::Database;
use crate::seal::DataKey;
use crate::sign_in::token_digest;
use crate::{access, access_tokens, dpop};
use larder_core::account::Account;
use larder_core::account::parts::MOST;
use larder_core::house::Wanted;
use larder_core::names::{Generation, Part, Scope};
use larder_core::protocol::{Authentication, ProofFor, Rejected};
use secrecy::SecretString;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Programs that are remembered for one token: more than a person's machine has of them. Whichever comes beyond is
/// taken for one that was given it.
const MOST_PROGRAMS: usize = 256;

/// What a program asks for.
pub struct Asked {
    /// The smallest remaining life, in seconds.
    pub min_validity: Option<u64>,
    /// What a proof is wanted for, and its URL, looked at.
    pub proof: Option<(ProofFor, url::Url)>,
    /// What was answered 401.
    pub rejected: Option<Rejected>,
    /// For which part of the grant.
    pub part: Part,
    /// Whether the policy wants its person to be asked first.
    pub consult: bool,
}

/// The longest resource, in bytes: longer than any URL that is in use.
const MOST_RESOURCE: usize = 2048;

/// What a request asks for, looked at.
///
/// # Errors
/// [`Problem::BadRequest`].
pub fn asked(
    min_validity: Option<u64>,
    dpop: Option<ProofFor>,
    rejected: Option<Rejected>,
    scopes: &[Scope],
    resource: Option<&str>,
) -> Result<Asked, Problem> {
    let proof = dpop.map(|proof| dpop::checked(&proof).map(|url| (proof, url))).transpose()?;
    access::check(scopes, &Authentication::default())?;
    // RFC 8707 section 2: an absolute URI without a fragment.
    let usable = |resource: &str| {
        resource.len() <= MOST_RESOURCE && url::Url::parse(resource).is_ok_and(|url| url.fragment().is_none())
    };
    if !resource.is_none_or(usable) {
        return Err(Problem::BadRequest { detail: "a resource is an absolute URI without a fragment".to_owned() });
    }
    Ok(Asked { min_validity, proof, rejected, part: Part::new(resource, scopes), consult: true })
}

/// Which programs were given the newest access token of each account, so that one that says "the last one" is
/// known to mean it, or an older one.
#[derive(Default)]
pub struct Given(HashMap<AccountId, HashMap<Part, (Generation, HashSet<String>)>>);

impl Given {
    /// This program was given the token that is called `issued`.
    pub fn note(&mut self, account: &AccountId, part: &Part, issued: Generation, program: &str) {
        let parts = self.0.entry(account.clone()).or_default();
        if parts.len() > MOST {
            // Of those, only so many are kept at once; whoever has another is taken for one that has the newest.
            parts.clear();
        }
        let (newest, programs) = parts.entry(part.clone()).or_default();
        if *newest != issued {
            *newest = issued;
            programs.clear();
        }
        if programs.len() < MOST_PROGRAMS {
            programs.insert(program.to_owned());
        }
    }

    /// Whether the last token that this program was given is the one that is called `issued`, as far as is known: what an
    /// earlier run of the agent gave to whom is not.
    pub fn means(&self, account: &AccountId, part: &Part, issued: Generation, program: &str) -> bool {
        self.0.get(account).and_then(|parts| parts.get(part)).is_none_or(|(newest, programs)| {
            *newest == issued && (programs.contains(program) || programs.len() >= MOST_PROGRAMS)
        })
    }

    /// The account is gone.
    pub fn forget(&mut self, account: &AccountId) {
        self.0.remove(account);
    }
}

impl Agent {
    /// Asks for a token in the name of a program that may have one.
    pub(super) async fn ask_for_token(&mut self, peer: Peer, account: Account, asked: Asked, reply: Reply) {
        let issued = account.token(&asked.part).map(|access| access.issued);
        let rejected = match (&asked.rejected, issued) {
            (Some(Rejected::Last), Some(issued)) => {
                let program = peer.program.as_ref().map(|program| program.path.as_str()).unwrap_or_default();
                self.given.means(&account.id, &asked.part, issued, program).then_some(issued)
            }
            (Some(Rejected::Token(token)), Some(issued)) => {
                let token = SecretString::from(token.expose());
                return self.recognise(peer, account, issued, token, asked, reply);
            }
            _ => None,
        };
        self.ask_for_newer(peer, account.id, asked, rejected, reply).await;
    }

    /// Asks for a token, newer than the one that is called `rejected`.
    pub(super) async fn ask_for_newer(
        &mut self,
        peer: Peer,
        account: AccountId,
        asked: Asked,
        rejected: Option<Generation>,
        reply: Reply,
    ) {
        let least = asked.min_validity.map(Duration::from_secs);
        let want = Want::Token(Wanted { least, rejected, part: asked.part });
        if asked.consult {
            self.consult(peer, account, want, asked.proof, reply);
        } else {
            self.ask(peer, account, want, asked.proof, reply).await;
        }
    }

    /// Finds out, off the loop, whether this is the account's token of today. Digests are compared, so that the time it
    /// takes says nothing about a token to whoever guesses.
    fn recognise(
        &self,
        peer: Peer,
        account: Account,
        issued: Generation,
        token: SecretString,
        asked: Asked,
        reply: Reply,
    ) {
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        tokio::spawn(async move {
            let label = &account.identity.label;
            let result = match hands.key(&account.id).await {
                Ok(Some(key)) => match kept(&hands.database, account.id.clone(), key, &asked.part).await {
                    Ok(kept) => Ok(kept),
                    Err(grants::NotOpened::Unreadable) => Err(needs(label, Why::Unreadable)),
                    Err(grants::NotOpened::Because(problem)) => Err(problem),
                },
                Ok(None) => Err(needs(label, Why::KeyMissing)),
                Err(problem) => Err(problem),
            };
            match result {
                Ok(kept) => {
                    // One that was replaced since is no reason for a refresh.
                    let same = kept.is_some_and(|kept| token_digest(&kept) == token_digest(&token));
                    let rejected = same.then_some(issued);
                    let _ =
                        outbox.send(Message::Recognised { peer, account: account.id, asked, rejected, reply }).await;
                }
                Err(problem) => {
                    let _ = reply.send(Err(problem));
                }
            }
        });
    }
}

/// The access token that is kept for this part.
async fn kept(
    database: &Database,
    account: AccountId,
    key: DataKey,
    part: &Part,
) -> Result<Option<SecretString>, grants::NotOpened> {
    if part.is_whole() {
        let opened = grants::read_tokens(database, account, key).await?;
        return Ok(opened.tokens.map(|tokens| tokens.access_token));
    }
    let kept = access_tokens::read(database, account, key, part.clone()).await?;
    Ok(kept.map(|kept| kept.access_token))
}

fn needs(label: &str, why: Why) -> Problem {
    Problem::SignInNeeded { account: label.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_the_newest_only_for_whoever_was_given_it() {
        let (account, whole) = (AccountId::from("a"), Part::default());
        let mut given = Given::default();
        // Nobody was given any in this run: whoever complains has one of an earlier run.
        assert!(given.means(&account, &whole, Generation(1), "/bin/a"));
        given.note(&account, &whole, Generation(1), "/bin/a");
        assert!(given.means(&account, &whole, Generation(1), "/bin/a"));
        assert!(!given.means(&account, &whole, Generation(2), "/bin/a"), "it has an older one");
        given.note(&account, &whole, Generation(2), "/bin/b");
        assert!(given.means(&account, &whole, Generation(2), "/bin/b"));
        assert!(!given.means(&account, &whole, Generation(2), "/bin/a"));
        given.forget(&account);
        assert!(given.means(&account, &whole, Generation(2), "/bin/a"));
    }

    #[test]
    fn no_more_programs_are_remembered_than_there_are() {
        let (account, whole) = (AccountId::from("a"), Part::default());
        let mut given = Given::default();
        for number in 0..2 * MOST_PROGRAMS {
            given.note(&account, &whole, Generation(1), &number.to_string());
        }
        assert!(given.0.values().flat_map(HashMap::values).all(|(_, programs)| programs.len() <= MOST_PROGRAMS));
        assert!(given.means(&account, &whole, Generation(1), "one more"));
    }
}
