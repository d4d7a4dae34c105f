//! The Stable Diffusion API, as stablediffusionapi.com and `ModelsLab` speak it.

mod answer;
mod enhance;
mod parse;
mod route;
mod scheduler;

pub use answer::{
    JobView, error, failed, file_name, invalid_key, meta, model_not_found, processing, processing_fetched, quota,
    rate_limited, success, success_fetched, super_resolution as super_resolution_done, validation,
};
pub use parse::{image_request, super_resolution};
pub use route::{Call, Family, Operation, Route, route};
pub use scheduler::NAMES as SCHEDULERS;

#[cfg(test)]
mod tests;
