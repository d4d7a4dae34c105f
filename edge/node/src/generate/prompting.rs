//! The flags that say how prompts are read, and the picture that is drawn again.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use diffusion::{
    metadata::{Metadata, Origin},
    pipeline::{PromptSyntax, Prompting},
    prompt::Styles,
};
use spec::{Guidance, GuidanceRescale, ImageSize, NoiseKind, SchedulerKind, Steps, Strength};
use std::{fs, path::PathBuf};

use crate::inspect;

/// Largest file of styles.
const MAX_STYLES: u64 = 8 << 20;
const PLAIN: (&str, &str) = ("Prompt syntax", "plain");
const SKIPS_NEGATIVE: (&str, &str) = ("Clip skip negative", "True");
/// What a picture says that changes nothing here, or is followed by hand.
const HARMLESS: [&str; 10] = [
    "Model hash",
    "Lora hashes",
    "TI hashes",
    "Version",
    "VAE hash",
    "generation_mode",
    "app_version",
    "Image",
    PLAIN.0,
    SKIPS_NEGATIVE.0,
];

/// How prompts are read.
#[derive(Debug, Args)]
pub struct PromptArgs {
    /// Draw a picture again by what it says of itself: a PNG, JPEG or WebP of Darkroom, a web UI, `InvokeAI` or `ComfyUI`; other
    /// flags go before what it says
    #[arg(long, value_name = "PICTURE")]
    from: Option<PathBuf>,
    /// Take brackets, AND, BREAK and angles in prompts for words, and cut prompts off after 75 tokens
    #[arg(long)]
    plain_prompt: bool,
    /// Let the clip skip hold for the negative prompt too, as web UIs do
    #[arg(long)]
    clip_skip_negative: bool,
    /// Style to put around the prompts, by its name; may be repeated
    #[arg(long, value_name = "NAME", requires = "styles")]
    style: Vec<String>,
    /// Styles: a web UI's styles.csv, or a JSON list of {name, prompt, `negative_prompt`}
    #[arg(long, value_name = "FILE")]
    styles: Option<PathBuf>,
}

impl PromptArgs {
    /// The picture that is drawn again.
    pub fn recipe(&self) -> Result<Recipe> {
        let Some(path) = &self.from else { return Ok(Recipe { metadata: None }) };
        let metadata = inspect::metadata(path)?;
        Ok(Recipe { metadata: Some(metadata) })
    }

    /// The prompts in their styles.
    pub fn styled(&self, prompt: String, negative_prompt: String) -> Result<(String, String)> {
        let mut prompts = (prompt, negative_prompt);
        let Some(path) = self.styles.as_ref().filter(|_| !self.style.is_empty()) else { return Ok(prompts) };
        let shown = path.display();
        let could_not = || format!("could not read the styles in {shown}");
        if fs::metadata(path).with_context(could_not)?.len() > MAX_STYLES {
            bail!("{shown} is larger than any list of styles");
        }
        let styles = Styles::parse(&fs::read_to_string(path).with_context(could_not)?).with_context(could_not)?;
        for name in &self.style {
            prompts = styles.get(name)?.apply(&prompts.0, &prompts.1);
        }
        Ok(prompts)
    }

    /// How the run reads them.
    pub fn prompting(&self, recipe: &Recipe) -> Prompting {
        let is_plain = self.plain_prompt || recipe.is_plain();
        Prompting {
            syntax: if is_plain { PromptSyntax::Plain } else { PromptSyntax::WebUi },
            skips_negative: self.clip_skip_negative || recipe.skips_negative(),
            ..Prompting::default()
        }
    }
}

/// What is written into a picture of how its prompts were read.
pub fn infotext(prompting: Prompting, clip_skip: u32) -> Vec<String> {
    let said =
        [(PLAIN, prompting.syntax == PromptSyntax::Plain), (SKIPS_NEGATIVE, prompting.skips_negative && clip_skip > 1)];
    said.iter().filter(|(_, is_said)| *is_said).map(|((key, value), _)| format!("{key}: {value}")).collect()
}

/// What a picture says of how it was drawn; nothing where none is drawn again.
pub struct Recipe {
    metadata: Option<Metadata>,
}

impl Recipe {
    fn get<T>(&self, part: impl FnOnce(&Metadata) -> Option<T>) -> Option<T> {
        self.metadata.as_ref().and_then(part)
    }

    fn says(&self, (key, value): (&str, &str)) -> bool {
        let said = |metadata: &Metadata| metadata.others.iter().any(|(own, said)| own == key && said == value);
        self.metadata.as_ref().is_some_and(said)
    }

    /// Whether its prompts are words alone: `InvokeAI` has a language of its own.
    fn is_plain(&self) -> bool {
        let is_invoke = |metadata: &Metadata| metadata.origin == Origin::InvokeAi && metadata.networks.is_empty();
        self.says(PLAIN) || self.metadata.as_ref().is_some_and(is_invoke)
    }

    /// Whether it skipped layers for the negative prompt: everyone does but diffusers and this program.
    fn skips_negative(&self) -> bool {
        let is_ours = |metadata: &Metadata| {
            metadata.others.iter().any(|(key, value)| key == "Version" && value.starts_with("darkroom"))
        };
        self.says(SKIPS_NEGATIVE) || self.metadata.as_ref().is_some_and(|metadata| !is_ours(metadata))
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
    pub fn clip_skip(&self) -> Result<Option<spec::ClipSkip>> {
        Ok(self.get(|metadata| metadata.clip_skip).map(|skip| spec::ClipSkip::new(skip.max(1))).transpose()?)
    }

    /// Pixels across and down.
    pub fn size(&self) -> Result<Option<ImageSize>> {
        Ok(self.get(|metadata| metadata.size).map(ImageSize::try_from).transpose()?)
    }

    /// How much of the initial picture is repainted.
    pub fn strength(&self) -> Result<Option<Strength>> {
        Ok(self.get(|metadata| metadata.strength).map(Strength::try_from).transpose()?)
    }

    /// Refuses to draw from nothing what was drawn from another picture.
    pub fn check(&self, has_init: bool) -> Result<()> {
        let has_second = |metadata: &Metadata| metadata.others.iter().any(|(key, _)| key.starts_with("Hires"));
        match &self.metadata {
            Some(metadata) if metadata.strength.is_some() && !has_init && !has_second(metadata) => {
                bail!("the picture was drawn from another one, which it does not contain; give that with --init-image")
            }
            _ => Ok(()),
        }
    }

    /// What of it is not followed.
    pub fn left_out(&self) -> Option<String> {
        let metadata = self.metadata.as_ref()?;
        let keys = metadata.others.iter().map(|(key, _)| key.as_str());
        let keys: Vec<_> = keys.filter(|key| !HARMLESS.contains(key)).collect();
        (!keys.is_empty()).then(|| format!("not followed of the picture: {}", keys.join(", ")))
    }
}
