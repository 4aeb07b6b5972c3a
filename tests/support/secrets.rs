//! Everything secret that an account has, in values that a test can look for: an account of a client with a secret, whose
//! tokens are bound to a key.

use super::canary::Search;
use super::openid_provider::OpenIdProvider;
use super::{PATIENCE, Session};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde_json::json;
use std::process::Stdio;
use std::time::Instant;

/// What a token begins with, as a `token68` (RFC 9110 section 11.2), whose characters forms and base64 write otherwise.
const BEGINNING: &str = "canary/of+a";

/// The client's secret.
pub const SECRET: &str = "canary/of+a=client~secret.6c1f0a3d9e";

/// The authorization code.
const CODE: &str = "canary/of+an=authorization~code.41b7d2";

/// A sealed value: its version, then a nonce of so many bytes.
const NONCE: usize = 24;

/// An account called `work`, and what of it is secret.
pub struct Secrets {
    /// Its provider.
    pub provider: OpenIdProvider,
    /// Everything that must not be found, and how it is called.
    pub all: Vec<(String, Vec<u8>)>,
}

impl Secrets {
    /// Signs in, and refreshes once, so that there are old tokens too.
    pub fn signed_in(session: &Session) -> Self {
        let provider = OpenIdProvider::start();
        provider.tell(|told| {
            told.metadata = json!({ "dpop_signing_alg_values_supported": ["ES256"] });
            // The hash would be that of a token that is not given.
            told.claims = json!({ "at_hash": null });
        });
        let mut secrets = Self { provider, all: Vec::new() };
        secrets.know("client secret", SECRET);
        secrets.know("authorization code", CODE);
        let more = ["--dpop-bound", "--auth-method", "client_secret_basic"];
        secrets.provider.add(session, "work", &more);
        session.larder_reads(&["providers", "secret", "work"], &format!("{SECRET}\n")).ok();
        secrets.gives(1);
        let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
        let redirect = secrets.provider.authorize(&url);
        let mut redirect = url::Url::parse(&redirect).expect("a URL");
        let pairs: Vec<(String, String)> = redirect.query_pairs().into_owned().collect();
        let code = |name: &str, value: String| if name == "code" { CODE.to_owned() } else { value };
        let mut query = redirect.query_pairs_mut();
        query.clear().extend_pairs(pairs.into_iter().map(|(name, value)| (name.clone(), code(&name, value))));
        drop(query);
        session.larder_reads(&["callback"], redirect.as_str()).ok();
        session.larder(&["token", "work"]).ok();
        secrets.gives(2);
        session.larder(&["refresh", "work"]).ok();
        let token = session.larder(&["token", "work"]).ok();
        assert!(token.starts_with(BEGINNING) && token.contains("access-token.2."), "{token}");
        let seen = secrets.provider.told();
        let verifier = seen.seen.iter().find_map(|(_, _, form)| form.get("code_verifier")).expect("a verifier").clone();
        let id_tokens: Vec<String> = seen.given.iter().filter(|text| text.starts_with("ey")).cloned().collect();
        drop(seen);
        secrets.know("PKCE code verifier", &verifier);
        assert_eq!(id_tokens.len(), 2);
        id_tokens.iter().for_each(|token| secrets.know("ID token", token));
        secrets.know_keys(session);
        secrets
    }

    /// What the provider gives from now on.
    pub fn gives(&mut self, number: u32) {
        let token = |what: &str, mark: u64| {
            // As different as tokens are, to the end.
            let mark = (u64::from(number) << 8 | mark).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            format!("{BEGINNING}=~{what}.{number}.{mark:016x}")
        };
        let (access, refresh) = (token("access-token", 1), token("refresh-token", 2));
        self.know("access token", &access);
        self.know("refresh token", &refresh);
        self.provider.tell(|told| {
            told.response = json!({ "access_token": access, "refresh_token": refresh, "token_type": "DPoP" });
        });
    }

    fn know(&mut self, what: &str, secret: &str) {
        self.all.push((what.to_owned(), secret.as_bytes().to_vec()));
    }

    /// The data keys, as the keychain has them, and with the account's own the key that its tokens are bound to.
    fn know_keys(&mut self, session: &Session) {
        let database = rusqlite::Connection::open(session.profile().join("larder.db")).expect("the database");
        let row = database.query_row(
            "SELECT id, issuer, client_id, generation, dpop_key, refresh_token FROM account",
            [],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, u64>(3)?,
                    row.get::<_, Vec<u8>>(4)?,
                    row.get::<_, Vec<u8>>(5)?,
                ))
            },
        );
        let (account, issuer, client, generation, dpop_key, refresh_token) = row.expect("the account");
        let key = keychain_item(session, &account);
        let open = |column: &str, sealed: &[u8]| {
            let mut data = vec![1];
            for part in
                [account.as_bytes(), issuer.as_bytes(), client.as_bytes(), column.as_bytes(), &generation.to_be_bytes()]
            {
                data.extend_from_slice(&(part.len() as u64).to_be_bytes());
                data.extend_from_slice(part);
            }
            let cipher = XChaCha20Poly1305::new_from_slice(&key).expect("a key");
            let (nonce, sealed) = sealed[1..].split_at(NONCE);
            let nonce = XNonce::try_from(nonce).expect("a nonce");
            cipher.decrypt(&nonce, Payload { msg: sealed, aad: &data }).expect("what the keychain's key opens")
        };
        // It is the right key: what it opens is known.
        let opened = open("refresh_token", &refresh_token);
        assert!(self.all.iter().any(|(what, secret)| what == "refresh token" && *secret == opened));
        let pkcs8 = open("dpop_key", &dpop_key);
        self.all.push(("data key".to_owned(), key));
        self.all.push(("key of client secrets".to_owned(), keychain_item(session, "clients")));
        self.all.push(("key of the tokens".to_owned(), private_scalar(&pkcs8)));
    }

    /// A search for all of it, but for what is called so.
    pub fn search_without(&self, left_out: &[&str]) -> Search {
        let wanted = self.all.iter().filter(|(what, _)| !left_out.contains(&what.as_str()));
        wanted.fold(Search::new(), |search, (what, secret)| search.and(what, secret))
    }

    /// A search for all of it.
    pub fn search(&self) -> Search {
        self.search_without(&[])
    }
}

/// The 32 bytes of this item of the keychain.
fn keychain_item(session: &Session, item: &str) -> Vec<u8> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut command = session.command("secret-tool");
        command.args(["lookup", "service", "dev.larder.desktop", "username", item]).stderr(Stdio::null());
        let output = command.output().expect("secret-tool");
        if output.stdout.len() == 32 {
            return output.stdout;
        }
        assert!(Instant::now() < until, "the keychain has no item {item}: {} bytes", output.stdout.len());
    }
}

/// RFC 5915 section 3: the version, 1, then an OCTET STRING with the number.
fn private_scalar(pkcs8: &[u8]) -> Vec<u8> {
    const BEFORE: [u8; 5] = [2, 1, 1, 4, 32];
    let at = pkcs8.windows(BEFORE.len()).position(|window| window == BEFORE).expect("an ECPrivateKey");
    pkcs8[at + BEFORE.len()..][..32].to_vec()
}
