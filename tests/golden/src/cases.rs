//! How each kind of case is computed.

mod safety;
mod switched;

use crate::{
    Case, Comparison, Data, Kind, LoraRun, Run, Tensors, compare,
    tensors::{numbers, tensor},
};
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use diffusion::{
    nn::{Builder, BuilderRoot},
    noise::{Noise, TorchCpu},
    pipeline::{
        CancelToken, Component, InitImage, Inpaint, LoadOptions, PipelineRequest, Prompting, Silent, StableDiffusion,
    },
    scheduler::SchedulerOptions,
    text::{ClipTextConfig, ClipTextModel, Tokenizer},
    unet::{Context, UNet2DConditionModel, UNetConfig},
    vae::{AutoencoderKl, AutoencoderTiny, TinyVaeConfig, VaeConfig, VaeTiling},
};
use serde::de::DeserializeOwned;
use spec::{ImageSize, NoiseKind, Seed};

/// Computes a case on a device and compares every output.
///
/// # Errors
/// When a file is not there, the model does not load, or the device fails; a wrong result is not an error here.
pub async fn run(case: &Case, data: &Data, device: &Device) -> Result<Vec<Comparison>> {
    let recorded = data.tensors(&case.file)?;
    let on = Bench { data, device, recorded, tolerance: case.tolerance };
    match &case.kind {
        Kind::Text { model, prompts } => on.text(model, prompts).await,
        Kind::Prompts { model, prompts } => on.prompts(model, prompts).await,
        Kind::Unet { model } => on.unet(model).await,
        Kind::Vae { model } => Box::pin(on.vae(model, None)).await,
        Kind::VaeTiled { model, tile } => {
            Box::pin(on.vae(model, Some(VaeTiling { tile: *tile, ..VaeTiling::default() }))).await
        }
        Kind::Taesd { folder } => on.taesd(folder).await,
        Kind::Scheduler { scheduler, config, steps } => on.scheduler(*scheduler, config, *steps).await,
        Kind::Text2img { model, request, loras } => Box::pin(on.pipeline(model, request, loras)).await,
        Kind::Img2img { model, request } => Box::pin(on.pipeline(model, request, &[])).await,
        Kind::Embedding { model, embedding, prompt } => on.embedding(model, embedding, prompt).await,
        Kind::Controlnet { model, request, controls } => Box::pin(on.controlnet(model, request, controls)).await,
        Kind::Inpaint { model, request } => Box::pin(on.inpaint(model, request)).await,
        Kind::Upscale { folder, networks } => on.upscale(folder, networks).await,
        Kind::LineArt { weights } => on.line_art(weights).await,
        Kind::Hires { model, request, steps, width, height } => {
            Box::pin(on.hires(model, request, *steps, ImageSize::new(*width, *height)?)).await
        }
        Kind::Depth { folder } => on.depth(folder).await,
        Kind::Pictures => on.pictures().await,
        Kind::Noise => on.noise(),
        Kind::Switched { model, request } => Box::pin(on.switched(model, request)).await,
        Kind::Safety { folder } => on.safety(folder).await,
        Kind::ClipInput { side } => on.clip_input(*side).await,
        Kind::Brownian => on.brownian(),
    }
    .with_context(|| format!("case {}", case.name))
}

/// A case on a device.
pub(crate) struct Bench<'a> {
    pub(crate) data: &'a Data,
    pub(crate) device: &'a Device,
    pub(crate) recorded: Tensors,
    pub(crate) tolerance: f64,
}

/// Loads one part, which must be all of its file.
fn load<C, T, E>(
    config: &str,
    component: &Component,
    device: &Device,
    new: impl FnOnce(&Builder<'_>, &C) -> Result<T, E>,
) -> Result<T>
where
    C: DeserializeOwned,
    E: std::error::Error + Send + Sync + 'static,
{
    let root = BuilderRoot::from_checkpoint(&*component.source, device, false);
    let module = new(&root.root(&component.prefix), &serde_json::from_str(config)?)?;
    root.finish(&component.prefix)?;
    Ok(module)
}

impl Bench<'_> {
    async fn text(&self, model: &str, prompts: &[String]) -> Result<Vec<Comparison>> {
        let files = self.data.model(model)?;
        let tokenizer = Tokenizer::new(&files.vocab, &files.merges, &files.pad_token)?;
        let encoder =
            load::<ClipTextConfig, _, _>(&files.text_config, &files.text_encoder, self.device, ClipTextModel::new)?;
        let ids: Vec<Vec<u32>> =
            prompts.iter().map(|prompt| tokenizer.encode(prompt, encoder.context_length())).collect();
        let flat: Vec<f32> = ids.iter().flatten().map(|&id| id as f32).collect();
        let mut compared = vec![Comparison::of("input_ids", &flat, &numbers(&self.recorded, "input_ids")?, 0.0)];
        for (clip_skip, name) in [(1, "last_hidden_state"), (2, "skip_1"), (3, "skip_2")] {
            let output = encoder.forward(&ids, clip_skip, self.device);
            compared.push(compare(output.hidden, &self.recorded, name, self.tolerance).await?);
            if clip_skip == 1 {
                compared.push(compare(output.pooled, &self.recorded, "pooled", self.tolerance).await?);
            }
        }
        Ok(compared)
    }

    async fn unet(&self, model: &str) -> Result<Vec<Comparison>> {
        let files = self.data.model(model)?;
        let unet = load::<UNetConfig, _, _>(&files.unet_config, &files.unet, self.device, UNet2DConditionModel::new)?;
        let sample = tensor(&self.recorded, "sample", self.device)?;
        let context = tensor(&self.recorded, "encoder_hidden_states", self.device)?;
        let timesteps: Vec<f64> = numbers(&self.recorded, "timestep")?.into_iter().map(f64::from).collect();
        let output = unet.forward(sample, &timesteps, &Context::new(context));
        Ok(vec![compare(output, &self.recorded, "out", self.tolerance).await?])
    }

    async fn vae(&self, model: &str, tiling: Option<VaeTiling>) -> Result<Vec<Comparison>> {
        let files = self.data.model(model)?;
        let (config, component) = files.vae.context("the model has no autoencoder")?;
        let vae = load::<VaeConfig, _, _>(&config, &component, self.device, AutoencoderKl::new)?;
        let (image, z) = (tensor(&self.recorded, "image", self.device)?, tensor(&self.recorded, "z", self.device)?);
        let (posterior, decoded) = match tiling {
            Some(tiling) => (vae.encode_tiled(&image, tiling), vae.decode_tiled(&z, tiling)),
            None => (vae.encode(image), vae.decode(z)),
        };
        Ok(vec![
            compare(posterior.mean, &self.recorded, "mean", self.tolerance).await?,
            compare(posterior.logvar, &self.recorded, "logvar", self.tolerance).await?,
            compare(decoded, &self.recorded, "decoded", self.tolerance).await?,
        ])
    }

    async fn taesd(&self, folder: &str) -> Result<Vec<Comparison>> {
        let config = self.data.text(&format!("{folder}/config.json"))?;
        let component = self.data.component(&format!("{folder}/diffusion_pytorch_model.safetensors"))?;
        let taesd = load::<TinyVaeConfig, _, _>(&config, &component, self.device, AutoencoderTiny::new)?;
        let encoded = taesd.encode(tensor(&self.recorded, "image", self.device)?);
        let decoded = taesd.decode(tensor(&self.recorded, "z", self.device)?);
        Ok(vec![
            compare(encoded, &self.recorded, "encoded", self.tolerance).await?,
            compare(decoded, &self.recorded, "decoded", self.tolerance).await?,
        ])
    }

    async fn pipeline(&self, model: &str, run: &Run, loras: &[LoraRun]) -> Result<Vec<Comparison>> {
        let files = self.with_loras(&self.data.model(model)?, loras)?;
        let pipeline = StableDiffusion::load(&files, self.device, LoadOptions::default())?;
        let recorded = |name| tensor(&self.recorded, name, self.device);
        let (latents, init) = if self.recorded.contains_key("image_in") {
            let pixels = recorded("image_in")? * 2.0 - 1.0;
            let noise = match run.noise_seed {
                Some(_) => None,
                None => Some([recorded("posterior_noise")?, recorded("noise")?]),
            };
            (
                None,
                Some(InitImage {
                    pixels,
                    latents: None,
                    strength: run.strength,
                    noise,
                    mask: None,
                    inpaint: Inpaint::default(),
                }),
            )
        } else {
            (run.noise_seed.is_none().then(|| recorded("latents")).transpose()?, None)
        };
        let request = PipelineRequest { latents, init, ..request(run)? };
        let mut compared = self.encoded(&pipeline, run).await?;
        compared.extend(Box::pin(self.generated(&pipeline, request)).await?);
        Ok(compared)
    }

    /// Runs a request and compares what it made.
    pub(crate) async fn generated(
        &self,
        pipeline: &StableDiffusion,
        request: PipelineRequest,
    ) -> Result<Vec<Comparison>> {
        let generated = Box::pin(pipeline.generate(request, &mut Silent, &CancelToken::default())).await?;
        let mut compared = vec![compare(generated.latents, &self.recorded, "final_latents", self.tolerance).await?];
        if self.recorded.contains_key("image") {
            compared.push(compare(generated.image, &self.recorded, "image", self.tolerance).await?);
        }
        Ok(compared)
    }
}

/// A recorded run without its inputs.
pub(crate) fn request(run: &Run) -> Result<PipelineRequest> {
    Ok(PipelineRequest {
        prompts: run.prompts.clone(),
        negative_prompts: run.negative_prompts.clone(),
        prompting: Prompting::default(),
        steps: run.steps,
        guidance: run.guidance,
        guidance_rescale: run.guidance_rescale,
        scheduler: run.scheduler,
        scheduler_options: SchedulerOptions { eta: run.eta },
        size: ImageSize::new(64, 64)?,
        clip_skip: run.clip_skip,
        noise: Noise::new(NoiseKind::TorchCpu, Seed(run.noise_seed.unwrap_or(0)), run.prompts.len()),
        latents: None,
        sizes: run.sizes,
        init: None,
        controls: Vec::new(),
        vae_tiling: diffusion::vae::TilingMode::default(),
        hires: None,
        switches: run.switches,
    })
}

impl Bench<'_> {
    /// Names are `seed42.1x4x8x8`.
    fn noise(&self) -> Result<Vec<Comparison>> {
        let compared = self.recorded.iter().map(|(name, recorded)| {
            let seed = name.strip_prefix("seed").and_then(|name| name.split_once('.')).map(|(seed, _)| seed.parse());
            let seed = seed.with_context(|| format!("`{name}` names no seed"))??;
            let recorded = recorded.to_f32();
            let computed = TorchCpu::new(seed).normal(recorded.len());
            Ok(Comparison::of(name, &computed, &recorded, self.tolerance))
        });
        compared.collect()
    }
}
