//! The gallery's storage: one IndexedDB record `{id, json, file}` per picture.

use crate::{error::PageError, state::PictureRecord};
use idb::{Database, KeyPath, ObjectStore, Transaction, TransactionMode};
use js_sys::{Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Blob, DomException};

const DATABASE: &str = "darkroom";
const STORE: &str = "gallery";

/// A stored picture.
#[derive(Debug)]
pub struct Stored {
    /// Its key.
    pub id: u64,
    /// The PNG file.
    pub file: Blob,
    /// How it was made.
    pub record: PictureRecord,
}

/// Every stored picture, newest first; records that cannot be read any more are left out.
///
/// # Errors
/// When the browser has no storage for this page.
pub async fn load_all() -> Result<Vec<Stored>, PageError> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadOnly).map_err(|error| storage(&error))?;
    let request =
        transaction.object_store(STORE).and_then(|store| store.get_all(None, None)).map_err(|error| storage(&error))?;
    let values = request.await.map_err(|error| storage(&error))?;
    database.close();
    let mut pictures: Vec<Stored> = values.iter().filter_map(read).collect();
    pictures.sort_unstable_by_key(|picture| std::cmp::Reverse(picture.id));
    Ok(pictures)
}

/// Stores a picture.
///
/// # Errors
/// [`PageError::Full`] when there is no room left.
pub async fn put(id: u64, file: &Blob, record: &PictureRecord) -> Result<(), PageError> {
    let json = serde_json::to_string(record).map_err(|error| PageError::Storage(error.to_string()))?;
    let value = Object::new();
    for (field, content) in [("id", key(id)), ("json", json.into()), ("file", file.into())] {
        Reflect::set(&value, &field.into(), &content).map_err(PageError::browser("storing the picture"))?;
    }
    change(async |store| {
        store.put(&value, None)?.await?;
        Ok(())
    })
    .await
}

/// Deletes a picture.
///
/// # Errors
/// When the browser refuses.
pub async fn delete(id: u64) -> Result<(), PageError> {
    change(async |store| store.delete(key(id))?.await).await
}

/// Deletes every picture.
///
/// # Errors
/// When the browser refuses.
pub async fn clear() -> Result<(), PageError> {
    change(async |store| store.clear()?.await).await
}

async fn open() -> Result<Database, PageError> {
    Database::builder(DATABASE)
        .version(1)
        .add_object_store(ObjectStore::builder(STORE).key_path(Some(KeyPath::new_single("id"))))
        .build()
        .await
        .map_err(|error| storage(&error))
}

async fn change(action: impl AsyncFnOnce(ObjectStore) -> Result<(), idb::Error>) -> Result<(), PageError> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadWrite).map_err(|error| storage(&error))?;
    let result = match transaction.object_store(STORE) {
        Ok(store) => action(store).await.map_err(|error| storage(&error)),
        Err(error) => Err(storage(&error)),
    };
    // A full disk may show only when the transaction commits, as an abort.
    let result = match result {
        Ok(()) => commit(transaction).await,
        Err(error) => Err(error),
    };
    database.close();
    result
}

async fn commit(transaction: Transaction) -> Result<(), PageError> {
    match transaction.await {
        Ok(result) if result.is_committed() => Ok(()),
        Ok(_) => Err(PageError::Full),
        Err(error) => Err(storage(&error)),
    }
}

fn storage(error: &idb::Error) -> PageError {
    let exception = match error {
        idb::Error::DomException(exception) => Some(exception),
        idb::Error::UpdateFailed(value) => value.dyn_ref::<DomException>(),
        _ => None,
    };
    if exception.is_some_and(|exception| exception.name() == "QuotaExceededError") {
        PageError::Full
    } else {
        PageError::Storage(error.to_string())
    }
}

fn read(value: &JsValue) -> Option<Stored> {
    let field = |name: &str| Reflect::get(value, &name.into()).ok();
    Some(Stored {
        id: field("id")?.as_f64()? as u64,
        file: field("file")?.dyn_into().ok()?,
        record: serde_json::from_str(&field("json")?.as_string()?).ok()?,
    })
}

fn key(id: u64) -> JsValue {
    // Keys are milliseconds times a thousand, exact in a double for the next two centuries.
    JsValue::from_f64(id as f64)
}
