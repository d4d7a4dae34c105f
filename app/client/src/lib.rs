//! The edge's REST API as typed calls.
//!
//! A [`Client`] says what is asked; a [`Transport`] carries it. In a browser that is `Browser`, the page's own `fetch`
//! (feature `browser`); elsewhere it is a few lines around the program's HTTP client. Types and problem codes are the API's own.
//!
//! ```no_run
//! # use client::{Client, ClientError, JobEvent, Transport};
//! # async fn pictures(transport: impl Transport, key: &str, request: client::ImageRequest) -> Result<(), ClientError> {
//! let client = Client::new(transport, "https://pictures.example").with_key(key);
//! let job = client.create_images(&request, "order-17").await?;
//! let mut events = client.job_events(&job.id);
//! while let Some(event) = events.next().await? {
//!     if let JobEvent::Image(image) = event {
//!         let png = client.picture(&image.picture).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod body;
#[cfg(feature = "browser")]
mod browser;
mod client;
mod error;
mod events;
mod parameters;
mod sse;
#[cfg(test)]
mod tests;
mod transport;

pub use api::{
    node::Preview,
    request::{Censor, Delivery, ImageRequest, ImageSource, Task},
    v1::{
        AccountCreated, Code, Estimate, Fault, Image, Job, JobError, JobEvent, JobStatus, Key, KeyCreated, KeyKind,
        Model, NewKey, PictureLink, Scope, Usage,
    },
};
pub use body::{file_of, image_body, inline_image};
#[cfg(feature = "browser")]
pub use browser::{Browser, Stream};
pub use client::Client;
pub use error::{ClientError, Problem};
pub use events::JobEvents;
pub use parameters::parameters;
pub use sse::{Message, Parser, TooLong};
pub use transport::{Body, Method, Request, Response, Transport};
