//! Where the files lie that a picture was made with.

use anyhow::{Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders below a folder that are looked into.
const DEPTH: usize = 4;
/// Most entries of a folder, with those below it, that are looked at.
const MAX_ENTRIES: usize = 20_000;

/// Folders that are looked through.
#[derive(Debug, Default)]
pub struct Finder {
    folders: Vec<PathBuf>,
}

/// A file or a folder that a picture names.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What it is to the picture: `Init image`, `LoRA`.
    pub what: &'a str,
    /// Its name, with its ending or without.
    pub name: &'a str,
    /// What its hash begins with.
    pub hash: Option<&'a str>,
    /// What gives it on the command line.
    pub flag: &'a str,
}

impl Finder {
    /// Through these, in their order.
    pub const fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// The first of this name and this hash.
    ///
    /// # Errors
    /// A sentence that says what is wanted and how to give it, where there is none.
    pub fn find(&self, wanted: &Wanted<'_>, hash_of: impl Fn(&Path) -> Result<String>) -> Result<PathBuf> {
        let Wanted { what, name, hash, flag } = *wanted;
        let mut other = None;
        for folder in &self.folders {
            for path in named(folder, name) {
                let is_it = match hash {
                    Some(hash) => hash_of(&path)?.starts_with(&hash.to_ascii_lowercase()),
                    None => true,
                };
                if is_it {
                    return Ok(path);
                }
                other.get_or_insert(path);
            }
        }
        let what = what.to_lowercase();
        let hash = hash.map_or_else(String::new, |hash| format!(" (SHA-256 {hash}…)"));
        if let Some(other) = other {
            bail!(
                "the picture was made with the {what} `{name}`{hash}, and {} is another file of that name; give the right \
                 one with {flag}, or its folder with --models",
                other.display()
            );
        }
        bail!(
            "the picture was made with the {what} `{name}`{hash}, which lies neither beside the picture nor in a folder of \
             --models; give it with {flag}, or its folder with --models"
        )
    }
}

/// Everything of a name in a folder and below it, the nearest first.
fn named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let (mut found, mut seen, mut level) = (Vec::new(), 0, vec![folder.to_owned()]);
    for _ in 0..=DEPTH {
        let mut below = Vec::new();
        for folder in level {
            // What may not be read is not looked into.
            let Ok(entries) = fs::read_dir(folder) else { continue };
            let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            paths.sort();
            for path in paths {
                seen += 1;
                if seen > MAX_ENTRIES {
                    return found;
                }
                let is_named = |part: Option<&std::ffi::OsStr>| part.is_some_and(|part| part == name);
                if is_named(path.file_name()) || (path.is_file() && is_named(path.file_stem())) {
                    found.push(path.clone());
                }
                let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
                if !is_hidden && path.is_dir() {
                    below.push(path);
                }
            }
        }
        level = below;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_told_by_name_and_hash() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        write("a/fur.safetensors", "aa");
        let right = write("b/c/fur.safetensors", "bb");
        let finder = Finder::new(vec![folder.path().join("none"), folder.path().to_owned()]);
        let find = |name, hash| {
            let wanted = Wanted { what: "LoRA", name, hash, flag: "--lora" };
            finder.find(&wanted, |path| Ok(fs::read_to_string(path)?)).map_err(|error| error.to_string())
        };
        assert_eq!(find("fur", Some("bb")), Ok(right.clone()));
        assert_eq!(find("fur.safetensors", Some("BB")), Ok(right));
        assert_eq!(find("c", None), Ok(folder.path().join("b/c")));
        let error = find("fur", Some("cc")).unwrap_err();
        assert!(error.contains("is another file of that name") && error.contains("--lora"), "{error}");
        assert!(find("hide", None).unwrap_err().contains("the lora `hide`, which lies neither"));
    }
}
