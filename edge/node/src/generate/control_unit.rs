//! What web UIs write of a ControlNet: `Module: canny, Model: name [hash], Weight: 1, …`.

use anyhow::{Context as _, Error, Result, ensure};
use diffusion::preprocess::Preprocessor;
use std::{collections::BTreeMap, fmt, str::FromStr};

const GUESSES: &str = "ControlNet is more important";

/// What is made of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preparation {
    /// Without a network.
    Plain(Preprocessor),
    /// Lines, by a network.
    LineArt,
    /// Depth, by a network.
    Depth,
}

impl FromStr for Preparation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "line-art" => Ok(Self::LineArt),
            "depth" => Ok(Self::Depth),
            _ => Ok(Self::Plain(text.parse()?)),
        }
    }
}

impl Preparation {
    /// Nothing.
    pub const NONE: Self = Self::Plain(Preprocessor::None);

    /// Web UIs' word for it, and its thresholds.
    fn module(self) -> (&'static str, Vec<f64>) {
        match self {
            Self::Plain(Preprocessor::None) => ("none", vec![]),
            Self::Plain(Preprocessor::Canny { low, high }) => ("canny", vec![low, high]),
            Self::Plain(Preprocessor::Invert) => ("invert (from white bg & black line)", vec![]),
            Self::Plain(Preprocessor::Scribble) => ("scribble", vec![]),
            Self::Plain(Preprocessor::Tile { factor }) => ("tile_resample", vec![factor]),
            Self::LineArt => ("lineart_realistic", vec![]),
            Self::Depth => ("depth_anything", vec![]),
        }
    }

    fn of_module(module: &str, thresholds: [Option<f64>; 2]) -> Result<Self> {
        let plain = match (module, thresholds) {
            ("canny", [Some(low), Some(high)]) => format!("canny:{low}:{high}"),
            ("tile_resample" | "tile", [Some(factor), _]) => format!("tile:{factor}"),
            ("tile_resample", _) => "tile".to_owned(),
            ("None", _) => "none".to_owned(),
            ("lineart_realistic", _) => return Ok(Self::LineArt),
            (module, _) if module.starts_with("invert") => "invert".to_owned(),
            (module, _) if module.starts_with("depth") => return Ok(Self::Depth),
            (module, _) => module.to_owned(),
        };
        plain.parse()
    }
}

/// A network with what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// What is made of its picture.
    pub preparation: Preparation,
    /// Its name.
    pub model: String,
    /// What its hash begins with.
    pub hash: Option<String>,
    /// How strongly it steers.
    pub weight: f64,
    /// Share of the steps after which it begins.
    pub start: f64,
    /// Share of the steps after which it ends.
    pub end: f64,
    /// Whether it guesses without a prompt.
    pub guesses: bool,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (module, thresholds) = self.preparation.module();
        // A comma would end the name.
        write!(f, "Module: {module}, Model: {}", self.model.replace([',', '"'], "_"))?;
        if let Some(hash) = &self.hash {
            write!(f, " [{hash}]")?;
        }
        write!(f, ", Weight: {}, Resize Mode: Crop and Resize", self.weight)?;
        for (letter, threshold) in ['A', 'B'].iter().zip(thresholds) {
            write!(f, ", Threshold {letter}: {threshold}")?;
        }
        let mode = if self.guesses { GUESSES } else { "Balanced" };
        write!(f, ", Guidance Start: {}, Guidance End: {}, Control Mode: {mode}", self.start, self.end)
    }
}

impl FromStr for Unit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let pairs: BTreeMap<_, _> = text.split(", ").filter_map(|pair| pair.split_once(": ")).collect();
        let number = |key: &str| -> Result<Option<f64>> {
            let text = pairs.get(key);
            let number =
                text.map(|text| text.parse().with_context(|| format!("`{text}` is not a number"))).transpose()?;
            ensure!(number.is_none_or(f64::is_finite), "`{key}` must be a number");
            // Web UIs write -1 where a module has no threshold.
            Ok(number.filter(|number: &f64| *number >= 0.0 || !key.starts_with("Threshold")))
        };
        let named = pairs.get("Model").context("the picture says nothing of its ControlNet's model")?;
        let (model, hash) = match named.strip_suffix(']').and_then(|named| named.rsplit_once(" [")) {
            Some((model, hash)) => (model, Some(hash.to_owned())),
            None => (*named, None),
        };
        let thresholds = [number("Threshold A")?, number("Threshold B")?];
        let is_mode = |key: &str, mode: &str| pairs.get(key).is_some_and(|said| *said == mode);
        Ok(Self {
            preparation: Preparation::of_module(pairs.get("Module").unwrap_or(&"none"), thresholds)?,
            model: model.to_owned(),
            hash,
            weight: number("Weight")?.unwrap_or(1.0),
            start: number("Guidance Start")?.unwrap_or(0.0),
            end: number("Guidance End")?.unwrap_or(1.0),
            guesses: is_mode("Control Mode", GUESSES) || is_mode("Guess Mode", "True"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_reads_back_and_web_uis_are_read() {
        let plain = Unit {
            preparation: Preparation::NONE,
            model: "some net".to_owned(),
            hash: Some("0123abcd".to_owned()),
            weight: 0.75,
            start: 0.25,
            end: 1.0,
            guesses: true,
        };
        for name in ["none", "canny:20:60.5", "invert", "scribble", "tile:4", "line-art", "depth"] {
            let unit = Unit { preparation: name.parse().unwrap(), ..plain.clone() };
            assert_eq!(unit.to_string().parse::<Unit>().unwrap(), unit);
        }
        let said = "Module: canny, Model: control_canny-fp16 [e3fe7712], Weight: 0.25, Resize Mode: Crop and Resize, Low Vram: \
                    False, Processor Res: 512, Threshold A: 100, Threshold B: 200, Guidance Start: 0, Guidance End: 1, Pixel \
                    Perfect: False, Control Mode: My prompt is more important";
        let read: Unit = said.parse().unwrap();
        assert_eq!((read.model.as_str(), read.weight, read.guesses), ("control_canny-fp16", 0.25, false));
        assert_eq!(read.preparation, "canny:100:200".parse().unwrap());
        assert!("Module: canny".parse::<Unit>().is_err());
    }
}
