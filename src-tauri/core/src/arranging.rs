//! What accounts are called, and in which order they stand.

use crate::account::Account;
use crate::house::House;
use crate::names::AccountId;
use crate::problem::Problem;

/// A label is a word that is typed and stands in a row; what is longer is neither.
pub const LONGEST_LABEL: usize = 64;

/// Whether something can be a label at all: `*` means every account in a policy.
///
/// # Errors
/// [`Problem::BadRequest`].
pub fn can_be_label(label: &str) -> Result<(), Problem> {
    let told = label.trim();
    if told.is_empty() || told != label || told == "*" || label.chars().any(char::is_control) {
        let detail = "a label is a word or a few, with nothing around them, and not `*`".to_owned();
        return Err(Problem::BadRequest { detail });
    }
    if label.chars().count() > LONGEST_LABEL {
        return Err(Problem::BadRequest { detail: format!("a label has at most {LONGEST_LABEL} characters") });
    }
    Ok(())
}

/// Whether `account`, or a new one, can be called so.
///
/// # Errors
/// [`Problem::BadRequest`]; [`Problem::LabelTaken`], also where it is another account's id, or is about to be given.
pub fn may_be_called(house: &House, account: Option<&AccountId>, label: &str) -> Result<(), Problem> {
    can_be_label(label)?;
    let others = house.accounts.iter().filter(|known| Some(&known.id) != account);
    let known = |known: &Account| known.identity.label == label || known.id.as_str() == label;
    let renaming = house.renaming.iter().any(|(id, taken)| taken == label && Some(id) != account);
    if others.into_iter().any(known) || renaming || house.attempts.iter().any(|attempt| attempt.takes(label)) {
        return Err(Problem::LabelTaken { label: label.to_owned() });
    }
    Ok(())
}

/// `wanted`, or `wanted-2` and so on where it is taken.
pub fn free_label(house: &House, wanted: &str) -> String {
    let taken = |label: &str| {
        house.accounts.iter().any(|account| account.identity.label == label)
            || house.renaming.iter().any(|(_, taken)| taken == label)
            || house.attempts.iter().any(|attempt| attempt.takes(label))
    };
    if !taken(wanted) {
        return wanted.to_owned();
    }
    // One of these is free: there are more of them than accounts.
    (2..house.accounts.len() + house.renaming.len() + house.attempts.len() + 3)
        .map(|number| format!("{wanted}-{number}"))
        .find(|label| !taken(label))
        .unwrap_or_else(|| wanted.to_owned())
}

/// The accounts' ids with `account` before another one, or at the end.
pub fn arranged(house: &House, account: &AccountId, before: Option<&AccountId>) -> Vec<AccountId> {
    let mut order: Vec<_> = house.accounts.iter().map(|known| known.id.clone()).filter(|id| id != account).collect();
    if order.len() == house.accounts.len() {
        return order;
    }
    let place = before.and_then(|before| order.iter().position(|id| id == before)).unwrap_or(order.len());
    order.insert(place, account.clone());
    order
}
