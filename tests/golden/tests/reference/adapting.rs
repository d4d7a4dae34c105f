//! Adapters that are changed on a loaded model: only what they touch is read, and the model is as one that was loaded with them.

use super::{device, loading::drawn};
use anyhow::Result;
use diffusion::{
    adapters::{Adapters, Embedding, Lora, WeightedLora},
    pipeline::{Component, LoadOptions, ModelFiles, StableDiffusion},
};
use golden::Data;
use std::{cell::RefCell, collections::BTreeSet, rc::Rc};
use weights::{RawTensor, TensorInfo, TensorSource, WeightsError};

type Reads = Rc<RefCell<BTreeSet<String>>>;

/// A source that notes what is read of it.
struct Noted {
    inner: Rc<dyn TensorSource>,
    part: &'static str,
    reads: Reads,
}

impl TensorSource for Noted {
    fn tensors(&self) -> &[TensorInfo] {
        self.inner.tensors()
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        self.reads.borrow_mut().insert(format!("{} {name}", self.part));
        self.inner.read(name)
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.inner.metadata(key)
    }
}

/// A small model, and what is read of its files.
fn noted() -> Result<(ModelFiles, Reads)> {
    let (mut files, reads) = (Data::folder().model("tiny-sd15")?, Reads::default());
    let vae = files.vae.as_mut().map(|(_, component)| ("vae", component));
    let parts = [("unet", &mut files.unet), ("text", &mut files.text_encoder)];
    for (part, component) in parts.into_iter().chain(vae) {
        let inner = component.source.clone();
        component.source = Rc::new(Noted { inner, part, reads: reads.clone() });
    }
    Ok((files, reads))
}

fn loras(files: &[(&str, f64)]) -> Result<Adapters> {
    let open = |(name, weight): &(&str, f64)| {
        let file = format!("models/tiny-lora/{name}.safetensors");
        Ok(WeightedLora::new(Rc::new(Lora::new(name, Data::folder().component(&file)?.source)?), *weight))
    };
    Ok(Adapters { loras: files.iter().map(open).collect::<Result<_>>()?, ..Adapters::default() })
}

/// What adapters change, by part and name.
fn touched(files: &ModelFiles) -> BTreeSet<String> {
    let of = |part: &'static str, component: &Component| {
        let source = component.source.clone();
        let names: Vec<_> = source.tensors().iter().map(|info| info.name.clone()).collect();
        names.into_iter().filter(move |name| source.version(name) != 0).map(move |name| format!("{part} {name}"))
    };
    let vae = files.vae.iter().flat_map(|(_, vae)| of("vae", vae));
    of("unet", &files.unet).chain(of("text", &files.text_encoder)).chain(vae).collect()
}

#[test]
fn other_adapters_and_none_are_as_if_the_model_was_loaded_with_them() -> Result<()> {
    let (base, reads) = noted()?;
    let mut with_word = loras(&[("lora-1-kohya", 1.0)])?;
    let word = concat!(env!("CARGO_MANIFEST_DIR"), "/data/models/tiny-lora/embedding-3tok.safetensors");
    let word = std::fs::read(word)?;
    with_word.embeddings = vec![Embedding::read("x", Some("astronaut"), &word)?];
    let another_vae =
        Adapters { vae: base.vae.clone().map(|(config, vae)| (Some(config), vae)), ..Adapters::default() };
    let kinds =
        [loras(&[("lora-0-diffusers", 0.7)])?, loras(&[("loha", 0.8), ("lycoris", 0.6)])?, with_word, another_vae];
    let mut adapted = vec![base.clone()];
    for adapters in &kinds {
        adapted.extend([adapters.over(&base)?, base.clone()]);
    }
    adapted.extend([kinds[0].over(&base)?, kinds[2].over(&base)?]);

    let mut model = StableDiffusion::load(&base, &device()?, LoadOptions::default())?;
    let all = std::mem::take(&mut *reads.borrow_mut());
    let plain = drawn(&model)?;
    for files in adapted.windows(2) {
        reads.borrow_mut().clear();
        model.adapt(&files[1])?;
        let expected: BTreeSet<_> = touched(&files[0]).union(&touched(&files[1])).cloned().collect();
        assert_eq!(*reads.borrow(), expected, "what is touched is read, and nothing else");
        assert!(expected.len() < all.len() && expected.is_subset(&all));
        let fresh = StableDiffusion::load(&files[1], &device()?, LoadOptions::default())?;
        assert_eq!(drawn(&model)?, drawn(&fresh)?);
        assert_eq!(model.device_bytes(), fresh.device_bytes());
        assert_eq!(drawn(&model)? == plain, touched(&files[1]).iter().all(|name| name.starts_with("vae ")));
    }
    Ok(())
}

#[test]
fn a_model_whose_adapters_cannot_be_read_stays_what_it_was() -> Result<()> {
    let (base, _) = noted()?;
    let mut model = StableDiffusion::load(&base, &device()?, LoadOptions::default())?;
    let before = drawn(&model)?;
    // No number of half precision is as large.
    let too_much = Adapters { keeps_halves: true, ..loras(&[("lora-0-diffusers", 1e9)])? };
    assert!(model.adapt(&too_much.over(&base)?).is_err());
    assert_eq!(drawn(&model)?, before);
    model.adapt(&loras(&[("dora-peft", 1.0)])?.over(&base)?)?;
    assert_ne!(drawn(&model)?, before);
    Ok(())
}
