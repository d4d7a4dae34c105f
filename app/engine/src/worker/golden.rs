//! What only the browser tests and benches ask: recorded cases on this worker's devices, latents that the page never sees, and how
//! long kernels take.
//!
//! A question is `{golden: JSON}` and so is the answer, with the bytes of numbers beside it.

use super::{device, kernel_bench, session::Session, wire::scope};
use burn::tensor::Device;
use diffusion::pipeline::{CancelToken, PipelineRequest, Silent};
use golden::{Data, values};
use js_sys::{Float32Array, Object, Reflect, Uint8Array};
use protocol::DeviceChoice;
use serde_json::{Value, json};
use spec::GenerateSpec;
use std::{cell::RefCell, io, rc::Rc};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::MessageEvent;

const FIELD: &str = "golden";

thread_local! {
    /// A second GPU device in one worker is an error, so all cases share one.
    static GPU: RefCell<Option<Device>> = const { RefCell::new(None) };
}

#[wasm_bindgen]
extern "C" {
    /// The older way to fetch, which alone can wait inside a worker.
    type XMLHttpRequest;
    #[wasm_bindgen(constructor)]
    fn new() -> XMLHttpRequest;
    #[wasm_bindgen(method, catch)]
    fn open(this: &XMLHttpRequest, method: &str, url: &str, is_async: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, setter, js_name = responseType)]
    fn set_response_type(this: &XMLHttpRequest, kind: &str);
    #[wasm_bindgen(method, catch)]
    fn send(this: &XMLHttpRequest) -> Result<(), JsValue>;
    #[wasm_bindgen(method, getter)]
    fn status(this: &XMLHttpRequest) -> u16;
    #[wasm_bindgen(method, getter)]
    fn response(this: &XMLHttpRequest) -> JsValue;
}

/// Takes a message that is a question of a test; gives `false` for any other.
#[expect(clippy::disallowed_methods, reason = "a failure is an answer here, and no event")]
pub fn hears(event: &MessageEvent, session: &Rc<RefCell<Session>>) -> bool {
    let Some(question) = Reflect::get(&event.data(), &FIELD.into()).ok().and_then(|text| text.as_string()) else {
        return false;
    };
    let session = session.clone();
    wasm_bindgen_futures::spawn_local(async move {
        let (answer, numbers) = match answer(&question, &session).await {
            Ok(answer) => answer,
            Err(error) => (json!({ "error": error }), Vec::new()),
        };
        let object = Object::new();
        drop(Reflect::set(&object, &FIELD.into(), &answer.to_string().into()));
        drop(Reflect::set(&object, &"numbers".into(), &Float32Array::from(numbers.as_slice())));
        drop(scope().post_message(&object));
    });
    true
}

async fn answer(question: &str, session: &Rc<RefCell<Session>>) -> Result<(Value, Vec<f32>), String> {
    let question: Value = serde_json::from_str(question).map_err(|error| error.to_string())?;
    if let Some(spec) = question.get("latents") {
        let spec = serde_json::from_value(spec.clone()).map_err(|error| error.to_string())?;
        return latents(&spec, session).await;
    }
    if let Some(stock) = question["stock"].as_bool() {
        kernels::use_stock(stock);
        return Ok((json!({}), Vec::new()));
    }
    if let Some(bench) = question.get("bench") {
        let bench: kernel_bench::Question = serde_json::from_value(bench.clone()).map_err(|error| error.to_string())?;
        let device = open(bench.device()).await?;
        return Ok((json!({ "ms": bench.milliseconds(&device).await? }), Vec::new()));
    }
    let text = |field: &str| question[field].as_str().unwrap_or_default().to_owned();
    let data = Data::new(|path| fetch(&format!("/golden/{path}")));
    let manifest = data.manifest().map_err(|error| format!("{error:#}"))?;
    let name = text("case");
    let case =
        manifest.cases.iter().find(|case| case.name == name).ok_or_else(|| format!("there is no case {name}"))?;
    let device = open(&text("device")).await?;
    let compared = golden::run(case, &data, &device).await.map_err(|error| format!("{error:#}"))?;
    let compared: Vec<Value> = compared
        .iter()
        .map(|one| json!({ "what": one.what, "error": one.error, "tolerance": one.tolerance, "holds": one.holds() }))
        .collect();
    Ok((json!({ "compared": compared }), Vec::new()))
}

async fn latents(spec: &GenerateSpec, session: &Rc<RefCell<Session>>) -> Result<(Value, Vec<f32>), String> {
    let model = session.borrow().model().ok_or("no model is loaded")?;
    let request = PipelineRequest::from_spec(spec, None);
    let made = Box::pin(model.generate(request, &mut Silent, &CancelToken::default()))
        .await
        .map_err(|error| error.to_string())?;
    let shape = made.latents.dims();
    let numbers = values(made.latents).await.map_err(|error| format!("{error:#}"))?;
    Ok((json!({ "shape": shape }), numbers))
}

async fn open(name: &str) -> Result<Device, String> {
    if name == "cpu" {
        return Ok(Device::flex());
    }
    if let Some(device) = GPU.with_borrow(Clone::clone) {
        return Ok(device);
    }
    let chosen = device::choose(DeviceChoice::Webgpu).await.map_err(|error| error.to_string())?;
    GPU.set(Some(chosen.device.clone()));
    Ok(chosen.device)
}

fn fetch(url: &str) -> io::Result<Vec<u8>> {
    let failed = |error: JsValue| io::Error::other(super::error::reason(&error));
    let request = XMLHttpRequest::new();
    request.open("GET", url, false).map_err(failed)?;
    request.set_response_type("arraybuffer");
    request.send().map_err(failed)?;
    match request.status() {
        200 => Ok(Uint8Array::new(&request.response()).to_vec()),
        status => Err(io::Error::other(format!("the server answered {status}"))),
    }
}
