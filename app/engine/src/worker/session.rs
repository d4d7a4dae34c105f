//! What the worker holds: a loaded model, and the run that goes on.

use super::{Result, arriving::Arriving, device, error::EngineError, fetch::breathe, say, wire};
use diffusion::{
    infotext::infotext,
    picture::Picture,
    pipeline::{
        CancelToken, GenerateError, Generated, LoadOptions, Loading, ModelFiles, Observer, Part, PipelineRequest,
        PromptEncoder, StableDiffusion, rehearse,
    },
};
use protocol::{DeviceChoice, Event, ImageInfo, ModelInfo};
use spec::{ClipSkip, GenerateSpec, Progress, Seed};
use std::{cell::RefCell, rc::Rc, sync::Arc};
use web_time::Instant;
use weights::TensorSource;

/// A header is never longer; models that are shorter are waited for.
const LONGEST_HEADER: u64 = 16 << 20;
/// Bytes of weights that the CPU backend can hold: its memory ends at 4 GiB, activations and a tensor on its way included.
const CPU_LIMIT: u64 = 3 << 30;

/// A loaded model and the run that goes on.
#[derive(Default)]
pub struct Session {
    model: Option<Rc<StableDiffusion>>,
    /// The text encoder, from the moment that it is on the device.
    prompts: Option<Arc<PromptEncoder>>,
    /// What a run will ask for that waits for the model.
    expected: Option<Expected>,
    run: Option<(u32, CancelToken)>,
}

impl Session {
    /// The loaded model.
    #[cfg(feature = "golden")]
    pub fn model(&self) -> Option<Rc<StableDiffusion>> {
        self.model.clone()
    }

    /// Stops a run, if it is the one that goes on.
    pub fn cancel(&self, run: u32) {
        if let Some((current, token)) = &self.run
            && *current == run
        {
            token.cancel();
        }
    }
}

/// Prompts of a run that waits for the model.
pub struct Expected {
    /// What will be drawn.
    pub prompt: String,
    /// What to keep away from.
    pub negative_prompt: String,
    /// Which text-encoder layer is used.
    pub clip_skip: ClipSkip,
}

/// Encodes prompts now, or as soon as the text encoder is here; the run finds them done.
///
/// # Errors
/// [`EngineError::Generate`] when the device fails.
pub async fn expect(session: &Rc<RefCell<Session>>, expected: Expected) -> Result<()> {
    session.borrow_mut().expected = Some(expected);
    encode_expected(session).await
}

async fn encode_expected(session: &Rc<RefCell<Session>>) -> Result<()> {
    let (encoder, expected) = {
        let mut session = session.borrow_mut();
        let Some(encoder) = session.prompts.clone() else { return Ok(()) };
        let Some(expected) = session.expected.take() else { return Ok(()) };
        (encoder, expected)
    };
    let Expected { prompt, negative_prompt, clip_skip } = expected;
    // The negative prompt always comes from the last layer, as in the pipeline.
    for (text, clip_skip) in [(prompt, clip_skip.get() as usize), (negative_prompt, 1)] {
        // A prompt that cannot be followed is told by the run.
        let Ok(encoded) = encoder.encode(&[text], clip_skip) else { continue };
        // Reading a value back makes the device begin.
        let first = encoded.states.slice([0..1, 0..1, 0..1]).into_data_async().await;
        first.map_err(GenerateError::Device)?;
    }
    Ok(())
}

/// Chooses a device, fetches a model and puts it there.
///
/// # Errors
/// [`EngineError`] naming what failed; verified parts stay stored.
pub async fn load(session: &Rc<RefCell<Session>>, manifest_url: &str, choice: DeviceChoice) -> Result<()> {
    let started = Instant::now();
    {
        let mut session = session.borrow_mut();
        (session.model, session.prompts) = (None, None);
    }
    let chosen = device::choose(choice).await?;
    say(&Event::Device(chosen.report.clone()));
    let arriving = Arriving::begin(manifest_url).await?;
    arriving.until(0, LONGEST_HEADER).await?;
    let source: Rc<dyn TensorSource> = Rc::from(weights::open(Box::new(arriving.storage.clone()))?);
    let files = ModelFiles::from_gguf(&source)?;
    let options = LoadOptions::for_files(&files);
    let bytes = options.device_bytes(&files, chosen.report.device == DeviceChoice::Webgpu);
    if chosen.report.device == DeviceChoice::Cpu && bytes > CPU_LIMIT {
        return Err(EngineError::TooLargeForCpu { bytes });
    }
    let mut loading = Loading::new(&files, &chosen.device, options).map_err(EngineError::Model)?;
    // Shaders are compiled while the weights are on their way; where that fails, they are when they are needed.
    rehearse(&loading, &mut Rehearsing).await;
    // What is here goes onto the device while the rest is on its way, in the order of the file.
    for (part, start, end) in parts(&*source) {
        arriving.until(start, end).await?;
        // What the rehearsal took; not all of it is given back at once.
        chosen.device.memory_cleanup();
        loading.load(part)?;
        if part == Part::TextEncoder {
            session.borrow_mut().prompts = loading.prompts();
            encode_expected(session).await?;
        }
        // So that the next range is asked for before the next part keeps the worker busy.
        breathe().await;
    }
    arriving.whole().await?;
    let model = loading.finish()?;
    chosen.device.memory_cleanup();
    let card = model.card();
    say(&Event::Ready(ModelInfo {
        name: card.name.clone(),
        native_size: card.native_size.unwrap_or((512, 512)),
        guidance: card.guidance.unwrap_or(7.5),
        steps: card.steps.unwrap_or(20),
        examples: card.examples.clone(),
        known_words: card.known_words.clone(),
        device_bytes: model.device_bytes() as f64,
        load_seconds: started.elapsed().as_secs_f64(),
    }));
    session.borrow_mut().model = Some(Rc::new(model));
    Ok(())
}

/// The parts that can be loaded before the whole file is here, with the bytes they lie between, first come first.
fn parts(source: &dyn TensorSource) -> Vec<(Part, u64, u64)> {
    let mut parts: Vec<_> = [Part::TextEncoder, Part::UNet]
        .into_iter()
        .filter_map(|part| {
            let tensors = || source.tensors().iter().filter(|info| part.contains(&info.name));
            let start = tensors().map(|info| info.offset).min()?;
            Some((part, start, tensors().map(|info| info.offset + info.bytes).max()?))
        })
        .collect();
    parts.sort_by_key(|&(_, _, end)| end);
    parts
}

/// Makes pictures.
///
/// # Errors
/// [`EngineError`]; a cancelled run is no error.
pub async fn generate(
    session: &Rc<RefCell<Session>>,
    run: u32,
    spec: GenerateSpec,
    init: Option<(ImageInfo, Vec<u8>)>,
) -> Result<()> {
    let started = Instant::now();
    let token = CancelToken::default();
    let model = begin(session, run, &token)?;
    let outcome = made(&model, run, &spec, init, &token).await;
    session.borrow_mut().run = None;
    let cancelled = match outcome {
        Ok(generated) => {
            send_pictures(&model, run, &spec, &generated)?;
            false
        }
        Err(EngineError::Generate(GenerateError::Cancelled)) => true,
        Err(error) => return Err(error),
    };
    say(&Event::Done {
        run,
        cancelled,
        seconds: started.elapsed().as_secs_f64(),
        wasm_memory_bytes: (core::arch::wasm32::memory_size(0) * 65_536) as f64,
    });
    Ok(())
}

fn begin(session: &Rc<RefCell<Session>>, run: u32, token: &CancelToken) -> Result<Rc<StableDiffusion>> {
    let mut session = session.borrow_mut();
    let model = session.model.clone().ok_or(EngineError::NotLoaded)?;
    if session.run.is_some() {
        return Err(EngineError::Busy);
    }
    session.run = Some((run, token.clone()));
    Ok(model)
}

async fn made(
    model: &StableDiffusion,
    run: u32,
    spec: &GenerateSpec,
    init: Option<(ImageInfo, Vec<u8>)>,
    token: &CancelToken,
) -> Result<Generated> {
    let picture = init.map(|(info, rgba)| init_picture(info, &rgba)).transpose()?;
    let request = PipelineRequest::from_spec(spec, picture.as_ref().map(|picture| (picture, model.device())));
    Ok(Box::pin(model.generate(request, &mut Page { run }, token)).await?)
}

fn init_picture(info: ImageInfo, rgba: &[u8]) -> Result<Picture> {
    let expected = info.width as usize * info.height as usize * 4;
    if rgba.len() == expected {
        Ok(Picture::from_rgba(rgba, info.width, info.height))
    } else {
        Err(EngineError::InitImage { found: rgba.len(), expected })
    }
}

fn send_pictures(model: &StableDiffusion, run: u32, spec: &GenerateSpec, generated: &Generated) -> Result<()> {
    let scheduler = spec.scheduler.unwrap_or_else(|| model.default_scheduler());
    for (index, picture) in (0u32..).zip(&generated.pictures) {
        let seed = Seed(spec.seed.0.wrapping_add(u64::from(index)));
        let parameters = infotext(&GenerateSpec { seed, ..spec.clone() }, scheduler, &model.card().name);
        let png = picture.to_png(&parameters)?;
        let info = ImageInfo { width: picture.width, height: picture.height };
        wire::post(&Event::Image { run, index, seed, info, parameters }, Some(&png));
    }
    Ok(())
}

/// Nobody looks, and messages are heard in between.
struct Rehearsing;

impl Observer for Rehearsing {
    fn wants_preview(&self, _step: u32, _of: u32) -> bool {
        true
    }

    fn pause(&mut self) -> impl Future<Output = ()> {
        breathe()
    }
}

/// The page, as the pipeline sees it.
struct Page {
    run: u32,
}

impl Observer for Page {
    fn progress(&mut self, progress: Progress) {
        say(&Event::Progress { run: self.run, progress });
    }

    fn wants_preview(&self, _step: u32, _of: u32) -> bool {
        true
    }

    fn preview(&mut self, index: u32, picture: Picture) {
        let info = ImageInfo { width: picture.width, height: picture.height };
        wire::post(&Event::Preview { run: self.run, index, info }, Some(&picture.to_rgba()));
    }

    fn pause(&mut self) -> impl Future<Output = ()> {
        breathe()
    }
}
