//! The loop's part in trying an account's access token: the provider is asked who the account is.

use super::{Agent, Answer, Arc, Problem, Reply, Why, grants};
use crate::http::host;
use crate::identity::ask_userinfo;
use crate::providers::Userinfo;
use larder_core::account::Account;
use std::time::Instant;
use url::Url;

impl Agent {
    /// Asks the provider, off the loop. What it answers changes nothing: a refresh is what a refusal is for.
    pub(super) async fn test(&mut self, account: &str, reply: Reply) {
        self.look_at_configuration().await;
        let known = match self.house.find(account) {
            Ok(known) => known.clone(),
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        let definition = self.configuration.provider(&known.identity.provider).ok();
        let userinfo = definition.map(|definition| definition.userinfo).unwrap_or_default();
        let hands = Arc::clone(&self.hands);
        tokio::spawn(async move {
            let _ = reply.send(test(&hands, &known, &userinfo).await);
        });
    }
}

async fn test(hands: &super::Hands, account: &Account, userinfo: &Userinfo) -> Result<Answer, Problem> {
    let label = || account.identity.label.clone();
    let needs = |why| Problem::SignInNeeded { account: label(), why };
    if larder_core::house::gone(account) {
        return Err(Problem::SignedOut { account: label() });
    }
    let key = hands.key(&account.id).await?.ok_or_else(|| needs(Why::KeyMissing))?;
    let opened = match grants::read_tokens(&hands.database, account.id.clone(), key).await {
        Ok(opened) => opened,
        Err(grants::NotOpened::Unreadable) => return Err(needs(Why::Unreadable)),
        Err(grants::NotOpened::Because(problem)) => return Err(problem),
    };
    let tokens = opened.tokens.ok_or_else(|| Problem::SignedOut { account: label() })?;
    let field = || "userinfo_endpoint".to_owned();
    let bad = |detail: &str| Problem::BadProvider {
        provider: account.identity.provider.0.clone(),
        field: field(),
        detail: detail.to_owned(),
    };
    // As signed in with: a change of configuration sends a token nowhere else.
    let at =
        opened.endpoints.userinfo_endpoint.ok_or_else(|| bad("it offers none, so a token cannot be tried there"))?;
    let url = Url::parse(&at).map_err(|_| bad("it is not a URL"))?;
    let asked = Instant::now();
    let response = ask_userinfo(&hands.http(), hands.clock.as_ref(), userinfo, &url, &tokens).await?;
    Ok(Answer::Tested {
        host: host(&url),
        status: response.status,
        milliseconds: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
