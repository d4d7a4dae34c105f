//! Pictures that come with a request: fetched, decoded from base64, looked up or taken from the body, and stored for the node.
//!
//! Only their first bytes are read here: format and size. What is behind them is the node's to decode, under limits of its own.

use crate::{
    account::op::{Op, UploadRecord},
    egress,
    error::{Failure, Result},
    http::{Call, Presented},
    objects, pictures, random,
};
use api::{
    body::MAX_LENGTH,
    fields::{FieldError, FieldProblem},
    request::{ImageRequest, ImageSource, Task},
};
use base64::{Engine as _, alphabet, engine};
use gateway::image_header::{self, Header};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Where a request's pictures are stored, by the names that the node asks for them under.
pub type Inputs = BTreeMap<String, String>;

/// Some clients wrap lines or leave out the padding.
const BASE64: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The pictures of a task, with the names of their fields.
fn sources(task: &mut Task) -> Vec<(&'static str, &mut ImageSource)> {
    match task {
        Task::Generate { .. } => Vec::new(),
        Task::Edit { image, .. } | Task::Upscale { image, .. } | Task::Crop { image } | Task::Check { image, .. } => {
            vec![("image", image)]
        }
        Task::Inpaint { image, mask, .. } => vec![("image", image), ("mask", mask)],
    }
}

/// Whether a request has pictures.
pub fn has_any(request: &ImageRequest) -> bool {
    !matches!(request.task, Task::Generate { .. })
}

/// Stores every picture of a request, and lets the request name them.
///
/// # Errors
/// [`Failure`] naming the field; what was stored is deleted again.
pub async fn store(call: &Call, who: &Presented, request: &mut ImageRequest) -> Result<Inputs> {
    let mut inputs = Inputs::new();
    for (name, source) in sources(&mut request.task) {
        let stored = match source {
            ImageSource::Upload(id) => lookup(call, who, name, id).await,
            ImageSource::Url(url) => match fetched(call, name, url).await {
                Ok(bytes) => put(call, who, name, bytes).await,
                Err(error) => Err(error),
            },
            ImageSource::Base64(text) => match decode(name, text) {
                Ok(bytes) => put(call, who, name, bytes).await,
                Err(error) => Err(error),
            },
        };
        match stored {
            Ok(object) => {
                inputs.insert(name.to_owned(), object);
                *source = ImageSource::Upload(name.to_owned());
            }
            Err(error) => {
                forget(call, &inputs).await;
                return Err(error);
            }
        }
    }
    Ok(inputs)
}

/// Deletes pictures of a request that was not taken; uploads of their own stay.
pub async fn forget(call: &Call, inputs: &Inputs) {
    for object in inputs.values().filter(|object| object.contains("/inputs/")) {
        // What stays is found when the account's inputs are swept.
        objects::delete(&call.env, object).await.ok();
    }
}

/// A picture by its address; those behind links of our own are taken from where they are.
async fn fetched(call: &Call, name: &str, url: &str) -> Result<Vec<u8>> {
    match pictures::own(call, url).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => egress::picture(&call.env, &call.config, url).await,
        Err(_) => Err(refused(name, "is a link of this server that does not work, or not any more")),
    }
}

async fn lookup(call: &Call, who: &Presented, name: &str, id: &str) -> Result<String> {
    let asked = call.ask::<UploadRecord>(who, Op::Upload { id: id.to_owned() }).await;
    match asked {
        Ok(upload) => Ok(upload.object),
        Err(Failure::Denied(crate::account::op::Denied::NotFound)) => {
            Err(refused(name, "names no upload of this account; it may have expired"))
        }
        Err(error) => Err(error),
    }
}

async fn put(call: &Call, who: &Presented, name: &str, bytes: Vec<u8>) -> Result<String> {
    let header = header(name, &bytes)?;
    let object = format!("{}/inputs/{}", who.account, random::hex(&random::bytes::<16>()?));
    let sha256 = Sha256::digest(&bytes).into();
    objects::put(&call.env, &object, bytes, sha256, header.format.media_type()).await?;
    Ok(object)
}

/// The header of a picture in a field.
///
/// # Errors
/// [`Failure`] naming the field.
pub fn header(name: &str, bytes: &[u8]) -> Result<Header> {
    image_header::read(bytes).map_err(|error| refused(name, &format!("cannot be used: {error}")))
}

/// Bytes from base64, with or without padding and line breaks.
///
/// # Errors
/// [`Failure`] naming the field.
pub fn decode(name: &str, text: &str) -> Result<Vec<u8>> {
    if text.len() > MAX_LENGTH * 4 / 3 + 4 {
        return Err(refused(name, "is larger than 10 MiB"));
    }
    let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(compact).map_err(|_| refused(name, "is neither an address nor base64 of a picture"))
}

/// A field that cannot be used.
pub fn refused(name: &str, words: &str) -> Failure {
    let problem = FieldProblem::Other(words.to_owned());
    Failure::Fields(vec![FieldError { name: name.to_owned(), found: None, problem }])
}
