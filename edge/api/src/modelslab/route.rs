//! Which call a path means.
//!
//! The same calls stand under many prefixes, because the service grew by versions and its clients stayed: what is called counts,
//! not where it stands. Only the family of a prefix is kept, since it decides defaults and the shape of answers.

/// The prefixes that answer alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `v3`: one model, no `model_id`.
    Single,
    /// `v3/dreambooth`, `v4/dreambooth`, `v6/images`: a model by `model_id`.
    Community,
    /// `v6/realtime`.
    Realtime,
    /// `v6/image_editing` and what became of it.
    Editing,
    /// `v1/enterprise`.
    Enterprise,
    /// Calls about the account and its files.
    General,
}

impl Family {
    /// Whether its older answers spell `message` as `messege`.
    pub const fn says_messege(self) -> bool {
        matches!(self, Self::Single | Self::Community | Self::General)
    }
}

/// How a picture comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// From words.
    TextToImage,
    /// From a picture and words.
    ImageToImage,
    /// From a picture with a hole and words.
    Inpaint,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Makes pictures.
    Generate(Operation),
    /// Enlarges a picture.
    SuperResolution,
    /// Asks for a job; the number may stand in the body instead.
    Fetch(Option<String>),
    /// How busy the pool is.
    SystemLoad,
    /// The same for an enterprise server.
    SystemDetails,
    /// The models one may name.
    ModelList,
    /// The same for an enterprise server.
    AllModels,
    /// Whether a model is there.
    VerifyModel,
    /// Loads a model again; here models are loaded when they are needed.
    ModelReload,
    /// The schedulers one may name.
    SchedulersList,
    /// Stores a picture that came as base64.
    Base64ToUrl,
    /// The same, and cuts it to a square.
    Base64Crop,
    /// Deletes a job's pictures.
    DeleteImage,
    /// Whether a picture is fit for work.
    NsfwImageCheck,
    /// Credits left.
    WalletBalance,
    /// The plan and what is left of it.
    SubscribedProducts,
    /// A call whose model part is not built.
    Unavailable(&'static str),
}

/// A path that means a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Decides defaults and shapes.
    pub family: Family,
    /// What is asked.
    pub call: Call,
}

/// What a path means; `None` when nothing is there. The path is the one that was asked for, without query.
pub fn route(path: &str) -> Option<Route> {
    let path = path.strip_prefix("/api/")?;
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let version = parts.first().copied()?;
    let is_version =
        version.len() > 1 && version.starts_with('v') && version.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    if !is_version {
        return match parts.as_slice() {
            ["wallet_balance"] => Some(Route { family: Family::General, call: Call::WalletBalance }),
            ["subscribed_products"] => Some(Route { family: Family::General, call: Call::SubscribedProducts }),
            _ => None,
        };
    }
    parts.remove(0);
    let (family, rest) = family(version, &parts);
    call(family, rest).map(|call| Route { family, call })
}

fn family<'p>(version: &str, parts: &'p [&'p str]) -> (Family, &'p [&'p str]) {
    match parts {
        ["enterprise", rest @ ..] => (Family::Enterprise, enterprise_family(rest)),
        ["dreambooth" | "images", rest @ ..] => (Family::Community, rest),
        ["realtime", rest @ ..] => (Family::Realtime, rest),
        ["image_editing", rest @ ..] => (Family::Editing, rest),
        rest if version == "v5" => (Family::Editing, rest),
        rest => (Family::Single, rest),
    }
}

/// Enterprise servers repeat their family's name before the call.
fn enterprise_family<'p>(parts: &'p [&'p str]) -> &'p [&'p str] {
    match parts {
        ["images" | "txt2img" | "realtime" | "image_editing", rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    }
}

fn call(family: Family, parts: &[&str]) -> Option<Call> {
    Some(match parts {
        // `v3/dreambooth` and `v4/dreambooth` themselves make pictures.
        [] if family == Family::Community => Call::Generate(Operation::TextToImage),
        ["text2img" | "txt2img" | "text_to_image"] => Call::Generate(Operation::TextToImage),
        ["img2img"] => Call::Generate(Operation::ImageToImage),
        ["inpaint"] => Call::Generate(Operation::Inpaint),
        ["super_resolution" | "super-resolution"] => Call::SuperResolution,
        ["fetch"] => Call::Fetch(None),
        ["fetch", id] => Call::Fetch(Some((*id).to_owned())),
        ["system_load"] => Call::SystemLoad,
        ["system_details"] => Call::SystemDetails,
        ["model_list"] => Call::ModelList,
        ["get_all_models"] => Call::AllModels,
        ["verify_model"] => Call::VerifyModel,
        ["model_reload"] => Call::ModelReload,
        ["schedulers_list"] => Call::SchedulersList,
        ["base64_to_url" | "upload_image"] => Call::Base64ToUrl,
        ["base64_crop"] => Call::Base64Crop,
        ["delete_image"] => Call::DeleteImage,
        ["nsfw_image_check"] => Call::NsfwImageCheck,
        [name] => Call::Unavailable(UNAVAILABLE.iter().find(|(known, _)| known == name)?.1),
        _ => return None,
    })
}

/// Calls of the service whose model part is not built, and what they would do.
const UNAVAILABLE: [(&str, &str); 17] = [
    ("controlnet", "ControlNet"),
    ("outpaint", "outpainting"),
    ("removebg_mask", "background removal"),
    ("object_removal", "object removal"),
    ("mask_creator", "mask creation"),
    ("face_gen", "face generation"),
    ("head_shot", "head shots"),
    ("fashion", "fashion try-on"),
    ("img_mixer", "image mixing"),
    ("caption", "captions"),
    ("qwen_edit", "Qwen editing"),
    ("interior", "interior design"),
    ("pix2pix", "image-guided editing"),
    ("depth2img", "depth to image"),
    ("relighting", "relighting"),
    ("txt_to_3d", "text to 3D"),
    ("img_to_3d", "image to 3D"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> (Family, Call) {
        let Route { family, call } = route(path).unwrap_or_else(|| panic!("nothing is at {path}"));
        (family, call)
    }

    #[test]
    fn every_prefix_leads_to_its_call() {
        use {Call::*, Family::*, Operation::*};
        for (path, family, call) in [
            ("/api/v3/text2img", Single, Generate(TextToImage)),
            ("/api/v3/img2img", Single, Generate(ImageToImage)),
            ("/api/v3/inpaint", Single, Generate(Inpaint)),
            ("/api/v3/system_load", Single, SystemLoad),
            ("/api/v3/dreambooth", Community, Generate(TextToImage)),
            ("/api/v4/dreambooth/", Community, Generate(TextToImage)),
            ("/api/v4/dreambooth/img2img", Community, Generate(ImageToImage)),
            ("/api/v4/dreambooth/model_list", Community, ModelList),
            ("/api/v6/images/text2img", Community, Generate(TextToImage)),
            ("/api/v6/images/inpaint", Community, Generate(Inpaint)),
            ("/api/v6/realtime/text2img", Realtime, Generate(TextToImage)),
            ("/api/v6/image_editing/super_resolution", Editing, SuperResolution),
            ("/api/v1/image_editing/super_resolution", Editing, SuperResolution),
            ("/api/v5/super_resolution", Editing, SuperResolution),
            ("/api/v3/super_resolution", Single, SuperResolution),
            ("/api/v6/base64_to_url", Single, Base64ToUrl),
            ("/api/v3/base64_crop", Single, Base64Crop),
            ("/api/v3/delete_image", Single, DeleteImage),
            ("/api/v3/nsfw_image_check", Single, NsfwImageCheck),
            ("/api/wallet_balance", General, WalletBalance),
            ("/api/subscribed_products", General, SubscribedProducts),
            ("/api/v1/enterprise/text2img", Enterprise, Generate(TextToImage)),
            ("/api/v1/enterprise/images/text2img", Enterprise, Generate(TextToImage)),
            ("/api/v1/enterprise/txt2img/img2img", Enterprise, Generate(ImageToImage)),
            ("/api/v1/enterprise/schedulers_list", Enterprise, SchedulersList),
            ("/api/v1/enterprise/system_details", Enterprise, SystemDetails),
            ("/api/v5/controlnet", Editing, Unavailable("ControlNet")),
            ("/api/v6/images/controlnet", Community, Unavailable("ControlNet")),
        ] {
            assert_eq!(found(path), (family, call), "{path}");
        }
    }

    #[test]
    fn a_job_can_be_fetched_under_every_family() {
        for prefix in [
            "v3",
            "v3/dreambooth",
            "v4/dreambooth",
            "v6/images",
            "v7/images",
            "v6/realtime",
            "v6/image_editing",
            "v1/enterprise",
        ] {
            assert_eq!(found(&format!("/api/{prefix}/fetch")).1, Call::Fetch(None));
            assert_eq!(found(&format!("/api/{prefix}/fetch/12202888")).1, Call::Fetch(Some("12202888".to_owned())));
        }
    }

    #[test]
    fn nothing_else_is_there() {
        for path in [
            "",
            "/",
            "/api",
            "/api/",
            "/api/v3",
            "/api/v",
            "/api/vx/text2img",
            "/v3/text2img",
            "/api/v3/text2img/1",
            "/api/v3/fetch/1/2",
            "/api/v3/../x",
        ] {
            assert_eq!(route(path), None, "{path}");
        }
    }
}
