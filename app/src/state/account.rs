//! The visitor's account on the server.

use client::{Key, Usage};
use reactive_stores::Store;

/// The account, and the dialog about it.
#[derive(Debug, Default, Store)]
pub struct Account {
    /// The key that this browser keeps; it is the account.
    pub key: Option<String>,
    /// The key stays when the page is left.
    pub is_stored: bool,
    /// The dialog is open.
    pub is_open: bool,
    /// Something was asked of the server and is not answered yet.
    pub is_busy: bool,
    /// A key that was just made, shown this once.
    pub fresh: Option<FreshKey>,
    /// What the account used and has left.
    pub usage: Option<Usage>,
    /// Its keys.
    pub keys: Vec<Key>,
    /// What was done, in words.
    pub said: Option<String>,
    /// What could not be done, in words.
    pub error: Option<String>,
}

/// A key that was just made.
#[derive(Clone, PartialEq, Eq)]
pub struct FreshKey {
    /// The key in full.
    pub key: String,
    /// It is the one that this browser uses.
    pub is_own: bool,
}

impl std::fmt::Debug for FreshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FreshKey").field("is_own", &self.is_own).finish_non_exhaustive()
    }
}
