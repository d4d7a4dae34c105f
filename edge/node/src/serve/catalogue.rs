//! The models in a folder, as they are offered.

use super::log;
use crate::{
    digest,
    family::{Conditioning, Family},
};
use anyhow::{Context as _, Result, bail};
use api::node::ModelOffer;
use diffusion::{
    checkpoint::Contents,
    pipeline::{LoadOptions, ModelFiles},
    scheduler::SchedulerConfig,
    unet::UNetConfig,
    vae::{TinyVaeConfig, VaeConfig},
};
use spec::{ImageSize, ModelId};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What every model here can do; upscaling is resampling, and asks for no model at all, like cropping.
const TASKS: [&str; 5] = ["generate", "edit", "inpaint", "upscale", "crop"];
/// What the node can do beside it where it has a checker.
const CHECK: &str = "check";
/// Pixels along a side where a model does not say.
const USUAL_SIDE: u32 = 512;

/// One model of the folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the edge is told.
    pub offer: ModelOffer,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes that its weights will take on the device.
    pub bytes: u64,
}

/// Every model that can be loaded, sorted by name.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
}

impl Catalogue {
    /// Looks through `folder`: it is a model itself, or holds folders and single files that are. What cannot be used is logged
    /// and left out.
    ///
    /// # Errors
    /// A folder that cannot be read, or in which there is no model.
    pub fn of(folder: &Path, is_gpu: bool) -> Result<Self> {
        let mut entries: Vec<Entry> = Vec::new();
        for (name, path) in candidates(folder)? {
            match entry(&name, &path, is_gpu) {
                Ok(found) if entries.iter().any(|other| other.offer.id == found.offer.id) => {
                    log::warn("a second model of the same name is left out", &[("model", name.into())]);
                }
                Ok(found) => entries.push(found),
                Err(error) => {
                    log::warn(
                        "a model cannot be used",
                        &[("model", name.into()), ("why", format!("{error:#}").into())],
                    );
                }
            }
        }
        if entries.is_empty() {
            bail!(
                "{} holds no model: no folder in diffusers' layout, no GGUF, no safetensors file with a denoiser",
                folder.display()
            );
        }
        entries.sort_by(|a, b| a.offer.id.as_str().cmp(b.offer.id.as_str()));
        Ok(Self { entries })
    }

    /// The model of this name.
    pub fn get(&self, id: &ModelId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.offer.id == *id)
    }

    /// What is offered: everything that fits into `budget` bytes, and checks by a node that has a checker.
    pub fn offers(&self, budget: u64, has_checker: bool) -> Vec<ModelOffer> {
        let fitting = self.entries.iter().filter(|entry| entry.bytes <= budget);
        fitting
            .map(|Entry { offer, .. }| {
                let check = has_checker.then(|| CHECK.to_owned());
                ModelOffer { tasks: offer.tasks.iter().cloned().chain(check).collect(), ..offer.clone() }
            })
            .collect()
    }

    /// Every model, whether it fits or not.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

fn is_gguf(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// A model in one file; other safetensors files, such as LoRAs, may lie beside models, and are told by their tensors.
fn is_single(path: &Path) -> bool {
    let is_safetensors = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors"));
    let has_denoiser = || {
        let source = weights::open_path(path).ok()?;
        Contents::of(source.tensors()).denoiser()
    };
    is_gguf(path) || path.is_file() && is_safetensors && has_denoiser().is_some()
}

fn is_layout(folder: &Path) -> bool {
    folder.join("unet").join("config.json").is_file()
}

fn name_of(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Everything in a folder, in the order of the names, without what is hidden.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let entries: std::io::Result<Vec<_>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
        let mut paths = entries?;
        paths.retain(|path| !name_of(path).starts_with('.'));
        paths.sort();
        Ok(paths)
    };
    read().with_context(|| format!("could not read the models' folder {}", folder.display()))
}

/// Names and paths of what may be a model.
fn candidates(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let folder = folder.canonicalize().with_context(|| format!("there is no folder {}", folder.display()))?;
    if let Some(model) = itself(&folder)? {
        return Ok(vec![(name_of(&folder), model)]);
    }
    let mut found = Vec::new();
    for path in listed(&folder)? {
        if is_single(&path) || is_layout(&path) {
            found.push((name_of(&path), path));
        } else if path.is_dir() {
            let files: Vec<_> = listed(&path)?.into_iter().filter(|path| is_single(path)).collect();
            match <[PathBuf; 1]>::try_from(files) {
                Ok([only]) => found.push((name_of(&path), only)),
                Err(files) => found.extend(files.into_iter().map(|file| (name_of(&file), file))),
            }
        }
    }
    Ok(found)
}

/// The model that the folder itself is: one in diffusers' layout, or one file that is called like the folder.
fn itself(folder: &Path) -> Result<Option<PathBuf>> {
    if is_layout(folder) || is_single(folder) {
        return Ok(Some(folder.to_owned()));
    }
    let files: Vec<_> = listed(folder)?.into_iter().filter(|path| is_single(path)).collect();
    let name = name_of(folder);
    Ok(<[PathBuf; 1]>::try_from(files).ok().map(|[only]| only).filter(|only| name_of(only).starts_with(&name)))
}

fn entry(name: &str, path: &Path, is_gpu: bool) -> Result<Entry> {
    let id = ModelId::new(name)?;
    let files = crate::model::open(path)?;
    let unet: UNetConfig = serde_json::from_str(&files.unet_config).context("unet/config.json cannot be read")?;
    unet.validate()?;
    let (latent_channels, factor) = latents(&files)?;
    if unet.in_channels != latent_channels {
        bail!("its denoiser takes {} channels where its latents have {latent_channels}", unet.in_channels);
    }
    let multiple = (factor << (unet.block_out_channels.len() - 1)) as u32;
    let family = Family::of(Conditioning::of_config(&files.unet_config), Some(&files.card));
    let side = match (files.card.native_size, unet.sample_size) {
        (Some((width, height)), _) => width.max(height),
        (None, Some(cells)) => (cells * factor) as u32,
        (None, None) => USUAL_SIDE,
    };
    let card = &files.card;
    let offer = ModelOffer {
        title: if card.name.is_empty() { name.to_owned() } else { card.name.clone() },
        id,
        family: family.word().to_owned(),
        side,
        max_side: max_side(side, multiple),
        multiple,
        tasks: TASKS.map(str::to_owned).to_vec(),
        scheduler: SchedulerConfig::from_json(&files.scheduler_config)?.kind().to_string(),
        sha256: digest::of_path(path)?,
    };
    Ok(Entry { offer, path: path.to_owned(), bytes: LoadOptions::for_files(&files).device_bytes(&files, is_gpu) })
}

/// Channels of the latents, and pixels along one side of one.
fn latents(files: &ModelFiles) -> Result<(usize, usize)> {
    if let Some((config, _)) = &files.vae {
        let vae: VaeConfig = serde_json::from_str(config).context("vae/config.json cannot be read")?;
        vae.validate()?;
        return Ok((vae.latent_channels, vae.factor()));
    }
    let (config, _) = files.tiny_vae.as_ref().context("there is neither a vae nor a taesd")?;
    let tiny: TinyVaeConfig = serde_json::from_str(config).context("taesd/config.json cannot be read")?;
    tiny.validate()?;
    Ok((tiny.latent_channels, tiny.factor()))
}

/// Twice the side that a model was trained for, since beyond that it draws everything twice and attention's memory grows with the
/// fourth power; small models are made for trying, and get what people usually ask for.
fn max_side(side: u32, multiple: u32) -> u32 {
    let most = (side.max(USUAL_SIDE / 2) * 2).min(ImageSize::MAX);
    most / multiple * multiple
}

#[cfg(test)]
mod tests {
    use super::*;
    use diffusion::{checkpoint, pipeline::Component};
    use digest::of_path as sha256_of;
    use weights::{DEFAULT_RANGE_SIZE, FileReader, Manifest, sha256_hex};

    fn shipped(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../static/models").join(path)
    }

    #[test]
    fn the_shipped_model_is_found_in_its_folder_and_in_the_one_above() {
        for folder in ["", "demo", "demo/demo-q8_0.gguf"] {
            let catalogue = Catalogue::of(&shipped(folder), false).unwrap();
            let [entry] = catalogue.entries() else { panic!("{folder}: {:?}", catalogue.entries()) };
            let ModelOffer { id, side, max_side, multiple, scheduler, sha256, family, .. } = &entry.offer;
            assert!(id.as_str().starts_with("demo"), "{folder}: {id:?}");
            assert_eq!((*side, *max_side, *multiple, family.as_str()), (64, 512, 16, "demo"));
            assert_eq!(scheduler.parse::<spec::SchedulerKind>().map(|kind| kind.to_string()).as_ref(), Ok(scheduler));
            assert_eq!(sha256.len(), 64);
        }
        assert_eq!(Catalogue::of(&shipped("demo"), false).unwrap().entries()[0].offer.id.as_str(), "demo");
    }

    #[test]
    fn checks_are_offered_where_there_is_a_checker() {
        let catalogue = Catalogue::of(&shipped("demo"), false).unwrap();
        let tasks = |has_checker| catalogue.offers(u64::MAX, has_checker).remove(0).tasks;
        assert_eq!(tasks(false), TASKS);
        assert_eq!(tasks(true), [&TASKS[..], &[CHECK]].concat());
        assert!(catalogue.offers(0, true).is_empty());
    }

    #[test]
    fn a_manifest_of_another_file_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.gguf");
        fs::write(&file, b"abc").unwrap();
        let own = sha256_hex(b"abc");
        assert_eq!(sha256_of(&file).unwrap(), own);
        let mut manifest = Manifest::of(&FileReader::open(&file).unwrap(), "a.gguf", DEFAULT_RANGE_SIZE).unwrap();
        manifest.sha256 = "0".repeat(64);
        let write = |manifest: &Manifest| {
            fs::write(folder.path().join("a.gguf.manifest.json"), serde_json::to_string(manifest).unwrap()).unwrap();
        };
        write(&manifest);
        assert_eq!(sha256_of(&file).unwrap(), manifest.sha256);
        manifest.size = 4;
        write(&manifest);
        assert_eq!(sha256_of(&file).unwrap(), own);
    }

    #[test]
    fn single_safetensors_files_are_offered_where_they_are_whole_models() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, parts: &[Component]| {
            let tensors = parts.iter().flat_map(|part| golden::read_all(&*part.source).unwrap()).collect();
            fs::write(folder.path().join(name), golden::to_safetensors(&tensors).unwrap()).unwrap();
        };
        let files = golden::Data::folder().model("tiny-sd15").unwrap();
        write("whole.safetensors", &checkpoint::under_original_names(&files).unwrap().1);
        write("denoiser.safetensors", &[checkpoint::denoiser_under_original_names(&files, "").unwrap().1]);
        write("vae.safetensors", &[files.vae.unwrap().1]);
        let catalogue = Catalogue::of(folder.path(), false).unwrap();
        let [entry] = catalogue.entries() else { panic!("{:?}", catalogue.entries()) };
        assert_eq!((entry.offer.id.as_str(), entry.offer.multiple), ("whole", 32));
        assert_eq!(entry.offer.sha256.len(), 64);
    }

    #[test]
    fn a_folder_without_models_says_so() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("broken.gguf"), b"GGUF").unwrap();
        let error = Catalogue::of(folder.path(), false).unwrap_err().to_string();
        assert!(error.contains("holds no model"), "{error}");
        assert!(Catalogue::of(&folder.path().join("none"), false).is_err());
    }

    #[test]
    fn sides_are_bounded_and_multiples() {
        assert_eq!(max_side(64, 16), 512);
        assert_eq!(max_side(512, 64), 1024);
        assert_eq!(max_side(768, 64), 1536);
        assert_eq!(max_side(2000, 64), 2048);
    }
}
