//! The flags that say how prompts are read.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use diffusion::{
    pipeline::{PromptSyntax, Prompting},
    prompt::Styles,
};
use std::{fs, path::PathBuf};

use super::recipe::{PLAIN, Recipe, SKIPS_NEGATIVE};

/// Largest file of styles.
const MAX_STYLES: u64 = 8 << 20;

/// How prompts are read.
#[derive(Debug, Args)]
pub struct PromptArgs {
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
