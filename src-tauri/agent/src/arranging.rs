//! What accounts are called and in which order they stand, on the disk.

use crate::database::{Database, Failed};
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use rusqlite::params;

/// Gives an account another label. Nothing that is sealed is bound to it.
///
/// # Errors
/// [`Problem::LabelTaken`]; [`Problem::NoSuchAccount`] where it was forgotten meanwhile; [`Problem::DiskFull`] and its kin.
pub async fn rename(database: &Database, account: AccountId, label: String) -> Result<(), Problem> {
    database
        .transact(move |transaction| {
            let taken: bool = transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM account WHERE label = ?2 AND id <> ?1)",
                params![account.as_str(), label],
                |row| row.get(0),
            )?;
            if taken {
                return Err(Failed::Because(Problem::LabelTaken { label }));
            }
            let changed =
                transaction.execute("UPDATE account SET label = ?2 WHERE id = ?1", params![account.as_str(), label])?;
            if changed == 0 {
                return Err(Failed::Because(Problem::NoSuchAccount { account: account.0 }));
            }
            Ok(())
        })
        .await
}

/// Puts the accounts into this order. Those that are not named come after them, as they stood.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin.
pub async fn arrange(database: &Database, order: Vec<AccountId>) -> Result<(), Problem> {
    database
        .transact(move |transaction| {
            let first = i64::try_from(order.len()).unwrap_or(i64::MAX);
            transaction.execute("UPDATE account SET position = position + ?1", [first])?;
            let mut place = transaction.prepare("UPDATE account SET position = ?2 WHERE id = ?1")?;
            for (number, account) in (1_i64..).zip(&order) {
                place.execute(params![account.as_str(), number])?;
            }
            Ok(())
        })
        .await
}
