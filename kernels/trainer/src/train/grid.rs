//! What the model draws so far, as one PNG.

use super::{TrainOptions, export};
use crate::{
    TrainError,
    demo::{Dataset, caption},
};
use diffusion::{
    noise::Noise,
    picture::Picture,
    pipeline::{CancelToken, ModelFiles, PipelineRequest, Prompting, Silent, SizeConditioning, StableDiffusion},
};
use spec::{Guidance, ImageSize, NoiseKind, Seed, Steps};

const COLUMNS: usize = 6;
const ROWS: usize = 3;

/// Draws held-out pairs with the averaged weights and writes `grid-STEP.png`.
pub fn draw(options: &TrainOptions, scaling_factor: f64, step: u64) -> Result<(), TrainError> {
    export::export(options, scaling_factor)?;
    let files =
        ModelFiles::from_folder(&export::folder(options)).map_err(|error| TrainError::Optimiser(error.to_string()))?;
    let model = StableDiffusion::load(&files, &options.device, diffusion::pipeline::LoadOptions::default())?;
    let pairs = Dataset::held_out_pairs();
    let prompts: Vec<String> =
        pairs.iter().take(COLUMNS * ROWS).map(|&(object, colour)| caption(object, colour)).collect();
    let batch = prompts.len();
    let request = PipelineRequest {
        negative_prompts: vec![String::new(); batch],
        prompts,
        prompting: Prompting::default(),
        steps: Steps::try_from(12.0).unwrap_or_default(),
        guidance: Guidance::try_from(3.0).unwrap_or_default(),
        guidance_rescale: spec::GuidanceRescale::default(),
        scheduler: None,
        scheduler_options: diffusion::scheduler::SchedulerOptions::default(),
        size: ImageSize::new(64, 64).unwrap_or_else(|_| unreachable!("the demo's own size")),
        clip_skip: spec::ClipSkip::default(),
        noise: Noise::new(NoiseKind::Philox, Seed(0), batch),
        latents: None,
        sizes: SizeConditioning::default(),
        init: None,
        controls: Vec::new(),
        vae_tiling: diffusion::vae::TilingMode::default(),
        hires: None,
        switches: diffusion::pipeline::Switches::default(),
    };
    let made = pollster::block_on(model.generate(request, &mut Silent, &CancelToken::default()))?;
    let sheet = sheet(&made.pictures);
    let path = options.out.join(format!("grid-{step:07}.png"));
    image::save_buffer(&path, &sheet.rgb, sheet.width, sheet.height, image::ColorType::Rgb8)?;
    Ok(())
}

/// Pictures side by side.
fn sheet(pictures: &[Picture]) -> Picture {
    let (width, height) = (pictures[0].width as usize, pictures[0].height as usize);
    let rows = pictures.len().div_ceil(COLUMNS);
    let mut rgb = vec![0; width * COLUMNS * height * rows * 3];
    for (index, picture) in pictures.iter().enumerate() {
        for row in 0..height {
            let to = ((index / COLUMNS * height + row) * width * COLUMNS + index % COLUMNS * width) * 3;
            let from = row * width * 3;
            rgb[to..to + width * 3].copy_from_slice(&picture.rgb[from..from + width * 3]);
        }
    }
    Picture { width: (width * COLUMNS) as u32, height: (height * rows) as u32, rgb }
}
