//! What the user asks for: text as typed, and the checks that turn it into a spec.

use crate::words::sentence;
use protocol::ModelInfo;
use reactive_stores::Store;
use spec::{
    BatchSize, ClipSkip, GenerateSpec, Guidance, GuidanceRescale, ImageSize, InitImageSpec, NoiseKind, SchedulerKind,
    Seed, SpecError, Steps, Strength,
};
use web_sys::Blob;

/// The form's fields; numbers stay text so that what was typed can be shown beside what is wrong with it.
#[derive(Debug, Clone, Store)]
pub struct Form {
    /// What to draw.
    pub prompt: String,
    /// What to keep away from.
    pub negative_prompt: String,
    /// Denoising steps.
    pub steps: String,
    /// Guidance scale.
    pub guidance: String,
    /// Seed of the next run when locked, of the last one otherwise.
    pub seed: String,
    /// The seed stays between runs.
    pub is_seed_locked: bool,
    /// The scheduler; `None` is the model's own.
    pub scheduler: Option<SchedulerKind>,
    /// Size of the pictures; `None` is the model's own.
    pub size: Option<ImageSize>,
    /// Pictures to make.
    pub pictures: String,
    /// The picture to start from.
    pub start: Option<StartPicture>,
    /// Why the last picture could not be taken as a start.
    pub start_error: Option<String>,
    /// How much of the start picture is repainted.
    pub strength: String,
    /// A run was asked for, so that an empty prompt is an error from now on.
    pub was_submitted: bool,
}

/// A picture to start from.
#[derive(Debug, Clone, PartialEq)]
pub struct StartPicture {
    /// The file as it was given.
    pub file: Blob,
    /// Object URL of the file.
    pub url: String,
    /// What it is called.
    pub name: String,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            prompt: String::new(),
            negative_prompt: String::new(),
            steps: Steps::default().get().to_string(),
            guidance: Guidance::default().get().to_string(),
            seed: String::new(),
            is_seed_locked: false,
            scheduler: None,
            size: None,
            pictures: BatchSize::default().get().to_string(),
            start: None,
            start_error: None,
            strength: Strength::default().get().to_string(),
            was_submitted: false,
        }
    }
}

impl Form {
    /// Takes over what a model was tuned for, in every field that the user left alone.
    pub fn take_defaults(&mut self, before: Option<&ModelInfo>, model: &ModelInfo) {
        let fresh = Self::default();
        let (steps, guidance) = before
            .map_or((fresh.steps, fresh.guidance), |before| (before.steps.to_string(), before.guidance.to_string()));
        if self.steps == steps {
            self.steps = model.steps.to_string();
        }
        if self.guidance == guidance {
            self.guidance = model.guidance.to_string();
        }
    }

    /// The spec of the next run, or `None` when a field is wrong.
    pub fn spec(&self, native: ImageSize) -> Option<GenerateSpec> {
        if self.prompt.trim().is_empty() {
            return None;
        }
        let init = match &self.start {
            Some(_) => Some(InitImageSpec { strength: strength(&self.strength).ok()? }),
            None => None,
        };
        Some(GenerateSpec {
            prompt: self.prompt.trim().to_owned(),
            negative_prompt: self.negative_prompt.trim().to_owned(),
            steps: steps(&self.steps).ok()?,
            guidance: guidance(&self.guidance).ok()?,
            guidance_rescale: GuidanceRescale::default(),
            scheduler: self.scheduler,
            seed: seed(&self.seed).ok()?,
            noise: NoiseKind::Philox,
            size: self.size.unwrap_or(native),
            clip_skip: ClipSkip::default(),
            batch: pictures(&self.pictures).ok()?,
            init,
        })
    }

    /// The spec by which the next run's price and time are known: words, and a seed that is drawn later, change neither. `None`
    /// when a field is wrong.
    pub fn measure(&self, native: ImageSize) -> Option<GenerateSpec> {
        let seed = if self.is_seed_locked { self.seed.clone() } else { "0".to_owned() };
        let form = Self { prompt: "a picture".to_owned(), negative_prompt: String::new(), seed, ..self.clone() };
        form.spec(native).map(|spec| GenerateSpec { seed: Seed(0), ..spec })
    }

    /// Fills the fields so that the next run makes `spec` again; the start picture stays as it is.
    pub fn fill(&mut self, spec: &GenerateSpec) {
        self.prompt.clone_from(&spec.prompt);
        self.negative_prompt.clone_from(&spec.negative_prompt);
        self.steps = spec.steps.get().to_string();
        self.guidance = spec.guidance.get().to_string();
        self.seed = spec.seed.0.to_string();
        self.is_seed_locked = true;
        self.scheduler = spec.scheduler;
        self.size = Some(spec.size);
        self.pictures = spec.batch.get().to_string();
        if let Some(init) = spec.init {
            self.strength = init.strength.get().to_string();
        }
    }
}

fn number<T: TryFrom<f64, Error = SpecError>>(name: &str, text: &str) -> Result<T, String> {
    // The decimal comma of half the world's keyboards.
    let value: f64 = text.trim().replace(',', ".").parse().map_err(|_| format!("{name} must be a number"))?;
    T::try_from(value).map_err(|error| sentence(&error.to_string()))
}

fn whole<T: TryFrom<f64, Error = SpecError>>(name: &str, text: &str) -> Result<T, String> {
    if text.contains(['.', ',']) {
        return Err(format!("{name} must be a whole number"));
    }
    number(name, text)
}

/// Checks the number of steps.
pub fn steps(text: &str) -> Result<Steps, String> {
    whole("Steps", text)
}

/// Checks the guidance scale.
pub fn guidance(text: &str) -> Result<Guidance, String> {
    number("Guidance", text)
}

/// Checks the number of pictures.
pub fn pictures(text: &str) -> Result<BatchSize, String> {
    whole::<BatchSize>("Pictures", text).map_err(|error| error.replace("Batch", "Pictures"))
}

/// Checks how much of the start picture is repainted.
pub fn strength(text: &str) -> Result<Strength, String> {
    number("Strength", text)
}

/// Checks a seed.
pub fn seed(text: &str) -> Result<Seed, String> {
    text.trim().parse().map(Seed).map_err(|_| format!("Seed must be a whole number from 0 to {}", u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native() -> ImageSize {
        ImageSize::new(128, 128).expect("a valid size")
    }

    #[test]
    fn errors_name_the_field_and_what_is_allowed() {
        assert_eq!(steps("0").unwrap_err(), "Steps is 0, but must be between 1 and 1000");
        assert_eq!(steps("2.5").unwrap_err(), "Steps must be a whole number");
        assert_eq!(guidance("").unwrap_err(), "Guidance must be a number");
        assert_eq!(guidance("3,5").unwrap(), Guidance::new(3.5).unwrap());
        assert_eq!(pictures("17").unwrap_err(), "Pictures is 17, but must be between 1 and 16");
        assert!(seed("-1").is_err());
        assert_eq!(seed("18446744073709551615").unwrap(), Seed(u64::MAX));
    }

    #[test]
    fn settings_of_a_picture_make_the_same_spec_again() {
        let form = Form { prompt: " a red apple ".into(), seed: "7".into(), ..Form::default() };
        let spec = form.spec(native()).unwrap();
        assert_eq!(spec.prompt, "a red apple");
        let mut other = Form::default();
        other.fill(&spec);
        assert!(other.is_seed_locked);
        assert_eq!(other.spec(ImageSize::new(512, 512).unwrap()), Some(spec));
    }

    #[test]
    fn price_and_time_do_not_wait_for_words() {
        let form = Form { steps: "12".into(), ..Form::default() };
        assert_eq!(form.spec(native()), None);
        let measure = form.measure(native()).unwrap();
        let written = Form { prompt: "a red apple".into(), seed: "7".into(), ..form.clone() };
        assert_eq!(written.measure(native()), Some(measure));
        assert_eq!(Form { steps: "0".into(), ..form }.measure(native()), None);
    }

    #[test]
    fn a_model_fills_only_what_the_user_left_alone() {
        let model = ModelInfo {
            name: "demo".into(),
            native_size: (128, 128),
            guidance: 4.0,
            steps: 12,
            examples: vec![],
            known_words: vec![],
            device_bytes: 0.0,
            load_seconds: 0.0,
        };
        let mut form = Form { steps: "33".into(), ..Form::default() };
        form.take_defaults(None, &model);
        assert_eq!((form.steps.as_str(), form.guidance.as_str()), ("33", "4"));
    }
}
