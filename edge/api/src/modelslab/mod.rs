//! The Stable Diffusion API, as stablediffusionapi.com and `ModelsLab` speak it.

mod answer;
mod calls;
mod enhance;
mod order;
mod parse;
mod route;
mod scheduler;
mod small;

pub use answer::{
    JobView, error, failed, file_name, invalid_key, meta, model_not_found, processing, processing_fetched, quota,
    rate_limited, success, success_fetched, super_resolution as super_resolution_done, unavailable, unreadable_body,
    validation, webhook_failed, webhook_success,
};
pub use calls::{AssetsGenerated, Base64Crop, NsfwImageCheck, credentials};
pub use order::to_string;
pub use parse::{has_size, image_request, super_resolution};
pub use route::{Call, Family, Operation, Route, fetch_path, route};
pub use scheduler::NAMES as SCHEDULERS;

/// What the small calls ask about.
pub mod read {
    pub use super::calls::{
        assets_generated, base64_crop, base64_to_url, delete_image, fetch, model_id, nsfw_image_check,
    };
}

/// What the small calls are answered with.
pub mod small_answer {
    pub use super::small::*;
}

#[cfg(test)]
mod tests;
