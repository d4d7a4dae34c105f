//! `darkroom judge`.

use crate::{init_image, output};
use anyhow::{Result, bail};
use clap::Args;
use diffusion::picture::Picture;
use serde_json::json;
use std::path::PathBuf;
use trainer::demo::{COLOURS, IMAGE_SIDE, Judge, OBJECTS, Sprites, Verdict};

/// What to judge.
#[derive(Debug, Args)]
pub struct JudgePicture {
    /// A picture that the demo model drew
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl JudgePicture {
    /// Says what is in it.
    pub fn run(self) -> Result<()> {
        let picture = init_image::picture(init_image::decode(&self.file)?.into_rgb8());
        let Picture { width, height, .. } = picture;
        if (width, height) != (IMAGE_SIDE, IMAGE_SIDE) {
            bail!(
                "{} is {width} x {height}, but the demo's pictures are {IMAGE_SIDE} x {IMAGE_SIDE}",
                self.file.display()
            );
        }
        let Verdict { object, colour, correlation } = Judge::new(Sprites::load()?).judge(&picture);
        let (object, colour) = (OBJECTS[object].name, COLOURS[colour].name);
        if self.json {
            return output::print_json(&json!({ "object": object, "colour": colour, "correlation": correlation }));
        }
        output::print(&format!("{object} on {colour} (correlation {correlation:.3})\n"))
    }
}
