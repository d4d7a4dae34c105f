//! Where pulled models are kept.

use anyhow::{Context as _, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// In a model's folder while it is on its way.
const MARK: &str = ".incomplete";

/// The folder of all pulled models; `ORG/NAME` is a folder in it.
pub struct Cache {
    root: PathBuf,
}

/// A model in it.
pub struct Cached {
    /// `ORG/NAME`.
    pub name: String,
    /// What opens it.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// Whether it came to its end.
    pub is_complete: bool,
}

impl Cache {
    /// The user's own: `$XDG_CACHE_HOME/darkroom/models`, or below `~/.cache`.
    pub fn of_user() -> Result<Self> {
        let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        let cache = cache.context("neither XDG_CACHE_HOME nor HOME says where models are kept")?;
        Ok(Self { root: cache.join("darkroom").join("models") })
    }

    /// The folder of all of them, there or not.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a model, there or not.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let is_segment = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !text.is_empty() && !text.starts_with('.') && text.bytes().all(plain)
        };
        match name.split_once('/') {
            Some((owner, repository)) if is_segment(owner) && is_segment(repository) => {
                Ok(self.root.join(owner).join(repository))
            }
            _ => bail!("`{name}` is no name of a repository; it looks like someone/something"),
        }
    }

    /// What opens the model of this name, where it was pulled.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let folder = self.folder(name).ok()?;
        let cached = cached(name.to_owned(), &folder).ok()?;
        cached.is_complete.then_some(cached.path)
    }

    /// Every model, by name.
    pub fn list(&self) -> Result<Vec<Cached>> {
        let mut models = Vec::new();
        for owner in folders(&self.root)? {
            for folder in folders(&owner)? {
                let part = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                models.push(cached(format!("{}/{}", part(&owner), part(&folder)), &folder)?);
            }
        }
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(models)
    }

    /// Takes a model away; returns how many bytes it had.
    pub fn remove(&self, name: &str) -> Result<u64> {
        let folder = self.folder(name)?;
        if !folder.is_dir() {
            bail!("there is no model {name}; `darkroom models` lists what there is");
        }
        let bytes = cached(name.to_owned(), &folder)?.bytes;
        fs::remove_dir_all(&folder).with_context(|| format!("could not remove {}", folder.display()))?;
        if let Some(owner) = folder.parent() {
            // It stays where it has other models.
            fs::remove_dir(owner).ok();
        }
        Ok(bytes)
    }

    /// Marks a model as on its way.
    pub fn begin(folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(folder.join(MARK), ""))
            .with_context(|| format!("could not write to {}", folder.display()))
    }

    /// Marks it as complete.
    pub fn finish(folder: &Path) -> Result<()> {
        let mark = folder.join(MARK);
        fs::remove_file(&mark).with_context(|| format!("could not remove {}", mark.display()))
    }
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let entries: std::io::Result<Vec<_>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
        Ok(entries?.into_iter().filter(|path| path.is_dir()).collect())
    };
    read().with_context(|| format!("could not read {}", folder.display()))
}

fn cached(name: String, folder: &Path) -> Result<Cached> {
    let mut files = Vec::new();
    collect(folder, &mut files).with_context(|| format!("could not read {}", folder.display()))?;
    let bytes = files.iter().map(|(_, bytes)| bytes).sum();
    let is_weights = |path: &Path| path.extension().is_some_and(|kind| kind == "gguf" || kind == "safetensors");
    let path = if folder.join("unet").is_dir() {
        folder.to_owned()
    } else {
        let weights = files.iter().map(|(path, _)| path).find(|path| is_weights(path));
        weights.cloned().unwrap_or_else(|| folder.to_owned())
    };
    Ok(Cached { name, path, bytes, is_complete: !folder.join(MARK).exists() })
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (path, kind) = {
            let entry = entry?;
            (entry.path(), entry.file_type()?)
        };
        if kind.is_dir() {
            collect(&path, files)?;
        } else {
            files.push((path.clone(), fs::metadata(&path)?.len()));
        }
    }
    Ok(())
}
