//! `darkroom generate`.

mod adapters;
mod control;
mod control_unit;
mod finder;
mod guidance;
mod hires;
mod inpaint;
mod prompting;
mod recipe;
mod safety;
mod scheduler;

use crate::{
    device::DeviceKind,
    init_image, interrupt, latents, model, output,
    parse::{check_folder, number, png_path, whole},
    progress::Bar,
};
use anyhow::{Context as _, Result, ensure};
use burn::tensor::Device;
use clap::Args;
use diffusion::{
    infotext::infotext,
    picture::Picture,
    pipeline::{
        CancelToken, Generated, LoadOptions, ModelCard, PipelineRequest, PromptSyntax, Prompting, StableDiffusion,
    },
    prompt::take_networks,
    safety::Reviewed,
};
use scheduler::SchedulerArgs;
use spec::{
    BatchSize, ClipSkip, GenerateSpec, Guidance, GuidanceRescale, ImageSize, InitImageSpec, NoiseKind, SchedulerKind,
    Seed, Steps, Strength,
};
use std::{
    fmt::Write as _,
    fs,
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

pub use self::recipe::{Recipe, file_pairs};
use self::{
    adapters::AdapterArgs,
    control::ControlArgs,
    hires::HiresArgs,
    inpaint::{InpaintArgs, Prepared},
    prompting::PromptArgs,
    recipe::RecipeArgs,
};

const USUAL_SIZE: (u32, u32) = (512, 512);
/// What pictures say of the files that they started from.
const INIT: &str = "Init image";
const NOISE: &str = "Initial noise";

/// What to draw, and how.
#[derive(Debug, Args)]
pub struct Generate {
    /// Model folder in diffusers' layout, one GGUF or one safetensors file, or the name of a model that was pulled [default: with
    /// --from the picture's]
    #[arg(long, value_name = "DIR_OR_FILE", required_unless_present = "from")]
    model: Option<PathBuf>,
    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    model_args: model::ModelArgs,
    /// What to draw; may be given again for more pictures by the same model, whose LoRAs then change without loading it anew
    #[arg(long = "prompt", required_unless_present = "from")]
    prompt: Vec<String>,
    /// What to keep away from
    #[arg(long)]
    negative_prompt: Option<String>,
    #[command(flatten)]
    prompts: PromptArgs,
    /// Denoising steps, 1 to 1000 [default: the model's, else 20]
    #[arg(long, value_parser = whole::<Steps>, allow_negative_numbers = true)]
    steps: Option<Steps>,
    /// Guidance scale, 0 to 50; up to 1 switches guidance off [default: the model's, else 7.5]
    #[arg(long, value_parser = number::<Guidance>, allow_negative_numbers = true)]
    guidance: Option<Guidance>,
    /// Share of guidance rescaling, 0 to 1 [default: 0]
    #[arg(long, value_parser = number::<GuidanceRescale>, allow_negative_numbers = true)]
    guidance_rescale: Option<GuidanceRescale>,
    #[command(flatten)]
    scheduler: SchedulerArgs,
    /// Seed of the first picture, the next has the next number [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// Generator of the noise: philox or torch-cpu [default: philox]
    #[arg(long)]
    noise: Option<NoiseKind>,
    /// Pixels across [default: the model's, else 512]
    #[arg(long)]
    width: Option<u32>,
    /// Pixels down [default: the model's, else 512]
    #[arg(long)]
    height: Option<u32>,
    /// Layer of the text encoder, counted from the last (2 is the last but one) [default: 1]
    #[arg(long, value_parser = whole::<ClipSkip>, allow_negative_numbers = true)]
    clip_skip: Option<ClipSkip>,
    /// Picture to start from: PNG, JPEG or WebP
    #[arg(long, value_name = "FILE")]
    init_image: Option<PathBuf>,
    /// How much of it is repainted, 0 to 1 [default: 0.8]
    #[arg(long, value_parser = number::<Strength>, allow_negative_numbers = true)]
    strength: Option<Strength>,
    #[command(flatten)]
    inpaint: InpaintArgs,
    #[command(flatten)]
    control: ControlArgs,
    #[command(flatten)]
    adapters: AdapterArgs,
    #[command(flatten)]
    hires: HiresArgs,
    /// Pictures to draw of each prompt, 1 to 16; more than one are written as x-0.png, x-1.png, …
    #[arg(long, value_parser = whole::<BatchSize>, allow_negative_numbers = true, default_value = "1")]
    batch: BatchSize,
    /// Safetensors file whose tensor `latents` is the noise to start from, [batch, channels, height/8, width/8]
    #[arg(long, value_name = "FILE")]
    latents: Option<PathBuf>,
    /// Safetensors file for `final_latents` and `image` (0..1, NCHW)
    #[arg(long, value_name = "FILE")]
    save_latents: Option<PathBuf>,
    #[command(flatten)]
    guided: guidance::GuidanceArgs,
    #[command(flatten)]
    safety: safety::SafetyArgs,
    /// Device to draw on
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu)]
    device: DeviceKind,
    /// The picture; its parameters are written into it
    #[arg(long, value_name = "FILE", value_parser = png_path, default_value = "out.png")]
    out: PathBuf,
}

impl Generate {
    /// Draws.
    pub fn run(mut self) -> Result<()> {
        check_folder(&self.out)?;
        self.save_latents.as_deref().map_or(Ok(()), check_folder)?;
        ensure!(
            self.prompt.len() < 2 || self.save_latents.is_none(),
            "--save-latents is for one --prompt; give one, or leave it out"
        );
        let recipe = self.recipe.recipe()?;
        let model_path = self.restore(&recipe)?;
        let mut files = self.model_args.open(&model_path)?;
        adapters::tune(&mut files);
        // While the picture is drawn, since a large model takes a while.
        let model_pairs = {
            let (path, name) = (model::located(&model_path), model::name(&files, &model_path));
            thread::spawn(move || recipe::model_pairs(&path, &name))
        };
        let mut spec = self.spec(&files.card, &recipe)?;
        let prompting = Prompting { has_networks: true, ..self.prompts.prompting(&recipe) };
        let keeps_halves = self.device != DeviceKind::Cpu && LoadOptions::for_files(&files).keep_quantised;
        let base = files;
        let files = self.adapters.over(&base, asking(&spec, prompting), &recipe, keeps_halves)?;
        let (init, prepared) = self.start(&mut spec, &files.card)?;
        let device = self.device.open()?;
        let mut request = PipelineRequest::from_spec(&spec, init.as_ref().map(|picture| (picture, &device)));
        if let (Some(prepared), Some(init)) = (&prepared, &mut request.init) {
            prepared.tell(init, &device);
        }
        request.prompting = prompting;
        request.controls = self.control.load(spec.size, prepared.as_ref(), &device)?;
        request.sizes = self.adapters.sizes();
        request.vae_tiling = self.hires.tiling();
        request.switches = self.guided.switches();
        request.scheduler_options = self.scheduler.options();
        self.begin_at(&mut request, &device)?;

        let guard = self.safety.load(&model_path, &device)?;
        let mut pipeline = model::load(&files, &model_path, &device)?;
        request.hires = self.hires.hires(spec.size, pipeline.multiple() as u32, &device)?;
        spec.scheduler.get_or_insert_with(|| pipeline.default_scheduler());
        let drawing = Drawing { prepared, guard, cancel: interrupt::token()?, name: model::name(&files, &model_path) };
        let mut report = String::new();
        let mut model_pairs = Some(model_pairs);
        let mut pairs = Vec::new();
        for index in 0..self.prompt.len().max(1) {
            if index > 0 {
                let before = asking(&spec, prompting).to_owned();
                spec.prompt = self.prompts.styled(self.prompt[index].clone(), String::new())?.0;
                request.prompts = vec![spec.prompt.clone(); spec.batch.get() as usize];
                let asked = asking(&spec, prompting);
                if take_networks(&before)?.1 != take_networks(asked)?.1 {
                    pipeline.adapt(&self.adapters.over(&base, asked, &recipe, keeps_halves)?)?;
                }
            }
            let (made, seconds) = drawing.draw(&pipeline, request.clone())?;
            if let Some(told) = model_pairs.take() {
                pairs = told.join().expect("it has nothing to panic about")?;
            }
            let more = [self.told(&spec, prompting)?, pairs.clone()].concat();
            report += &self.keep(&made, seconds, &drawing, &spec, prompting, &more, index)?;
        }
        if let Some(left_out) = recipe.left_out() {
            writeln!(report, "{left_out}")?;
        }
        output::print(&report)
    }

    /// Gives a run the noise of a file.
    fn begin_at(&self, request: &mut PipelineRequest, device: &Device) -> Result<()> {
        let Some(path) = &self.latents else { return Ok(()) };
        let noise = latents::read(path, device)?;
        if let Some(init) = &mut request.init {
            let [_, channels, height, width] = noise.dims();
            let posterior = request.noise.draw([channels, height, width], device);
            init.noise = Some([posterior, noise.clone()]);
        }
        request.latents = Some(noise);
        Ok(())
    }

    /// Writes what was made of the prompt of this index, and says where.
    #[expect(clippy::too_many_arguments, reason = "all of it is about one picture")]
    fn keep(
        &self,
        made: &Generated,
        seconds: f64,
        drawing: &Drawing,
        spec: &GenerateSpec,
        prompting: Prompting,
        more: &[String],
        index: usize,
    ) -> Result<String> {
        let drafts = safety::drafts(drawing.guard.as_ref(), made.pictures.clone());
        if let Some(path) = &self.save_latents {
            // Latents and their decoding are the picture itself.
            ensure!(
                drafts.iter().all(|draft| !draft.is_flagged),
                "a picture was flagged, so neither latents nor pictures are written; leave --save-latents out to see which"
            );
            latents::write(path, made)?;
        }
        // The LoRAs of flags are the prompt's for everyone who reads it.
        let is_plain = prompting.syntax == PromptSyntax::Plain;
        let told = GenerateSpec { prompt: self.adapters.tagged(&spec.prompt, is_plain), ..spec.clone() };
        let scheduler = spec.scheduler.context("it was filled before the first picture")?;
        let mut report = self.write_pictures(&drafts, &told, scheduler, &drawing.name, more, index)?;
        let first = made.pictures.first().map(|picture| (picture.width, picture.height));
        let (steps, (width, height)) = (spec.steps.get(), first.unwrap_or((spec.size.width(), spec.size.height())));
        writeln!(report, "{}, {steps} steps, {width}x{height}, {seconds:.1} s", scheduler.infotext_name())?;
        Ok(report)
    }

    /// The picture that a run starts from, and what is repainted of it, which may have a size of its own.
    fn start(&self, spec: &mut GenerateSpec, card: &ModelCard) -> Result<(Option<Picture>, Option<Prepared>)> {
        let Some(path) = self.init_image.as_deref() else { return Ok((None, None)) };
        let usual = card.native_size.unwrap_or(USUAL_SIZE);
        let Some(prepared) = self.inpaint.prepare(path, [self.width, self.height], usual)? else {
            return Ok((Some(init_image::covering(path, spec.size)?), None));
        };
        spec.size = prepared.size;
        Ok((Some(prepared.picture.clone()), Some(prepared)))
    }

    fn spec(&self, card: &ModelCard, recipe: &Recipe) -> Result<GenerateSpec> {
        let size = recipe.size()?.map(<(u32, u32)>::from);
        let (width, height) = size.or(card.native_size).unwrap_or(USUAL_SIZE);
        let of_card = "the model's own card has a value that cannot be";
        let steps = card.steps.map(Steps::new).transpose().context(of_card)?;
        let guidance = card.guidance.map(Guidance::new).transpose().context(of_card)?;
        let prompt = self.prompt.first().cloned().or_else(|| recipe.prompt()).unwrap_or_default();
        let negative_prompt = self.negative_prompt.clone().or_else(|| recipe.negative_prompt()).unwrap_or_default();
        let (prompt, negative_prompt) = self.prompts.styled(prompt, negative_prompt)?;
        let strength = self.strength.unwrap_or_default();
        Ok(GenerateSpec {
            prompt,
            negative_prompt,
            steps: self.steps.or(recipe.steps()?).or(steps).unwrap_or_default(),
            guidance: self.guidance.or(recipe.guidance()?).or(guidance).unwrap_or_default(),
            guidance_rescale: self.guidance_rescale.or(recipe.guidance_rescale()?).unwrap_or_default(),
            scheduler: self.scheduler.kind()?.map_or_else(|| recipe.scheduler(), |own| Ok(Some(own)))?,
            seed: Seed(self.seed.or(recipe.seed()).unwrap_or_else(random_seed)),
            noise: self.noise.or(recipe.noise()).unwrap_or(NoiseKind::Philox),
            size: ImageSize::new(self.width.unwrap_or(width), self.height.unwrap_or(height))?,
            clip_skip: self.clip_skip.or(recipe.clip_skip()?).unwrap_or_default(),
            batch: self.batch,
            init: self.init_image.as_ref().map(|_| InitImageSpec { strength }),
        })
    }

    /// Fills what no flag said by what a picture says, and gives the model.
    fn restore(&mut self, recipe: &Recipe) -> Result<PathBuf> {
        recipe.file(&mut self.init_image, INIT, "Init image SHA-256", "--init-image")?;
        let has_init = self.init_image.is_some();
        if has_init {
            self.inpaint.restore(recipe)?;
            self.strength = self.strength.or(recipe.strength()?);
        }
        self.hires.restore(recipe, has_init)?;
        recipe.check(has_init || self.hires.is_on())?;
        if let (true, Some(size)) = (self.inpaint.is_on(), recipe.size()?) {
            self.width.get_or_insert(size.width());
            self.height.get_or_insert(size.height());
        }
        self.control.restore(recipe)?;
        self.adapters.restore(recipe)?;
        self.guided.restore(recipe)?;
        self.scheduler.restore(recipe)?;
        self.model_args.restore(recipe)?;
        recipe.file(&mut self.latents, NOISE, "Initial noise SHA-256", "--latents")?;
        ensure!(self.strength.is_none() || has_init, "--strength needs --init-image");
        self.inpaint.check(has_init)?;
        self.hires.check()?;
        self.model.clone().map_or_else(|| recipe.model(), Ok)
    }

    /// What pictures say of their making that a spec does not.
    fn told(&self, spec: &GenerateSpec, prompting: Prompting) -> Result<Vec<String>> {
        let file = |key, path: &Option<PathBuf>| {
            path.as_deref().map_or_else(|| Ok(Vec::new()), |path| recipe::file_pairs(key, path))
        };
        Ok([
            prompting::infotext(prompting, spec.clip_skip.get()),
            file(INIT, &self.init_image)?,
            self.inpaint.infotext()?,
            self.control.infotext()?,
            self.hires.infotext()?,
            self.guided.infotext(self.hires.is_on()),
            self.adapters.infotext(prompting.syntax == PromptSyntax::Plain)?,
            self.scheduler.infotext(),
            self.model_args.clone().infotext()?,
            file(NOISE, &self.latents)?,
        ]
        .concat())
    }

    /// Writes every picture with its own parameters, and says where.
    fn write_pictures(
        &self,
        drafts: &[Reviewed],
        spec: &GenerateSpec,
        scheduler: SchedulerKind,
        model: &str,
        more: &[String],
        prompt: usize,
    ) -> Result<String> {
        let mut report = String::new();
        let (first, of) = (prompt * drafts.len(), self.prompt.len().max(1) * drafts.len());
        for (index, draft) in drafts.iter().enumerate() {
            let path = if of == 1 { self.out.clone() } else { numbered(&self.out, first + index) };
            let seed = Seed(spec.seed.0.wrapping_add(index as u64));
            let Some(picture) = &draft.picture else {
                writeln!(report, "{} was flagged and is not written (seed {})", path.display(), seed.0)?;
                continue;
            };
            let parameters = infotext(&GenerateSpec { seed, ..spec.clone() }, scheduler, model);
            let parameters = [&[parameters], more].concat().join(", ");
            // What stands in a picture's place says nothing of its making.
            let parameters = if draft.is_flagged { String::new() } else { parameters };
            fs::write(&path, picture.to_png(&parameters)?)
                .with_context(|| format!("could not write {}", path.display()))?;
            let flagged = if draft.is_flagged { ", flagged" } else { "" };
            writeln!(report, "{} (seed {}{flagged})", path.display(), seed.0)?;
        }
        Ok(report)
    }
}

/// Where a prompt's networks stand; a plain one has none in it.
fn asking(spec: &GenerateSpec, prompting: Prompting) -> &str {
    if prompting.syntax == PromptSyntax::Plain { "" } else { &spec.prompt }
}

/// What all pictures of a command have in common.
struct Drawing {
    prepared: Option<Prepared>,
    guard: Option<safety::Guard>,
    cancel: CancelToken,
    /// The model's name.
    name: String,
}

impl Drawing {
    /// Draws, and says how many seconds that took.
    fn draw(&self, pipeline: &StableDiffusion, request: PipelineRequest) -> Result<(Generated, f64)> {
        let (mut bar, started) = (Bar::new(), Instant::now());
        let made = pollster::block_on(pipeline.generate(request, &mut bar, &self.cancel));
        bar.clear();
        let mut made = made?;
        if let Some(prepared) = &self.prepared {
            made.pictures = made.pictures.into_iter().map(|picture| prepared.finish(picture)).collect();
        }
        Ok((made, started.elapsed().as_secs_f64()))
    }
}

/// `x-0.png` for `x.png`.
fn numbered(path: &Path, index: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{index}.png"))
}

/// A seed of 32 bits, all that some generators use, from the keys that the system gives every hash map.
fn random_seed() -> u64 {
    RandomState::new().hash_one(0) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_a_batch_are_numbered_beside_each_other() {
        assert_eq!(numbered(Path::new("a/x.png"), 1), Path::new("a/x-1.png"));
        assert_eq!(numbered(Path::new("x.y.PNG"), 0), Path::new("x.y-0.png"));
    }
}
