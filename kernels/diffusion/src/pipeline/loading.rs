//! Putting a model on a device, part by part.

use super::{
    Component, LoadModelError, LoadOptions, ModelFiles, StableDiffusion,
    autoencoder::{Autoencoder, AutoencoderConfig},
    preview::{Decoder, Previewer},
    prompt_encoder::PromptEncoder,
    stable_diffusion::parse,
};
use crate::{
    adapters::added_ids,
    nn::{Builder, BuilderRoot, Kept},
    scheduler::SchedulerConfig,
    text::{ClipTextConfig, ClipTextModel, TextEncoder, TextEncoders, Tokenizer},
    unet::{UNet2DConditionModel, UNetConfig},
    vae::{AutoencoderTiny, TinyVaeConfig},
};
use burn::tensor::Device;
use kernels::packed::Products;
use std::sync::Arc;

/// Decoders up to this many weights make their own previews.
const CHEAP_DECODER_BYTES: u64 = 8 << 20;

/// What the second text encoder's names begin with.
const SECOND: &str = "text_encoder_2";

/// A part with the bytes that it takes on the device.
type Loaded<T> = Option<(T, u64)>;

/// A part that can be loaded before the others are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `text_encoder`, and `text_encoder_2` where there is one.
    TextEncoder,
    /// `unet`.
    UNet,
}

impl Part {
    /// What its tensors' names begin with in a file of the whole model.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::TextEncoder => "text_encoder",
            Self::UNet => "unet",
        }
    }

    /// Whether a tensor of a file of the whole model belongs to it; a second text encoder is one part with the first.
    pub fn contains(self, name: &str) -> bool {
        let part = name.split('.').next();
        part == Some(self.prefix()) || (self == Self::TextEncoder && part == Some(SECOND))
    }
}

/// A model on its way to a device, whose files may still be on theirs.
pub struct Loading<'a> {
    files: &'a ModelFiles,
    device: &'a Device,
    options: LoadOptions,
    rehearses: bool,
    text_config: ClipTextConfig,
    /// Of the second text encoder, with its tokenizer.
    second: Option<(ClipTextConfig, Arc<Tokenizer>)>,
    unet_config: UNetConfig,
    vae_config: AutoencoderConfig,
    scheduler: SchedulerConfig,
    tokenizer: Arc<Tokenizer>,
    prompts: Loaded<Arc<PromptEncoder>>,
    unet: Loaded<UNet2DConditionModel>,
    kept: Kept,
}

impl<'a> Loading<'a> {
    /// Reads the configurations, and no weights.
    ///
    /// # Errors
    /// [`LoadModelError`] naming the part.
    pub fn new(files: &'a ModelFiles, device: &'a Device, options: LoadOptions) -> Result<Self, LoadModelError> {
        let mut text_config: ClipTextConfig = parse("text_encoder", &files.text_config)?;
        let added = added_ids(&files.added_tokens, text_config.vocab_size);
        text_config.added_tokens = added.iter().map(|(_, ids)| ids.len()).sum();
        let tokenizer = |pad: &str| {
            let mut tokenizer = Tokenizer::new(&files.vocab, &files.merges, pad)?;
            for (word, ids) in &added {
                tokenizer.add_token(word, ids.clone());
            }
            Ok::<_, LoadModelError>(Arc::new(tokenizer))
        };
        let second = match &files.text_encoder_2 {
            Some(second) => {
                let config: ClipTextConfig = parse(SECOND, &second.config)?;
                let added_tokens = text_config.added_tokens;
                Some((ClipTextConfig { added_tokens, ..config }, tokenizer(&second.pad_token)?))
            }
            None => None,
        };
        let unet_config = parse("unet", &files.unet_config)?;
        check_conditioning(&text_config, second.as_ref().map(|(config, _)| config), &unet_config)?;
        let loading = Self {
            files,
            device,
            options,
            rehearses: false,
            text_config,
            second,
            unet_config,
            vae_config: AutoencoderConfig::of(files)?,
            scheduler: SchedulerConfig::from_json(&files.scheduler_config)?,
            tokenizer: tokenizer(&files.pad_token)?,
            prompts: None,
            unet: None,
            kept: Kept::default(),
        };
        let (found, latent) = (loading.unet_config.in_channels, loading.vae_config.latent_channels());
        if found != latent && found != 2 * latent + 1 {
            return Err(LoadModelError::Channels { found, latent });
        }
        Ok(loading)
    }

    /// The same from its beginning, for a [rehearsal](kernels::rehearse): weights are neither read nor needed.
    pub(super) fn rehearsing(&self) -> Self {
        Self {
            rehearses: true,
            text_config: self.text_config.clone(),
            second: self.second.clone(),
            unet_config: self.unet_config.clone(),
            vae_config: self.vae_config.clone(),
            scheduler: self.scheduler.clone(),
            tokenizer: self.tokenizer.clone(),
            prompts: None,
            unet: None,
            kept: Kept::default(),
            ..*self
        }
    }

    /// Takes over what is on the device already and still the same.
    pub(super) fn keeping(self, kept: Kept) -> Self {
        Self { kept, ..self }
    }

    /// The device that the model goes to.
    pub(super) const fn device(&self) -> &Device {
        self.device
    }

    /// Puts one part on the device now, all of whose weights are there.
    ///
    /// # Errors
    /// [`LoadModelError`] naming the part and everything that is wrong with it.
    pub fn load(&mut self, part: Part) -> Result<(), LoadModelError> {
        let files = self.files;
        match part {
            Part::TextEncoder => {
                let (encoders, bytes) = self.text_encoders()?;
                self.prompts = Some((Arc::new(PromptEncoder::new(encoders, self.device)), bytes));
            }
            Part::UNet => {
                let loaded = self.part(part.prefix(), &files.unet, |builder| {
                    UNet2DConditionModel::new(builder, &self.unet_config)
                })?;
                self.unet = Some(loaded);
            }
        }
        Ok(())
    }

    fn text_encoders(&self) -> Result<(TextEncoders, u64), LoadModelError> {
        let files = self.files;
        let load = |name, component, config: &ClipTextConfig, tokenizer: &Arc<Tokenizer>| {
            let (model, bytes) = self.part(name, component, |builder| ClipTextModel::new(builder, config))?;
            Ok::<_, LoadModelError>((TextEncoder { tokenizer: tokenizer.clone(), model }, bytes))
        };
        let first = Part::TextEncoder.prefix();
        let (first, bytes) = load(first, &files.text_encoder, &self.text_config, &self.tokenizer)?;
        let (Some(second), Some((config, tokenizer))) = (&files.text_encoder_2, &self.second) else {
            return Ok((TextEncoders { first, second: None }, bytes));
        };
        let (second, more) = load(SECOND, &second.component, config, tokenizer)?;
        Ok((TextEncoders { first, second: Some(second) }, bytes + more))
    }

    /// What encodes prompts, once [`Part::TextEncoder`] is loaded.
    pub fn prompts(&self) -> Option<Arc<PromptEncoder>> {
        self.prompts.as_ref().map(|(encoder, _)| encoder.clone())
    }

    /// Puts on the device what is not there yet.
    ///
    /// # Errors
    /// [`LoadModelError`] naming the part and everything that is wrong with it.
    pub fn finish(mut self) -> Result<StableDiffusion, LoadModelError> {
        if self.prompts.is_none() {
            self.load(Part::TextEncoder)?;
        }
        if self.unet.is_none() {
            self.load(Part::UNet)?;
        }
        let (vae, previewer, autoencoder_bytes) = self.autoencoders()?;
        let (Some((prompts, text_bytes)), Some((unet, unet_bytes))) = (self.prompts, self.unet) else {
            unreachable!("both were loaded above");
        };
        let factor = self.vae_config.factor();
        self.kept.settle();
        Ok(StableDiffusion {
            prompts,
            unet,
            vae,
            scheduler: self.scheduler,
            previewer,
            card: self.files.card.clone(),
            has_added: self.second.is_some(),
            force_zeros: self.files.text_encoder_2.as_ref().is_some_and(|second| second.force_zeros),
            device: self.device.clone(),
            latent_channels: self.vae_config.latent_channels(),
            in_channels: self.unet_config.in_channels,
            factor,
            multiple: factor << (self.unet_config.block_out_channels.len() - 1),
            device_bytes: text_bytes + unet_bytes + autoencoder_bytes,
            kept: self.kept,
            options: self.options,
        })
    }

    /// The autoencoder and what makes previews, with the bytes that both take.
    fn autoencoders(&self) -> Result<(Autoencoder, Previewer, u64), LoadModelError> {
        let (name, (_, component)) = match (&self.files.vae, &self.files.tiny_vae) {
            (Some(vae), _) => ("vae", vae),
            (None, Some(tiny)) => ("taesd", tiny),
            (None, None) => return Err(LoadModelError::NoAutoencoder),
        };
        let (vae, bytes) = self.part(name, component, |builder| self.vae_config.build(builder))?;
        let side = self.unet_config.sample_size.unwrap_or(64).clamp(1, 256);
        let step = self.unet_config.cost(side, side, self.text_config.max_position_embeddings).macs;
        let own = self.vae_config.decode_macs(side);
        let previewer = match (&vae, &self.files.tiny_vae) {
            (Autoencoder::Kl(_), Some((config, component))) => {
                let config: TinyVaeConfig = parse("taesd", config)?;
                let (tiny, more) = self.part("taesd", component, |builder| AutoencoderTiny::new(builder, &config))?;
                let macs = config.decode_cost(side, side).macs;
                return Ok((vae, Previewer::new(Decoder::Tiny(Box::new(tiny)), macs, step), bytes + more));
            }
            (Autoencoder::Tiny(_), _) => Previewer::new(Decoder::Full, own, step),
            (Autoencoder::Kl(_), None) if bytes <= CHEAP_DECODER_BYTES => Previewer::new(Decoder::Full, own, step),
            (Autoencoder::Kl(_), None) => Previewer::new(Decoder::Linear, 0, step),
        };
        Ok((vae, previewer, bytes))
    }

    /// Builds one part and makes sure that its file held exactly that part.
    fn part<T, E: Into<LoadModelError>>(
        &self,
        name: &'static str,
        component: &Component,
        build: impl FnOnce(&Builder<'_>) -> Result<T, E>,
    ) -> Result<(T, u64), LoadModelError> {
        let root = BuilderRoot::from_checkpoint(&*component.source, self.device, self.options.keep_quantised);
        let is_half = self.options.half_products && name == Part::UNet.prefix();
        let products = if is_half { Products::Half } else { Products::Single };
        let root = root.with_stand_ins(self.rehearses).with_products(products).with_kept(&self.kept, name);
        let module = build(&root.root(&component.prefix)).map_err(Into::into)?;
        root.finish(&component.prefix).map_err(|source| LoadModelError::Weights { part: name, source })?;
        Ok((module, root.device_bytes()))
    }
}

/// What the text encoders give must be what the denoiser takes.
fn check_conditioning(
    first: &ClipTextConfig,
    second: Option<&ClipTextConfig>,
    unet: &UNetConfig,
) -> Result<(), LoadModelError> {
    let pooled = second.map(|second| second.projection_dim.unwrap_or(second.hidden_size));
    let gives = (first.hidden_size + second.map_or(0, |second| second.hidden_size), pooled);
    let takes = (unet.cross_attention_dim.get(0), unet.pooled_width());
    if gives == takes { Ok(()) } else { Err(LoadModelError::Conditioning { gives, takes }) }
}
