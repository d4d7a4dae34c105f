//! The calls.

use crate::{
    body::image_body,
    error::{ClientError, Problem},
    events::JobEvents,
    transport::{Method, Request, Response, Transport},
};
use api::{
    request::ImageRequest,
    v1::{AccountCreated, Estimate, Job, Key, KeyCreated, KeyList, Model, ModelList, NewKey, PictureLink, Usage},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{fmt, time::Duration};

/// Waits before the same request is sent again.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// An edge, and who asks it.
#[derive(Clone)]
pub struct Client<T> {
    transport: T,
    base: String,
    key: Option<String>,
}

impl<T> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "…");
        f.debug_struct("Client").field("base", &self.base).field("key", &key).finish_non_exhaustive()
    }
}

impl<T: Transport> Client<T> {
    /// Asks the edge at `base`, such as `https://pictures.example`, without a key. In a page, an empty `base` is where the page
    /// came from.
    pub fn new(transport: T, base: impl Into<String>) -> Self {
        let mut base = base.into();
        base.truncate(base.trim_end_matches('/').len());
        Self { transport, base, key: None }
    }

    /// The same, under a key.
    #[must_use]
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Makes an account; its key is in the answer and never again.
    ///
    /// # Errors
    /// [`ClientError`]; [`Code::RateLimited`](crate::Code) when there were too many from this address.
    pub async fn sign_up(&self) -> Result<AccountCreated, ClientError> {
        self.call(Method::Post, "/v1/accounts", Some(json!({}))).await
    }

    /// Deletes the key's account and everything in it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_account(&self) -> Result<(), ClientError> {
        self.tell(Method::Delete, "/v1/account", None).await
    }

    /// The models that nodes have.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn models(&self) -> Result<Vec<Model>, ClientError> {
        self.call(Method::Get, "/v1/models", None).await.map(|ModelList { models }| models)
    }

    /// What a request would cost and how long it would take; nothing is made or charged.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn estimate(&self, request: &ImageRequest) -> Result<Estimate, ClientError> {
        self.call(Method::Post, "/v1/images/estimate", Some(image_body(request))).await
    }

    /// Orders pictures; `once` is a name of the caller's choice under which the same order is taken once only, however often
    /// it is sent.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_images(&self, request: &ImageRequest, once: &str) -> Result<Job, ClientError> {
        let mut request = self.request(Method::Post, "/v1/images", Some(image_body(request)));
        request.headers.push(("idempotency-key", once.to_owned()));
        self.read(&request, &self.patiently(&request).await?)
    }

    /// A job as it stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn job(&self, id: &str) -> Result<Job, ClientError> {
        self.call(Method::Get, &format!("/v1/jobs/{id}"), None).await
    }

    /// What happens to a job, from its beginning to its end.
    pub fn job_events(&self, id: &str) -> JobEvents<'_, T> {
        JobEvents::new(self, format!("/v1/jobs/{id}/events"))
    }

    /// Stops a job; what was not made is not paid.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_job(&self, id: &str) -> Result<Job, ClientError> {
        self.call(Method::Post, &format!("/v1/jobs/{id}/cancel"), Some(json!({}))).await
    }

    /// The file of a finished picture, from the edge that this client asks, by whatever name the link calls it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn picture(&self, picture: &PictureLink) -> Result<Vec<u8>, ClientError> {
        let path = path_of(&picture.url);
        let mut request = self.request(Method::Get, path, None);
        // The link itself says who may, and an image is wanted.
        request.headers = vec![("accept", "image/*".to_owned())];
        self.patiently(&request).await
    }

    /// What the key's account has used and has left.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn usage(&self) -> Result<Usage, ClientError> {
        self.call(Method::Get, "/v1/usage", None).await
    }

    /// The account's keys, without their secret part.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn keys(&self) -> Result<Vec<Key>, ClientError> {
        self.call(Method::Get, "/v1/keys", None).await.map(|KeyList { keys }| keys)
    }

    /// Makes a key, which is in the answer and never again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_key(&self, key: &NewKey) -> Result<KeyCreated, ClientError> {
        self.call(Method::Post, "/v1/keys", Some(json!(key))).await
    }

    /// Replaces a key's secret part; the old one stops working at once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rotate_key(&self, id: &str) -> Result<KeyCreated, ClientError> {
        self.call(Method::Post, &format!("/v1/keys/{id}/rotate"), Some(json!({}))).await
    }

    /// Deletes a key, which stops working at once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_key(&self, id: &str) -> Result<(), ClientError> {
        self.tell(Method::Delete, &format!("/v1/keys/{id}"), None).await
    }

    pub(crate) const fn transport(&self) -> &T {
        &self.transport
    }

    /// The body of a stream of events, after the event `last_id`.
    pub(crate) async fn stream(&self, path: &str, last_id: Option<&str>) -> Result<T::Body, ClientError> {
        let mut request = self.request(Method::Get, path, None);
        request.headers.retain(|(name, _)| *name != "accept");
        request.headers.push(("accept", "text/event-stream".to_owned()));
        request.headers.extend(last_id.map(|id| ("last-event-id", id.to_owned())));
        self.open(request).await
    }

    pub(crate) fn unreadable(&self, method: Method, path: &str, reason: &dyn fmt::Display) -> ClientError {
        ClientError::Unreadable {
            request: format!("{} {}{path}", method.as_str(), self.base),
            reason: reason.to_string(),
        }
    }

    fn request(&self, method: Method, path: &str, body: Option<Value>) -> Request {
        let mut headers = vec![("accept", "application/json".to_owned())];
        headers.extend(self.key.as_ref().map(|key| ("authorization", format!("Bearer {key}"))));
        headers.extend(body.as_ref().map(|_| ("content-type", "application/json".to_owned())));
        Request { method, url: format!("{}{path}", self.base), headers, body: body.map(|body| body.to_string()) }
    }

    async fn call<D: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<D, ClientError> {
        self.answer(self.request(method, path, body)).await
    }

    async fn tell(&self, method: Method, path: &str, body: Option<Value>) -> Result<(), ClientError> {
        self.bytes(self.request(method, path, body)).await.map(drop)
    }

    async fn answer<D: DeserializeOwned>(&self, request: Request) -> Result<D, ClientError> {
        self.read(&request, &self.bytes(request.clone()).await?)
    }

    fn read<D: DeserializeOwned>(&self, request: &Request, body: &[u8]) -> Result<D, ClientError> {
        let path = request.url.strip_prefix(&self.base).unwrap_or(&request.url);
        serde_json::from_slice(body).map_err(|error| self.unreadable(request.method, path, &error))
    }

    /// Sends a request that does no harm when it arrives twice, again when its answer is lost.
    async fn patiently(&self, request: &Request) -> Result<Vec<u8>, ClientError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let answer = self.bytes(request.clone()).await;
            let Err(ClientError::Transport(_)) = answer else { return answer };
            let Some(pause) = pauses.next() else { return answer };
            self.transport.pause(pause).await;
        }
    }

    async fn bytes(&self, request: Request) -> Result<Vec<u8>, ClientError> {
        collect(self.open(request).await?).await
    }

    /// The body of an answer that is none of an error.
    async fn open(&self, request: Request) -> Result<T::Body, ClientError> {
        let Response { status, retry_after, body } =
            self.transport.send(request).await.map_err(ClientError::Transport)?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let text = collect(body).await.unwrap_or_default();
        Err(ClientError::Problem(Box::new(Problem::read(status, &text, retry_after))))
    }
}

async fn collect(mut body: impl crate::transport::Body) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await.map_err(ClientError::Transport)? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A link without its origin.
fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map(|(_, rest)| rest);
    after_scheme.map_or(url, |rest| rest.find('/').map_or("/", |slash| &rest[slash..]))
}
