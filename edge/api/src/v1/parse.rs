//! From `/v1`'s fields to the strict request.

use crate::{
    body::Fields,
    fields::{FieldError, FieldProblem, Reader},
    request::{Censor, Delivery, ImageRequest, ImageSource, Task},
};
use serde_json::Value;
use spec::{
    BatchSize, ClipSkip, GenerateSpec, Guidance, GuidanceRescale, ImageSize, InitImageSpec, ModelId, NoiseKind,
    SchedulerKind, Seed, SpecError, Steps, Strength,
};
use std::str::FromStr;

/// Reads `POST /v1/images`. `seed` is drawn by the caller, for clients that leave it to us.
///
/// # Errors
/// Every field that cannot be used, and every one that there is not.
pub fn image_request(fields: &Fields, seed: u64) -> Result<ImageRequest, Vec<FieldError>> {
    let mut reader = Reader::strict(fields);
    let task = task(&mut reader, seed);
    let model = reader.text(&["model"]).and_then(|name| checked(&mut reader, "model", ModelId::new(name)));
    let censor = censor(&mut reader);
    let upscale = reader.whole_in(&["upscale"], 1, 3).unwrap_or(1);
    let delivery = Delivery {
        base64: reader.flag(&["base64"]).unwrap_or(false),
        temporary: reader.flag(&["temporary"]).unwrap_or(false),
        instant: true,
        webhook: reader.text(&["webhook"]),
        track_id: reader.raw(&["track_id"]).map(|(_, value)| value.clone()),
    };
    reader.finish()?;
    // Where there is no task, there was an error.
    task.map(|task| ImageRequest { task, model, censor, upscale, delivery }).ok_or_else(Vec::new)
}

fn task(reader: &mut Reader<'_>, seed: u64) -> Option<Task> {
    const TASKS: &str = "generate, edit, inpaint, upscale";
    let task = reader.required_text(&["task"]);
    match task.as_str() {
        "generate" => spec(reader, seed, false).map(|spec| Task::Generate { spec }),
        "edit" => {
            let (spec, image) = (spec(reader, seed, true), image(reader, "image"));
            Some(Task::Edit { spec: spec?, image: image? })
        }
        "inpaint" => {
            let (spec, image, mask) = (spec(reader, seed, true), image(reader, "image"), image(reader, "mask"));
            Some(Task::Inpaint { spec: spec?, image: image?, mask: mask? })
        }
        "upscale" => {
            let (image, factor) = (image(reader, "image"), reader.whole_in(&["factor"], 2, 4).unwrap_or(2));
            Some(Task::Upscale { image: image?, factor })
        }
        _ => {
            if !task.is_empty() {
                reader.refuse("task", FieldProblem::Unknown(TASKS.to_owned()));
            }
            None
        }
    }
}

fn spec(reader: &mut Reader<'_>, seed: u64, has_image: bool) -> Option<GenerateSpec> {
    let prompt = reader.required_text(&["prompt"]);
    let negative_prompt = reader.text(&["negative_prompt"]).unwrap_or_default();
    let width = reader.whole_in(&["width"], ImageSize::MIN, ImageSize::MAX).unwrap_or(512);
    let height = reader.whole_in(&["height"], ImageSize::MIN, ImageSize::MAX).unwrap_or(512);
    let strength = if has_image { ranged::<Strength>(reader, "strength") } else { None };
    let spec = GenerateSpec {
        prompt,
        negative_prompt,
        steps: counted::<Steps>(reader, "steps").unwrap_or_default(),
        guidance: ranged::<Guidance>(reader, "guidance").unwrap_or_default(),
        guidance_rescale: ranged::<GuidanceRescale>(reader, "guidance_rescale").unwrap_or_default(),
        scheduler: word::<SchedulerKind>(reader, "scheduler"),
        seed: Seed(self::seed(reader).unwrap_or(seed)),
        noise: word::<NoiseKind>(reader, "noise").unwrap_or(NoiseKind::Philox),
        size: ImageSize::new(512, 512).unwrap_or_else(|_| unreachable!("512 is on the grid")),
        clip_skip: counted::<ClipSkip>(reader, "clip_skip").unwrap_or_default(),
        batch: counted::<BatchSize>(reader, "samples").unwrap_or_default(),
        init: has_image.then(|| InitImageSpec { strength: strength.unwrap_or_default() }),
    };
    let size = ImageSize::new(width, height);
    let name = if matches!(&size, Err(SpecError::NotAMultiple { name: "height", .. })) { "height" } else { "width" };
    checked(reader, name, size).map(|size| GenerateSpec { size, ..spec })
}

/// Any number that 64 bits hold, as long as JSON can carry it.
fn seed(reader: &mut Reader<'_>) -> Option<u64> {
    /// Up to here every whole number has a double of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let (_, value) = reader.raw(&["seed"])?;
    let whole = |number: &f64| number.fract() == 0.0 && (0.0..EXACT).contains(number);
    let seed = value.as_u64().or_else(|| value.as_f64().filter(whole).map(|number| number as u64));
    if seed.is_none() {
        let is_negative = value.as_f64().is_some_and(|number| number < 0.0);
        reader.refuse("seed", if is_negative { FieldProblem::TooSmall(0.0) } else { FieldProblem::NotWhole });
    }
    seed
}

/// A whole number of one of the closed ranges of `spec`.
fn counted<T: TryFrom<f64, Error = SpecError>>(reader: &mut Reader<'_>, name: &str) -> Option<T> {
    let number = reader.whole(&[name])?;
    checked(reader, name, T::try_from(number as f64))
}

/// A number of one of the closed ranges of `spec`.
fn ranged<T: TryFrom<f64, Error = SpecError>>(reader: &mut Reader<'_>, name: &str) -> Option<T> {
    let number = reader.number(&[name])?;
    checked(reader, name, T::try_from(number))
}

/// A word of one of the closed sets of `spec`.
fn word<T: FromStr<Err = SpecError>>(reader: &mut Reader<'_>, name: &str) -> Option<T> {
    let word = reader.text(&[name])?;
    checked(reader, name, word.parse())
}

fn checked<T>(reader: &mut Reader<'_>, name: &str, value: Result<T, SpecError>) -> Option<T> {
    let problem = match value {
        Ok(value) => return Some(value),
        Err(SpecError::OutOfRange { found, min, .. }) if found < min => FieldProblem::TooSmall(min),
        Err(SpecError::OutOfRange { max, .. }) => FieldProblem::TooLarge(max),
        Err(SpecError::NotAMultiple { multiple, .. }) => {
            FieldProblem::Other(format!("must be a multiple of {multiple}"))
        }
        Err(SpecError::Unknown { allowed, .. }) => FieldProblem::Unknown(allowed),
        Err(error @ SpecError::ModelName(_)) => FieldProblem::Other(format!("is no model's name: {error}")),
    };
    reader.refuse(name, problem);
    None
}

fn censor(reader: &mut Reader<'_>) -> Option<Censor> {
    let word = reader.text(&["censor"])?;
    let censor = serde_json::from_value(Value::String(word)).ok();
    if censor.is_none() {
        reader.refuse("censor", FieldProblem::Unknown("blur, sensitive_content_text, pixelate, black".to_owned()));
    }
    censor
}

/// An object with exactly one of `url`, `base64` and `upload`.
fn image(reader: &mut Reader<'_>, name: &str) -> Option<ImageSource> {
    let Some((_, value)) = reader.raw(&[name]) else {
        reader.refuse(name, FieldProblem::Missing);
        return None;
    };
    let image = serde_json::from_value(value.clone()).ok().and_then(|image| match image {
        ImageSource::Url(text) | ImageSource::Upload(text) if text.is_empty() => None,
        // Browsers have pictures as data URLs.
        ImageSource::Base64(text) => match ImageSource::read(&text) {
            ImageSource::Base64(data) if !data.is_empty() => Some(ImageSource::Base64(data)),
            _ => None,
        },
        image => Some(image),
    });
    if image.is_none() {
        let words = "must be an object with one of url, base64 and upload, a string".to_owned();
        reader.refuse(name, FieldProblem::Other(words));
    }
    image
}
