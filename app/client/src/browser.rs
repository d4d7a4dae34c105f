//! Requests by the page's own `fetch`.

use crate::transport::{Body, Method, Request, Response, Transport};
use gloo_net::http::{Method as HttpMethod, RequestBuilder};
use js_sys::{Function, Promise, Reflect, Uint8Array};
use std::time::Duration;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, ReadableStreamReadResult, RequestCache, RequestCredentials};

/// `fetch` of the page or worker that this runs in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Browser;

impl Transport for Browser {
    type Body = Stream;

    async fn send(&self, request: Request) -> Result<Response<Stream>, String> {
        let method = match request.method {
            Method::Get => HttpMethod::GET,
            Method::Post => HttpMethod::POST,
            Method::Delete => HttpMethod::DELETE,
        };
        let builder = RequestBuilder::new(&request.url)
            .method(method)
            .cache(RequestCache::NoStore)
            .credentials(RequestCredentials::Omit);
        let builder = request.headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
        let built = match request.body {
            Some(body) => builder.body(body),
            None => builder.build(),
        };
        let response = built.map_err(|error| error.to_string())?.send().await.map_err(|error| error.to_string())?;
        let retry_after = response.headers().get("retry-after").and_then(|seconds| seconds.parse().ok());
        // An answer without a body, such as 204, has no stream either.
        let reader = response.body().map(|stream| stream.get_reader().unchecked_into());
        Ok(Response { status: response.status(), retry_after, body: Stream(reader) })
    }

    async fn pause(&self, pause: Duration) {
        let promise = Promise::new(&mut |resolve, _| {
            let timer = Reflect::get(&js_sys::global(), &"setTimeout".into());
            if let Some(timer) = timer.ok().and_then(|timer| timer.dyn_into::<Function>().ok()) {
                timer.call2(&JsValue::UNDEFINED, &resolve, &JsValue::from_f64(pause.as_secs_f64() * 1000.0)).ok();
            }
        });
        JsFuture::from(promise).await.ok();
    }
}

/// The body of an answer of `fetch`.
#[derive(Debug)]
pub struct Stream(Option<ReadableStreamDefaultReader>);

impl Body for Stream {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, String> {
        let Some(reader) = &self.0 else { return Ok(None) };
        let result = JsFuture::from(reader.read()).await.map_err(|error| reason(&error))?;
        let result: ReadableStreamReadResult = result.unchecked_into();
        if result.get_done() == Some(true) {
            self.0 = None;
            return Ok(None);
        }
        Ok(Some(Uint8Array::new(&result.get_value()).to_vec()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(reader) = self.0.take() {
            // Nobody waits for it, but a promise that fails unheard is an error of the page.
            drop(JsFuture::from(reader.cancel()));
        }
    }
}

fn reason(error: &JsValue) -> String {
    let message = Reflect::get(error, &"message".into()).ok().and_then(|text| text.as_string());
    message.unwrap_or_else(|| "the connection was lost".to_owned())
}
