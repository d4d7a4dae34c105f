//! A model's bytes: in the origin's private file system, or in memory where there is none.
//!
//! Two files hold a model, named after its hash: the bytes, and one byte for each range that says whether it was verified and
//! written. The second is written after the first is flushed, so a reload at any point finds only verified ranges. Beside
//! them stands what is remembered of a model (see [`super::record`]).

use super::{
    Result,
    error::{EngineError, reason},
    wire,
};
use js_sys::{Promise, Reflect};
use std::{cell::RefCell, io};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    File, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemReadWriteOptions, FileSystemSyncAccessHandle,
};
use weights::{Manifest, ReadAt};

const FOLDER: &str = "models";

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failed(value: JsValue) -> EngineError {
    EngineError::Storage(reason(&value))
}

fn is_quota(error: &EngineError) -> bool {
    matches!(error, EngineError::Storage(text) if text.contains("QuotaExceeded") || text.contains("quota"))
}

/// What a browser says of a file that someone else has open.
fn in_use(error: EngineError) -> EngineError {
    match error {
        EngineError::Storage(text) if text.starts_with("NoModificationAllowed") => EngineError::InUse,
        other => other,
    }
}

async fn wait<T: wasm_bindgen::JsCast>(promise: Promise) -> Result<T> {
    wait_any(promise).await?.dyn_into().map_err(failed)
}

async fn wait_any(promise: Promise) -> Result<JsValue> {
    JsFuture::from(promise).await.map_err(failed)
}

async fn folder() -> Result<FileSystemDirectoryHandle> {
    let storage = wire::scope().navigator().storage();
    let root: FileSystemDirectoryHandle = wait(storage.get_directory()).await?;
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(true);
    wait(root.get_directory_handle_with_options(FOLDER, &options)).await
}

/// Opens a file for this worker alone, or, with `shared`, for reading beside other tabs.
async fn open(folder: &FileSystemDirectoryHandle, name: &str, shared: bool) -> Result<FileSystemSyncAccessHandle> {
    let options = FileSystemGetFileOptions::new();
    options.set_create(true);
    let file: FileSystemFileHandle = wait(folder.get_file_handle_with_options(name, &options)).await?;
    if !shared {
        return wait(file.create_sync_access_handle()).await;
    }
    // The option is newer than the typed bindings; a browser without it ignores the argument.
    let options = js_sys::Object::new();
    drop(Reflect::set(&options, &"mode".into(), &"read-only".into()));
    let create = Reflect::get(&file, &"createSyncAccessHandle".into()).map_err(failed)?;
    let create: js_sys::Function = create.dyn_into().map_err(failed)?;
    let promise = create.call1(&file, &options).map_err(failed)?;
    wait(promise.dyn_into().map_err(failed)?).await
}

/// An open file that is closed when the last reader is gone.
struct Handle(FileSystemSyncAccessHandle);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn at(offset: u64) -> FileSystemReadWriteOptions {
    let options = FileSystemReadWriteOptions::new();
    options.set_at(offset as f64);
    options
}

impl Handle {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        let read = self.0.read_with_u8_array_and_options(bytes, &at(offset)).map_err(failed)?;
        Ok(read as usize)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let written = self.0.write_with_u8_array_and_options(bytes, &at(offset)).map_err(failed)?;
        if written as usize == bytes.len() {
            self.0.flush().map_err(failed)
        } else {
            Err(EngineError::Storage("QuotaExceeded: a write was cut short".to_owned()))
        }
    }
}

enum Place {
    Files { data: Handle, done: Handle },
    Memory { data: Vec<u8>, done: Vec<bool> },
}

impl Place {
    fn in_memory(manifest: &Manifest) -> Self {
        Self::Memory { data: vec![0; manifest.size as usize], done: vec![false; manifest.ranges.len()] }
    }
}

/// Where a model's ranges are kept.
///
/// Whoever fetches and whoever reads have it at once, in one thread.
pub struct Storage {
    place: RefCell<Place>,
    size: u64,
}

impl Storage {
    /// Opens, or makes, the files of a model; memory stands in where the browser has no private file system.
    pub async fn open(manifest: &Manifest) -> Self {
        match Self::files(manifest).await {
            Ok(place) => Self { place: RefCell::new(place), size: manifest.size },
            Err(_) => Self::in_memory(manifest),
        }
    }

    /// The same, where memory is no use.
    ///
    /// # Errors
    /// [`EngineError::InUse`] when another tab, or the loading of a picture's model, has the files open, and
    /// [`EngineError::Storage`] where the browser has no private file system.
    pub async fn open_files(manifest: &Manifest) -> Result<Self> {
        match Self::files(manifest).await {
            Ok(place) => Ok(Self { place: RefCell::new(place), size: manifest.size }),
            Err(error) => Err(in_use(error)),
        }
    }

    /// Keeps the model for this visit only.
    pub fn in_memory(manifest: &Manifest) -> Self {
        Self { place: RefCell::new(Place::in_memory(manifest)), size: manifest.size }
    }

    /// Takes what is stored into memory, where everything else goes too from now on.
    pub fn move_to_memory(&self, manifest: &Manifest) {
        let memory = Self::in_memory(manifest);
        for range in 0..manifest.ranges.len() {
            let (offset, length) = manifest.range(range).unwrap_or((0, 0));
            if self.has(range)
                && let Ok(bytes) = self.get(offset, length)
            {
                drop(memory.put(range, offset, &bytes));
            }
        }
        self.place.replace(memory.place.into_inner());
    }

    async fn files(manifest: &Manifest) -> Result<Place> {
        let folder = folder().await?;
        let done_name = flags_name(&manifest.sha256);
        let probe = Handle(open(&folder, &done_name, true).await?);
        let mut flags = vec![0; manifest.ranges.len()];
        let complete = probe.read(0, &mut flags)? == flags.len() && flags.iter().all(|&flag| flag == 1);
        drop(probe);
        let data = Handle(open(&folder, &manifest.sha256, complete).await?);
        let done = Handle(open(&folder, &done_name, complete).await?);
        Ok(Place::Files { data, done })
    }

    /// Whether a reload will find what is stored.
    pub fn is_kept(&self) -> bool {
        matches!(*self.place.borrow(), Place::Files { .. })
    }

    /// Whether a range is here and verified.
    pub fn has(&self, range: usize) -> bool {
        match &*self.place.borrow() {
            Place::Files { done, .. } => {
                let mut flag = [0];
                matches!(done.read(range as u64, &mut flag), Ok(1)) && flag[0] == 1
            }
            Place::Memory { done, .. } => done[range],
        }
    }

    /// Stores a verified range.
    ///
    /// # Errors
    /// [`EngineError::Quota`] when there is no room, [`EngineError::Storage`] for anything else.
    pub fn put(&self, range: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        match &mut *self.place.borrow_mut() {
            Place::Files { data, done } => data
                .write(offset, bytes)
                .and_then(|()| done.write(range as u64, &[1]))
                .map_err(|error| if is_quota(&error) { EngineError::Quota(bytes.len() as f64 / 1e6) } else { error }),
            Place::Memory { data, done } => {
                data[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
                done[range] = true;
                Ok(())
            }
        }
    }

    /// Forgets a range that turned out to be damaged.
    pub fn reject(&self, range: usize) {
        match &mut *self.place.borrow_mut() {
            Place::Files { done, .. } => drop(done.write(range as u64, &[0])),
            Place::Memory { done, .. } => done[range] = false,
        }
    }

    /// Reads a stored range.
    pub fn get(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.read_exact_at(offset, &mut bytes)?;
        Ok(bytes)
    }
}

impl ReadAt for Storage {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match &*self.place.borrow() {
            Place::Files { data, .. } => match data.read(offset, buf) {
                Ok(read) if read == buf.len() => Ok(()),
                Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(io::Error::other(error.to_string())),
            },
            Place::Memory { data, .. } => data.read_exact_at(offset, buf),
        }
    }
}

/// The name of the file that says which ranges of a model are verified.
pub fn flags_name(hash: &str) -> String {
    format!("{hash}.ranges")
}

/// Which ranges of a model are verified, whoever has its files open.
pub async fn flags(manifest: &Manifest) -> Vec<bool> {
    let stored = read_small(&flags_name(&manifest.sha256)).await.unwrap_or_default();
    (0..manifest.ranges.len()).map(|range| stored.get(range) == Some(&1)).collect()
}

/// Marks ranges as missing.
///
/// # Errors
/// [`EngineError::InUse`] when another tab, or the loading of a picture's model, has the file open.
pub async fn reject(manifest: &Manifest, ranges: &[usize]) -> Result<()> {
    let handle = Handle(open(&folder().await?, &flags_name(&manifest.sha256), false).await.map_err(in_use)?);
    ranges.iter().try_for_each(|&range| handle.write(range as u64, &[0]))
}

/// Reads a stretch of a model's stored file, whoever has it open.
///
/// # Errors
/// [`EngineError::Storage`] when the browser refuses.
pub async fn read_stretch(hash: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
    let file = file(hash).await?;
    let slice = file.slice_with_f64_and_f64(offset as f64, (offset + length) as f64).map_err(failed)?;
    let buffer: js_sys::ArrayBuffer = wait(slice.array_buffer()).await?;
    Ok(js_sys::Uint8Array::new(&buffer).to_vec())
}

/// A file as it is now, without opening it for this worker alone.
async fn file(name: &str) -> Result<File> {
    let handle: FileSystemFileHandle = wait(folder().await?.get_file_handle(name)).await?;
    wait(handle.get_file()).await
}

/// All of a small file; nothing when there is none.
pub async fn read_small(name: &str) -> Option<Vec<u8>> {
    let buffer: js_sys::ArrayBuffer = wait(file(name).await.ok()?.array_buffer()).await.ok()?;
    Some(js_sys::Uint8Array::new(&buffer).to_vec())
}

/// Writes all of a small file.
///
/// # Errors
/// [`EngineError::Storage`] when the browser refuses.
pub async fn write_small(name: &str, bytes: &[u8]) -> Result<()> {
    let handle = Handle(open(&folder().await?, name, false).await.map_err(in_use)?);
    handle.0.truncate_with_f64(bytes.len() as f64).map_err(failed)?;
    handle.write(0, bytes)
}

/// Deletes a file, if it is there.
///
/// # Errors
/// [`EngineError::InUse`] when someone has it open.
pub async fn remove(name: &str) -> Result<()> {
    match wait_any(folder().await?.remove_entry(name)).await {
        Err(EngineError::Storage(text)) if text.starts_with("NotFoundError") => Ok(()),
        other => other.map(drop).map_err(in_use),
    }
}

/// The names of all files.
///
/// # Errors
/// [`EngineError::Storage`] where the browser has no private file system.
pub async fn names() -> Result<Vec<String>> {
    let keys = folder().await?.keys();
    let mut names = Vec::new();
    loop {
        let next = wait_any(keys.next().map_err(failed)?).await?;
        let field = |name: &str| Reflect::get(&next, &name.into()).unwrap_or(JsValue::UNDEFINED);
        if field("done").is_truthy() {
            return Ok(names);
        }
        names.extend(field("value").as_string());
    }
}
