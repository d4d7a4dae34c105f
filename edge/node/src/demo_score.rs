//! `darkroom demo-score`.

use crate::{
    device::DeviceKind,
    interrupt, model, output,
    parse::{check_folder, number, png_path, whole},
    progress,
};
use anyhow::{Context as _, Result};
use clap::Args;
use diffusion::{
    noise::Noise,
    picture::Picture,
    pipeline::{PipelineRequest, Prompting, Silent, SizeConditioning},
};
use serde_json::json;
use spec::{BatchSize, ClipSkip, Guidance, GuidanceRescale, ImageSize, NoiseKind, Seed, Steps};
use std::{cmp::Reverse, collections::BTreeMap, fmt::Write as _, path::PathBuf};
use trainer::demo::{COLOURS, Dataset, IMAGE_SIDE, Judge, OBJECTS, Sprites, Verdict, caption};

/// How the demo model is scored.
#[derive(Debug, Args)]
pub struct DemoScore {
    /// The demo model, a folder or one GGUF
    #[arg(long, value_name = "DIR_OR_FILE")]
    model: PathBuf,
    /// Pictures to draw, each of a pair that was kept from training
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Seed of the first picture; the next has the next number
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Denoising steps
    #[arg(long, value_parser = whole::<Steps>, allow_negative_numbers = true, default_value = "20")]
    steps: Steps,
    /// Guidance scale
    #[arg(long, value_parser = number::<Guidance>, allow_negative_numbers = true, default_value = "4")]
    guidance: Guidance,
    /// Pictures at a time
    #[arg(long, value_parser = whole::<BatchSize>, allow_negative_numbers = true, default_value = "8")]
    batch: BatchSize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write all pictures as one PNG
    #[arg(long, value_name = "FILE", value_parser = png_path)]
    grid: Option<PathBuf>,
    /// Device to draw on
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu)]
    device: DeviceKind,
}

/// An object on a background, as indices.
type Pair = (usize, usize);

/// What was asked for and what was seen.
#[derive(Debug, Default)]
struct Score {
    asked_and_seen: Vec<(Pair, Pair)>,
}

impl DemoScore {
    /// Draws, judges and prints.
    pub fn run(self) -> Result<()> {
        self.grid.as_deref().map_or(Ok(()), check_folder)?;
        let files = crate::model::open(&self.model)?;
        let device = self.device.open()?;
        let pipeline = model::load(&files, &self.model, &device)?;
        let judge = Judge::new(Sprites::load()?);
        let cancel = interrupt::token()?;
        let bar = progress::counting("drawing", self.count.into());

        let pairs = Dataset::held_out_pairs();
        let asked: Vec<Pair> = pairs.into_iter().cycle().take(self.count as usize).collect();
        let mut score = Score::default();
        let mut pictures = Vec::with_capacity(asked.len());
        for asked in asked.chunks(self.batch.get() as usize) {
            let request = self.request(asked, pictures.len() as u64)?;
            let made = pollster::block_on(pipeline.generate(request, &mut Silent, &cancel))?;
            for (&asked, picture) in asked.iter().zip(&made.pictures) {
                let Verdict { object, colour, .. } = judge.judge(picture);
                score.asked_and_seen.push((asked, (object, colour)));
            }
            bar.inc(made.pictures.len() as u64);
            pictures.extend(made.pictures);
        }
        bar.finish_and_clear();

        if let Some(path) = &self.grid {
            let Picture { width, height, rgb } = grid(&pictures);
            image::save_buffer(path, &rgb, width, height, image::ColorType::Rgb8)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
        if self.json { output::print_json(&score.json()) } else { output::print(&score.text()?) }
    }

    /// The run that draws `asked`, the first of which is picture `first` of all.
    fn request(&self, asked: &[Pair], first: u64) -> Result<PipelineRequest> {
        let batch = asked.len();
        Ok(PipelineRequest {
            prompts: asked.iter().map(|&(object, colour)| caption(object, colour)).collect(),
            negative_prompts: vec![String::new(); batch],
            prompting: Prompting::default(),
            steps: self.steps,
            guidance: self.guidance,
            guidance_rescale: GuidanceRescale::default(),
            scheduler: None,
            scheduler_options: diffusion::scheduler::SchedulerOptions::default(),
            size: ImageSize::new(IMAGE_SIDE, IMAGE_SIDE)?,
            clip_skip: ClipSkip::default(),
            noise: Noise::new(NoiseKind::Philox, Seed(self.seed.wrapping_add(first)), batch),
            latents: None,
            sizes: SizeConditioning::default(),
            init: None,
            controls: Vec::new(),
            vae_tiling: diffusion::vae::TilingMode::default(),
            hires: None,
            switches: diffusion::pipeline::Switches::default(),
        })
    }
}

impl Score {
    fn right(&self, is_right: impl Fn(Pair, Pair) -> bool) -> usize {
        self.asked_and_seen.iter().filter(|&&(asked, seen)| is_right(asked, seen)).count()
    }

    /// How many have the background, the object, and both right.
    fn counts(&self) -> [(&'static str, usize); 3] {
        [
            ("background", self.right(|asked, seen| asked.1 == seen.1)),
            ("object", self.right(|asked, seen| asked.0 == seen.0)),
            ("both", self.right(|asked, seen| asked == seen)),
        ]
    }

    fn rate(&self, right: usize) -> f64 {
        right as f64 / self.asked_and_seen.len() as f64
    }

    /// What was taken for what how often, the most frequent first.
    fn confusions(&self) -> Vec<(Pair, Pair, usize)> {
        let mut counts = BTreeMap::new();
        for &(asked, seen) in self.asked_and_seen.iter().filter(|(asked, seen)| asked != seen) {
            *counts.entry((asked, seen)).or_insert(0) += 1;
        }
        let mut confusions: Vec<_> = counts.into_iter().map(|((asked, seen), count)| (asked, seen, count)).collect();
        confusions.sort_by_key(|&(.., count)| Reverse(count));
        confusions
    }

    fn json(&self) -> serde_json::Value {
        let confusions = self
            .confusions()
            .into_iter()
            .map(|(asked, seen, count)| json!({ "asked": words(asked), "seen": words(seen), "count": count }));
        let mut score = json!({
            "count": self.asked_and_seen.len(), "confusions": confusions.collect::<Vec<_>>(),
        });
        for (what, right) in self.counts() {
            score[format!("{what}_right")] = json!(self.rate(right));
        }
        score
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let count = self.asked_and_seen.len();
        for (what, right) in self.counts() {
            writeln!(text, "{what:10} right  {:5.1} %  ({right} of {count})", self.rate(right) * 100.0)?;
        }
        let confusions = self.confusions();
        if !confusions.is_empty() {
            writeln!(text, "\nasked → seen, count")?;
        }
        for (asked, seen, count) in confusions {
            writeln!(text, "{} → {}, {count}", words(asked), words(seen))?;
        }
        Ok(text)
    }
}

fn words((object, colour): Pair) -> String {
    format!("{} on {}", OBJECTS[object].name, COLOURS[colour].name)
}

/// Pictures side by side, about twice as many across as down.
fn grid(pictures: &[Picture]) -> Picture {
    let side = IMAGE_SIDE as usize;
    let columns = ((pictures.len() * 2) as f64).sqrt().ceil() as usize;
    let rows = pictures.len().div_ceil(columns);
    let mut rgb = vec![255; side * columns * side * rows * 3];
    for (index, picture) in pictures.iter().enumerate() {
        let (left, top) = (index % columns * side, index / columns * side);
        for (y, row) in picture.rgb.chunks_exact(side * 3).enumerate() {
            let at = ((top + y) * side * columns + left) * 3;
            rgb[at..at + row.len()].copy_from_slice(row);
        }
    }
    Picture { width: (side * columns) as u32, height: (side * rows) as u32, rgb }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confusions_are_counted_and_sorted() {
        let score =
            Score { asked_and_seen: vec![((0, 1), (0, 1)), ((0, 2), (1, 2)), ((1, 1), (1, 3)), ((1, 1), (1, 3))] };
        assert_eq!(score.counts().map(|(_, right)| right), [2, 3, 1]);
        assert_eq!(score.confusions(), [((1, 1), (1, 3), 2), ((0, 2), (1, 2), 1)]);
        assert_eq!(score.json()["both_right"], 0.25);
        assert!(score.text().unwrap().contains("cat on orange → cat on green, 2"));
    }

    #[test]
    fn a_grid_has_every_picture_in_its_place() {
        let side = IMAGE_SIDE as usize;
        let pictures: Vec<_> =
            (0..3).map(|k| Picture { width: IMAGE_SIDE, height: IMAGE_SIDE, rgb: vec![k; side * side * 3] }).collect();
        let grid = grid(&pictures);
        assert_eq!((grid.width, grid.height), (3 * IMAGE_SIDE, IMAGE_SIDE));
        assert_eq!(grid.rgb[2 * side * 3], 2);
    }
}
