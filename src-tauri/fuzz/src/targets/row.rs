//! What lies on the disk: a row of `larder.db` that somebody else has written, and the inside of an export.

use super::{sent_to, text};
use larder_agent::grants::{all_in, sealed};
use larder_agent::moving::bundle::Bundle;
use larder_agent::seal::{DataKey, Place, seal};
use larder_core::house::{House, HouseEvent, house};
use larder_core::names::AccountId;
use larder_core::time::{BootTime, Now, WallTime};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use url::Url;

const SCHEMA: [&str; 4] = [
    include_str!("../../../agent/src/schema/1.sql"),
    include_str!("../../../agent/src/schema/2.sql"),
    include_str!("../../../agent/src/schema/3.sql"),
    include_str!("../../../agent/src/schema/4.sql"),
];

const PLACE: Place<'_> =
    Place { account: "a", issuer: "https://id.example", client: "client", column: "", generation: 7 };

/// A moment of the year 2026, and an hour after the machine started.
const NOW: Now = Now { wall: WallTime(1_790_000_000_000), boot: BootTime(3_600_000) };

static KEY: LazyLock<DataKey> = LazyLock::new(|| DataKey::from_bytes(&[9; 32]).expect("32 bytes"));
static SEALED: LazyLock<BTreeMap<&'static str, Vec<u8>>> = LazyLock::new(|| {
    let sealed = |column| (column, seal(&KEY, Place { column, ..PLACE }, column.as_bytes()).expect("sealed"));
    ["access_token", "refresh_token", "id_token"].into_iter().map(sealed).collect()
});

/// A row as the agent writes it.
fn whole() -> BTreeMap<String, Value> {
    let text = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
    let number = |name: &str, value: i64| (name.to_owned(), Value::Integer(value));
    let mut row: BTreeMap<_, _> = [
        text("id", PLACE.account),
        text("provider", "work"),
        text("provider_account_id", "ada"),
        text("type", "oidc"),
        text("scope", "openid email"),
        text("issuer", PLACE.issuer),
        text("client_id", PLACE.client),
        text("token_endpoint_auth_method", "none"),
        text("token_endpoint", "https://id.example/token"),
        text("label", "work"),
        text("session", "signed-in"),
        number("generation", 7),
        number("position", 1),
        number("expires_at", NOW.wall.0 + 3_600_000),
        number("lifetime", 3_600_000),
    ]
    .into();
    row.extend(SEALED.iter().map(|(name, sealed)| ((*name).to_owned(), Value::Blob(sealed.clone()))));
    row
}

/// Lines `column=value` replace what stands there; `null`, a number, `@column` for what is sealed in that one, else text, or
/// bytes where the column is sealed. Whatever is there is read without a panic, an account that lives on it is looked at
/// without one, and what opens is what was sealed for this place.
pub fn row(data: &[u8]) {
    thread_local! {
        static DATABASE: Connection = {
            let connection = Connection::open_in_memory().expect("a database");
            SCHEMA.iter().for_each(|schema| connection.execute_batch(schema).expect("the schema"));
            connection
        };
    }
    let mut row = whole();
    for line in data.split(|byte| *byte == b'\n') {
        let mut halves = line.splitn(2, |byte| *byte == b'=');
        let (Some(Some(name)), Some(value)) = (halves.next().map(text), halves.next()) else { continue };
        let is_sealed = SEALED.contains_key(name) || name == "dpop_key";
        let other = text(value).and_then(|value| value.strip_prefix('@')).and_then(|other| SEALED.get(other));
        let value = match (text(value), other) {
            (_, Some(other)) => Value::Blob(other.clone()),
            (Some("null"), _) => Value::Null,
            (Some(number), _) if !is_sealed && number.parse::<i64>().is_ok() => Value::Integer(number.parse().unwrap()),
            (Some(text), _) if !is_sealed => Value::Text(text.to_owned()),
            _ => Value::Blob(value.to_vec()),
        };
        row.insert(name.to_owned(), value);
    }
    DATABASE.with(|connection| {
        connection.execute("DELETE FROM account", []).expect("it empties");
        let names: Vec<_> = row.keys().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        let columns_of_text: Vec<_> = row
            .iter()
            // A blob in a column of text is text that is no UTF-8: a disk may hold that.
            .map(|(name, value)| {
                let blob = matches!(value, Value::Blob(_));
                if blob && !SEALED.contains_key(name.as_str()) && name != "dpop_key" { "CAST(? AS TEXT)" } else { "?" }
            })
            .collect();
        let insert = format!("INSERT INTO account ({}) VALUES ({})", names.join(", "), columns_of_text.join(", "));
        // What the schema does not take is no row.
        if connection.execute(&insert, params_from_iter(row.values())).is_err() {
            return;
        }
        if let Ok(accounts) = all_in(connection, NOW) {
            let home = House::new(accounts);
            home.wake(NOW);
            house(home, HouseEvent::Tick, NOW);
        }
        let Some(Value::Text(id)) = row.get("id") else { return };
        let account = AccountId(id.clone());
        let Ok(found) = sealed(connection, &account) else { return };
        let Ok(opened) = found.open_all(&account, &KEY) else { return };
        let Some(tokens) = opened.tokens else { return };
        let ours = whole();
        let same = ["id", "issuer", "client_id", "generation"].iter().all(|name| row.get(*name) == ours.get(*name));
        assert!(same, "tokens opened at another place");
        assert_eq!(tokens.access_token.expose_secret(), "access_token");
        assert!(tokens.refresh_token.is_none_or(|token| token.expose_secret() == "refresh_token"));
        assert!(tokens.id_token.is_none_or(|token| token.expose_secret() == "id_token"));
    });
}

/// What an export holds once it is opened: whoever made it knows the passphrase, and may have written anything.
pub fn export(data: &[u8]) {
    let Ok(bundle) = Bundle::from_bytes(data) else { return };
    for account in &bundle.accounts {
        for name in ["token_endpoint", "revocation_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"] {
            if let Some(url) = account.text(name) {
                sent_to(&Url::parse(url).expect("it was one"));
            }
        }
    }
    let written = bundle.to_bytes().expect("it can be written");
    let again = Bundle::from_bytes(&written).expect("what is written can be read");
    assert_eq!(again.to_bytes().expect("it can be written"), written);
}
