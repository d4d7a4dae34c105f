//! What the worker holds: a loaded model, and the run that goes on.

use super::{Result, device, download::fetch_model, error::EngineError, fetch::breathe, say, wire};
use diffusion::{
    infotext::infotext,
    picture::Picture,
    pipeline::{
        CancelToken, GenerateError, Generated, LoadOptions, ModelFiles, Observer, PipelineRequest, StableDiffusion,
    },
};
use protocol::{DeviceChoice, Event, ImageInfo, ModelInfo};
use spec::{GenerateSpec, Progress, Seed};
use std::{cell::RefCell, rc::Rc};
use web_time::Instant;

/// A loaded model and the run that goes on.
#[derive(Default)]
pub struct Session {
    model: Option<Rc<StableDiffusion>>,
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

/// Chooses a device, fetches a model and puts it there.
///
/// # Errors
/// [`EngineError`] naming what failed; verified parts stay stored.
pub async fn load(session: &Rc<RefCell<Session>>, manifest_url: &str, choice: DeviceChoice) -> Result<()> {
    let started = Instant::now();
    session.borrow_mut().model = None;
    let chosen = device::choose(choice).await?;
    say(&Event::Device(chosen.report.clone()));
    let fetched = fetch_model(manifest_url).await?;
    let source = weights::open(Box::new(fetched.storage))?;
    let files = ModelFiles::from_gguf(&Rc::from(source))?;
    let model = StableDiffusion::load(&files, &chosen.device, LoadOptions::for_files(&files))?;
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
    Ok(model.generate(request, &mut Page { run }, token).await?)
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
