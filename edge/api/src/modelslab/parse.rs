//! From the service's fields to the strict request.

use super::{
    Family, Operation,
    enhance::enhanced,
    scheduler::{self, Algorithm},
};
use crate::{
    body::Fields,
    fields::{FieldError, FieldProblem, Reader},
    request::{Censor, Delivery, ImageRequest, ImageSource, Task},
};
use spec::{
    BatchSize, ClipSkip, GenerateSpec, Guidance, GuidanceRescale, ImageSize, InitImageSpec, ModelId, NoiseKind,
    SchedulerKind, Seed, Steps, Strength,
};

/// Fields that ask for a part of the model that is not built, or for words that are not ours to add.
///
/// What only makes a picture faster is taken and has no effect: `tomesd` merges tokens to save time, and `use_karras_sigmas` counts
/// where a scheduler is named. So do companions of these fields, which say nothing alone (`lora_strength`, `ip_adapter_scale`,
/// `controlnet_conditioning_scale`, `auto_hint`, `guess_mode`), and fields of other services (`watermark`, `full_url`).
const UNAVAILABLE: [&str; 20] = [
    "controlnet_model",
    "controlnet_type",
    "control_image",
    "lora_model",
    "lora",
    "embeddings_model",
    "embeddings",
    "ip_adapter_id",
    "ip_adapter_image",
    "vae",
    "init_image_2",
    "face_image",
    "panorama",
    "self_attention",
    "highres_fix",
    "multi_lingual",
    "free_u",
    "enhance_style",
    "as_video",
    "specific_object",
];

/// Steps beyond are cut, not refused, as the service does.
const MOST_STEPS: u32 = 51;
const SIDES: (u32, u32) = (64, 1024);

/// What a family takes where a client says nothing.
struct Defaults {
    guidance: f64,
    steps: u32,
    is_enhanced: bool,
    is_checked: bool,
    censor: Censor,
}

impl Defaults {
    const fn of(family: Family) -> Self {
        let older = Self {
            guidance: 7.5,
            steps: 20,
            is_enhanced: true,
            is_checked: true,
            censor: Censor::SensitiveContentText,
        };
        match family {
            Family::Realtime => {
                Self { guidance: 1.0, is_enhanced: false, is_checked: false, censor: Censor::Black, ..older }
            }
            Family::Editing => Self { guidance: 5.0, steps: 30, is_enhanced: false, is_checked: false, ..older },
            Family::Single | Family::Community | Family::Enterprise | Family::General => older,
        }
    }
}

/// Reads a request for pictures. `seed` is drawn by the caller, for clients that leave it to us.
///
/// # Errors
/// Every field that cannot be used.
pub fn image_request(
    operation: Operation,
    family: Family,
    fields: &Fields,
    seed: u32,
) -> Result<ImageRequest, Vec<FieldError>> {
    let mut reader = Reader::new(fields);
    let spec = generate_spec(&mut reader, family, operation, seed);
    let task = match operation {
        Operation::TextToImage => Task::Generate { spec },
        Operation::ImageToImage => Task::Edit { spec, image: image(&mut reader, INIT_IMAGE) },
        Operation::Inpaint => {
            let image = image(&mut reader, INIT_IMAGE);
            Task::Inpaint { spec, image, mask: self::image(&mut reader, MASK_IMAGE) }
        }
    };
    let model = model(&mut reader, family);
    let upscale = upscale(&mut reader);
    refuse_unavailable(&mut reader);
    let censor = censor(&mut reader, family);
    let request = ImageRequest { task, model, censor, upscale, delivery: delivery(&mut reader) };
    reader.finish().map(|()| request)
}

/// Whether a client said how large its pictures shall be; a caller that knows the model's own size takes that otherwise.
pub fn has_size(fields: &Fields) -> bool {
    let mut reader = Reader::new(fields);
    reader.raw(&["width"]).is_some() || reader.raw(&["height"]).is_some()
}

/// Models of the service that enlarge pictures; every one of them means the pool's own.
const UPSCALERS: [&str; 6] = [
    "RealESRGAN_x4plus",
    "RealESRNet_x4plus",
    "RealESRGAN_x4plus_anime_6B",
    "RealESRGAN_x2plus",
    "realesr-general-x4v3",
    "ultra_resolution",
];

/// Reads a request to enlarge a picture.
///
/// # Errors
/// Every field that cannot be used.
pub fn super_resolution(fields: &Fields) -> Result<ImageRequest, Vec<FieldError>> {
    let mut reader = Reader::new(fields);
    let image = image(&mut reader, &["init_image", "url", "image", "image_url"]);
    let factor = reader.whole_in(&["scale"], 1, 4).unwrap_or(3);
    if reader.flag(&["face_enhance"]) == Some(true) {
        reader.refuse("face_enhance", FieldProblem::Unavailable);
    }
    if reader.text(&["model_id"]).is_some_and(|name| !UPSCALERS.contains(&name.trim())) {
        reader.refuse("model_id", FieldProblem::Unknown(UPSCALERS.join(", ")));
    }
    let delivery = delivery(&mut reader);
    let request =
        ImageRequest { task: Task::Upscale { image, factor }, model: None, censor: None, upscale: 1, delivery };
    reader.finish().map(|()| request)
}

const INIT_IMAGE: &[&str] = &["init_image", "image", "image_url", "url"];
const MASK_IMAGE: &[&str] = &["mask_image", "mask"];

fn image(reader: &mut Reader<'_>, names: &[&str]) -> ImageSource {
    // A list of one is what clients of newer pages send.
    let first = reader.raw(names).and_then(|(_, value)| match value.as_array()?.as_slice() {
        [only] => only.as_str(),
        _ => None,
    });
    ImageSource::read(&first.map_or_else(|| reader.required_text(names), str::to_owned))
}

fn generate_spec(reader: &mut Reader<'_>, family: Family, operation: Operation, seed: u32) -> GenerateSpec {
    let prompt = reader.required_text(&["prompt"]);
    let negative_prompt = reader.text(&["negative_prompt"]).unwrap_or_default();
    let defaults = Defaults::of(family);
    let (prompt, negative_prompt) = if reader.flag(&["enhance_prompt"]).unwrap_or(defaults.is_enhanced) {
        enhanced(&prompt, &negative_prompt)
    } else {
        (prompt, negative_prompt)
    };
    let has_image = operation != Operation::TextToImage;
    let strength = reader.number_in(&["strength", "prompt_strength"], 0.0, 1.0).unwrap_or(0.7);
    let steps = reader.whole_in(&["num_inference_steps", "steps"], 1, u32::MAX).unwrap_or(defaults.steps);
    let guidance = reader.number_in(&["guidance_scale", "guidance"], 0.0, 20.0).unwrap_or(defaults.guidance);
    let clip_skip = reader.whole_in(&["clip_skip", "clipskip"], 1, 8).unwrap_or(1);
    let samples = reader.whole_in(&["samples"], 1, 4).unwrap_or(1);
    GenerateSpec {
        prompt,
        negative_prompt,
        // Within the ranges of the types, as the bounds above say.
        steps: Steps::new(steps.min(MOST_STEPS)).unwrap_or_default(),
        guidance: Guidance::new(guidance as f32).unwrap_or_default(),
        guidance_rescale: GuidanceRescale::default(),
        scheduler: scheduler(reader),
        seed: self::seed(reader, seed),
        noise: NoiseKind::Philox,
        size: size(reader),
        clip_skip: ClipSkip::new(clip_skip).unwrap_or_default(),
        batch: BatchSize::new(samples).unwrap_or_default(),
        init: has_image.then(|| InitImageSpec { strength: Strength::new(strength as f32).unwrap_or_default() }),
    }
}

/// Both sides, cut down to the grid of the latents.
fn size(reader: &mut Reader<'_>) -> ImageSize {
    let mut side = |name| {
        let pixels = reader.whole_in(&[name], SIDES.0, SIDES.1).unwrap_or(512);
        pixels / ImageSize::MULTIPLE * ImageSize::MULTIPLE
    };
    let (width, height) = (side("width"), side("height"));
    ImageSize::new(width, height).unwrap_or_else(|_| unreachable!("sides between {SIDES:?} on the grid"))
}

/// The client's seed, or the one that was drawn for it; -1 is what other services call random.
fn seed(reader: &mut Reader<'_>, drawn: u32) -> Seed {
    let seed = reader.whole(&["seed"]).filter(|&seed| seed != -1);
    if seed.is_some_and(|seed| seed < 0) {
        reader.refuse("seed", FieldProblem::TooSmall(0.0));
    }
    Seed(seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or(u64::from(drawn)))
}

fn scheduler(reader: &mut Reader<'_>) -> Option<SchedulerKind> {
    let karras = reader.flag(&["use_karras_sigmas"]).unwrap_or(true);
    let algorithm = reader.text(&["algorithm_type"]).map(|text| text.trim().to_ascii_lowercase());
    let algorithm = algorithm.map_or(Some(Algorithm::default()), |text| scheduler::algorithm(&text));
    if algorithm.is_none() {
        reader.refuse("algorithm_type", FieldProblem::Unavailable);
    }
    let name = reader.text(&["scheduler"])?;
    match scheduler::kind(name.trim(), karras, algorithm?) {
        Ok(kind) => Some(kind),
        Err(problem) => {
            reader.refuse("scheduler", problem);
            None
        }
    }
}

/// The families with many models must be told which; the others have one, and pass over a name as over any unknown field.
fn model(reader: &mut Reader<'_>, family: Family) -> Option<ModelId> {
    let name = match family {
        Family::Community => reader.required_text(&["model_id"]),
        Family::Enterprise => reader.text(&["model_id"])?,
        _ => return None,
    };
    let model = ModelId::new(name.trim()).ok();
    if model.is_none() && !name.is_empty() {
        reader.refuse("model_id", FieldProblem::Unknown("the models of model_list".to_owned()));
    }
    model
}

/// `"2"` and `"3"` say how much, `yes` means twice.
fn upscale(reader: &mut Reader<'_>) -> u32 {
    match reader.raw(&["upscale"]).map(|(_, value)| value.as_str().map_or_else(|| value.to_string(), str::to_owned)) {
        Some(text) if ["1", "2", "3"].contains(&text.trim()) => reader.whole_in(&["upscale"], 1, 3).unwrap_or(1),
        Some(_) => reader.flag(&["upscale"]).map_or(1, |wanted| if wanted { 2 } else { 1 }),
        None => 1,
    }
}

fn censor(reader: &mut Reader<'_>, family: Family) -> Option<Censor> {
    let defaults = Defaults::of(family);
    let wanted = reader.flag(&["safety_checker", "safetychecker"]).unwrap_or(defaults.is_checked);
    let kind = match reader.text(&["safety_checker_type"]).as_deref().map(str::trim) {
        None => defaults.censor,
        Some("sensitive_content_text") => Censor::SensitiveContentText,
        Some("blur") => Censor::Blur,
        Some("pixelate") => Censor::Pixelate,
        Some("black") => Censor::Black,
        Some(_) => {
            let allowed = "blur, sensitive_content_text, pixelate, black".to_owned();
            reader.refuse("safety_checker_type", FieldProblem::Unknown(allowed));
            defaults.censor
        }
    };
    wanted.then_some(kind)
}

fn delivery(reader: &mut Reader<'_>) -> Delivery {
    Delivery {
        base64: reader.flag(&["base64"]).unwrap_or(false),
        temporary: reader.flag(&["temp"]).unwrap_or(false),
        instant: reader.flag(&["instant_response"]).unwrap_or(false),
        webhook: reader.text(&["webhook"]),
        track_id: reader.raw(&["track_id"]).map(|(_, value)| value.clone()),
    }
}

/// A part that is not there is never left out in silence; `no`, `none` and empty lists say that it is not wanted.
fn refuse_unavailable(reader: &mut Reader<'_>) {
    for name in UNAVAILABLE {
        let Some((_, value)) = reader.raw(&[name]) else { continue };
        let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_ascii_lowercase());
        if !["no", "none", "null", "false", "0", "off", "[]"].contains(&text.as_str()) {
            reader.refuse(name, FieldProblem::Unavailable);
        }
    }
}
