//! A safety checker between the pictures and their files.

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use diffusion::{
    picture::Picture,
    safety::{Censor, OnFlagged, Reviewed, SafetyChecker, SafetyFiles},
};
use std::path::{Path, PathBuf};

/// Whether pictures are judged, and what becomes of those that are flagged.
#[derive(Debug, Args)]
pub struct SafetyArgs {
    /// Folder of a safety checker, or of a model that has one, which judges every picture [default: none; with --on-flagged the
    /// model's own]
    #[arg(long, value_name = "DIR")]
    safety_checker: Option<PathBuf>,
    /// What is written where a picture is flagged, or could not be judged [default: black]
    #[arg(long, value_enum)]
    on_flagged: Option<Answer>,
}

/// The words of the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Answer {
    /// A black picture
    Black,
    /// The picture blurred
    Blur,
    /// The picture in large squares
    Pixelate,
    /// A grey picture with a sentence
    Notice,
    /// Nothing
    Withhold,
}

/// Who judges, and what becomes of a flagged picture.
pub struct Guard {
    checker: SafetyChecker,
    on_flagged: OnFlagged,
}

impl SafetyArgs {
    /// Loads the checker, where one is wanted; nothing is drawn where it cannot be had.
    pub fn load(&self, model: &Path, device: &Device) -> Result<Option<Guard>> {
        let folder = match (&self.safety_checker, self.on_flagged) {
            (None, None) => return Ok(None),
            (None, Some(_)) => &model.join("safety_checker"),
            (Some(folder), _) => folder,
        };
        let of_folder = || format!("could not load the safety checker in {}", folder.display());
        let files = SafetyFiles::open(folder).with_context(of_folder)?;
        let checker = SafetyChecker::load(&files, device).with_context(of_folder)?;
        Ok(Some(Guard { checker, on_flagged: self.on_flagged.unwrap_or(Answer::Black).into() }))
    }
}

impl From<Answer> for OnFlagged {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Black => Self::Show(Censor::Black),
            Answer::Blur => Self::Show(Censor::Blur),
            Answer::Pixelate => Self::Show(Censor::Pixelate),
            Answer::Notice => Self::Show(Censor::Notice),
            Answer::Withhold => Self::Withhold,
        }
    }
}

/// The pictures as they may be written; what a checker could not judge is said on standard error.
pub fn drafts(guard: Option<&Guard>, pictures: Vec<Picture>) -> Vec<Reviewed> {
    let Some(Guard { checker, on_flagged }) = guard else {
        let shown = |picture| Reviewed { picture: Some(picture), is_flagged: false, error: None };
        return pictures.into_iter().map(shown).collect();
    };
    let reviewed = pollster::block_on(checker.review(pictures, *on_flagged));
    for error in reviewed.iter().filter_map(|draft| draft.error.as_ref()) {
        eprintln!("darkroom: a picture counts as flagged, since {error}");
    }
    reviewed
}
