//! The picture that is drawn again: what it says of itself, and where its files are.

use super::finder::{Finder, Wanted};
use crate::{digest, inspect, pull::Cache};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use diffusion::metadata::{Metadata, Origin, quoted};
use spec::{ClipSkip, Guidance, GuidanceRescale, ImageSize, NoiseKind, SchedulerKind, Steps, Strength};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

pub const PLAIN: (&str, &str) = ("Prompt syntax", "plain");
pub const SKIPS_NEGATIVE: (&str, &str) = ("Clip skip negative", "True");
/// Pairs of a model's name in a file that does not say it, and of its hash, of which web UIs write so many digits.
const MODEL_FILE: &str = "Model file";
const MODEL_HASH: &str = "Model hash";
const MODEL_DIGITS: usize = 10;
/// What a picture says that changes nothing here, or is followed by hand.
const HARMLESS: [&str; 11] = [
    MODEL_HASH,
    "Lora hashes",
    "TI hashes",
    "Hashes",
    "Version",
    "VAE hash",
    "generation_mode",
    "app_version",
    "Image",
    PLAIN.0,
    SKIPS_NEGATIVE.0,
];

/// The picture that is drawn again.
#[derive(Debug, Args)]
pub struct RecipeArgs {
    /// Draw a picture again by what it says of itself: a PNG, JPEG or WebP of Darkroom, a web UI, `InvokeAI` or `ComfyUI`; other
    /// flags go before what it says
    #[arg(long, value_name = "PICTURE")]
    from: Option<PathBuf>,
    /// Folder with the model and the other files that the picture of --from was made with, by name and hash; may be given
    /// again; the picture's own folder and the pulled models are looked through as well
    #[arg(long, value_name = "DIR", requires = "from")]
    models: Vec<PathBuf>,
}

impl RecipeArgs {
    /// What the picture says.
    ///
    /// # Errors
    /// A picture that cannot be read or says nothing.
    pub fn recipe(&self) -> Result<Recipe> {
        let Some(path) = &self.from else { return Ok(Recipe::default()) };
        let metadata = inspect::metadata(path)?;
        let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let pulled = Cache::of_user().map(|cache| cache.root().to_owned()).ok();
        let folders = self.models.iter().cloned().chain([beside.to_owned()]).chain(pulled).collect();
        Ok(Recipe { metadata: Some(metadata), finder: Finder::new(folders), followed: RefCell::default() })
    }
}

/// What a picture says of how it was drawn; nothing where none is drawn again.
#[derive(Default)]
pub struct Recipe {
    metadata: Option<Metadata>,
    finder: Finder,
    /// Keys that somebody asked for.
    followed: RefCell<BTreeSet<String>>,
}

impl Recipe {
    fn get<T>(&self, part: impl FnOnce(&Metadata) -> Option<T>) -> Option<T> {
        self.metadata.as_ref().and_then(part)
    }

    /// What stands behind a key that has no place of its own.
    pub fn look(&self, key: &str) -> Option<&str> {
        let others = self.metadata.iter().flat_map(|metadata| &metadata.others);
        others.into_iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    /// The same, which counts as followed from now on.
    pub fn take(&self, key: &str) -> Option<String> {
        let found = self.look(key)?.to_owned();
        self.followed.borrow_mut().insert(key.to_owned());
        Some(found)
    }

    /// Fills what no flag said by what stands behind a key.
    ///
    /// # Errors
    /// A value that cannot be read.
    pub fn restore<T>(&self, place: &mut Option<T>, key: &str, read: impl FnOnce(&str) -> Result<T>) -> Result<()> {
        let Some(said) = self.take(key) else { return Ok(()) };
        if place.is_none() {
            let failed = || format!("the picture says `{key}: {said}`, which cannot be read");
            *place = Some(read(&said).with_context(failed)?);
        }
        Ok(())
    }

    /// Turns a switch on where the picture says that it was.
    pub fn switch(&self, place: &mut bool, (key, value): (&str, &str)) {
        *place |= self.look(key) == Some(value) && self.take(key).is_some();
    }

    /// Fills a file that no flag gave by the one that stands behind a key, whose hash has its own.
    ///
    /// # Errors
    /// A file that is not to be found.
    pub fn file(&self, place: &mut Option<PathBuf>, key: &str, hash_key: &str, flag: &str) -> Result<()> {
        let (name, hash) = (self.take(key), self.take(hash_key));
        if let (None, Some(name)) = (&place, name) {
            let wanted = Wanted { what: key, name: &name, hash: hash.as_deref(), flag };
            *place = Some(self.find(&wanted, digest::of_path)?);
        }
        Ok(())
    }

    /// The file that is wanted.
    ///
    /// # Errors
    /// Where it is not to be found.
    pub fn find(&self, wanted: &Wanted<'_>, hash_of: impl Fn(&Path) -> Result<String>) -> Result<PathBuf> {
        self.finder.find(wanted, hash_of)
    }

    /// Whether there is a picture.
    pub const fn is_some(&self) -> bool {
        self.metadata.is_some()
    }

    /// Whether this program drew it.
    pub fn is_ours(&self) -> bool {
        self.look("Version").is_some_and(|version| version.starts_with("darkroom"))
    }

    /// The model that it was drawn by.
    ///
    /// # Errors
    /// Where it is not to be found, or the picture does not say which it was.
    pub fn model(&self) -> Result<PathBuf> {
        let (file, hash) = (self.take(MODEL_FILE), self.take(MODEL_HASH));
        let named = self.get(|metadata| metadata.model.clone());
        let name = file.or(named).context("the picture does not say which model drew it; give one with --model")?;
        // Older hashes of web UIs are shorter, and of a part of the file.
        let hash = hash.filter(|hash| hash.len() >= MODEL_DIGITS);
        let wanted = Wanted { what: "model", name: &name, hash: hash.as_deref(), flag: "--model" };
        self.find(&wanted, digest::of_path)
    }

    fn says(&self, (key, value): (&str, &str)) -> bool {
        self.look(key) == Some(value)
    }

    /// Whether its prompts are words alone: `InvokeAI` has a language of its own.
    pub fn is_plain(&self) -> bool {
        let is_invoke = |metadata: &Metadata| metadata.origin == Origin::InvokeAi && metadata.networks.is_empty();
        self.says(PLAIN) || self.metadata.as_ref().is_some_and(is_invoke)
    }

    /// Whether it skipped layers for the negative prompt: everyone does but diffusers and this program.
    pub fn skips_negative(&self) -> bool {
        self.says(SKIPS_NEGATIVE) || (self.is_some() && !self.is_ours())
    }

    /// What to draw.
    pub fn prompt(&self) -> Option<String> {
        self.get(|metadata| Some(metadata.prompt_with_networks()))
    }

    /// What to keep away from.
    pub fn negative_prompt(&self) -> Option<String> {
        self.get(|metadata| Some(metadata.negative_prompt.clone()))
    }

    /// Denoising steps.
    pub fn steps(&self) -> Result<Option<Steps>> {
        Ok(self.get(|metadata| metadata.steps).map(Steps::new).transpose()?)
    }

    /// Guidance scale.
    pub fn guidance(&self) -> Result<Option<Guidance>> {
        Ok(self.get(|metadata| metadata.guidance).map(Guidance::try_from).transpose()?)
    }

    /// Share of guidance rescaling.
    pub fn guidance_rescale(&self) -> Result<Option<GuidanceRescale>> {
        Ok(self.get(|metadata| metadata.guidance_rescale).map(GuidanceRescale::try_from).transpose()?)
    }

    /// How the noise is taken away.
    pub fn scheduler(&self) -> Result<Option<SchedulerKind>> {
        let Some(sampler) = self.get(|metadata| metadata.sampler.clone()) else { return Ok(None) };
        let found = self.get(Metadata::scheduler);
        let missing = || format!("the picture's sampler `{sampler}` is not known here; choose one with --scheduler");
        found.with_context(missing).map(Some)
    }

    /// The seed.
    pub fn seed(&self) -> Option<u64> {
        self.get(|metadata| metadata.seed)
    }

    /// Generator of the noise.
    pub fn noise(&self) -> Option<NoiseKind> {
        self.get(|metadata| metadata.noise)
    }

    /// Layer of the text encoder.
    pub fn clip_skip(&self) -> Result<Option<ClipSkip>> {
        Ok(self.get(|metadata| metadata.clip_skip).map(|skip| ClipSkip::new(skip.max(1))).transpose()?)
    }

    /// Pixels across and down.
    pub fn size(&self) -> Result<Option<ImageSize>> {
        Ok(self.get(|metadata| metadata.size).map(ImageSize::try_from).transpose()?)
    }

    /// How much of the initial picture is repainted, or of the first pass where there is a second.
    pub fn strength(&self) -> Result<Option<Strength>> {
        Ok(self.get(|metadata| metadata.strength).map(Strength::try_from).transpose()?)
    }

    /// Refuses to draw from nothing what was drawn from another picture; `explains` says that there is one, or a second pass.
    pub fn check(&self, explains: bool) -> Result<()> {
        if self.get(|metadata| metadata.strength).is_some() && !explains {
            bail!("the picture was drawn from another one, which it does not contain; give that with --init-image")
        }
        Ok(())
    }

    /// What of it is not followed.
    pub fn left_out(&self) -> Option<String> {
        let (metadata, followed) = (self.metadata.as_ref()?, self.followed.borrow());
        let keys = metadata.others.iter().map(|(key, _)| key.as_str());
        let keys: Vec<_> = keys.filter(|key| !HARMLESS.contains(key) && !followed.contains(*key)).collect();
        (!keys.is_empty()).then(|| format!("not followed of the picture: {}", keys.join(", ")))
    }
}

/// What a picture says of a file that it was made with: its name, and a hash by which it is known again.
///
/// # Errors
/// A file that cannot be read.
pub fn file_pairs(key: &str, path: &Path) -> Result<Vec<String>> {
    let hash = digest::of_path(path)?;
    Ok(vec![format!("{key}: {}", quoted(&file_name(path))), format!("{key} SHA-256: {hash}")])
}

/// What a picture says of its model beside the name that that has.
///
/// # Errors
/// A model that cannot be read.
pub fn model_pairs(path: &Path, name: &str) -> Result<Vec<String>> {
    let hash = digest::of_path(path)?;
    let file = file_name(path);
    let is_told = Path::new(&file).file_stem().is_some_and(|stem| stem == name) || file == name;
    let pairs = [(!is_told).then(|| format!("{MODEL_FILE}: {}", quoted(&file)))];
    Ok(pairs.into_iter().flatten().chain([format!("{MODEL_HASH}: {}", &hash[..MODEL_DIGITS])]).collect())
}

/// A file's or a folder's own name.
pub fn file_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file's name without its ending, a folder's with all of it.
pub fn stem(path: &Path) -> String {
    let name = file_name(path);
    let end = if path.is_dir() { None } else { name.rfind('.').filter(|at| *at > 0) };
    name[..end.unwrap_or(name.len())].to_owned()
}
