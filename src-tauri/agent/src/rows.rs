//! The sealed rows of accounts whose tokens are handed out, so that handing out again neither reads the disk nor changes
//! threads: both take longer than all the rest. Nothing in a row opens without the account's key, which is kept apart.

use crate::database::Database;
use crate::grants::{self, Sealed};
use larder_core::names::{AccountId, Generation};
use larder_core::problem::Problem;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many rows are kept, a few kilobytes each: more than are asked for at the same time on a person's machine.
const MOST: usize = 256;

/// Rows as they were read.
#[derive(Default)]
pub struct Rows(Mutex<HashMap<AccountId, Arc<Sealed>>>);

impl Rows {
    /// The account's row, which is of this generation or newer.
    ///
    /// # Errors
    /// [`Problem::DatabaseDamaged`] and its kin.
    pub async fn read(
        &self,
        database: &Database,
        account: &AccountId,
        generation: Generation,
    ) -> Result<Arc<Sealed>, Problem> {
        if let Some(row) = self.with(|rows| rows.get(account).cloned())
            && row.generation() == generation
        {
            return Ok(row);
        }
        let asked = account.clone();
        let row = Arc::new(database.run(move |connection| grants::sealed(connection, &asked)).await?);
        self.with(|rows| {
            if rows.len() >= MOST {
                rows.clear();
            }
            rows.insert(account.clone(), Arc::clone(&row));
        });
        Ok(row)
    }

    /// The account is signed out, or gone.
    pub fn drop(&self, account: &AccountId) {
        self.with(|rows| rows.remove(account));
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<AccountId, Arc<Sealed>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
