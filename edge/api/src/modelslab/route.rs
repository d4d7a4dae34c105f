//! Which call a path means.
//!
//! The same calls stand under many prefixes, because the service grew by versions and its clients stayed: what is called counts,
//! not where it stands. Only the family of a prefix is kept, since it decides defaults and the shape of answers.

/// The prefixes that answer alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Family {
    /// `v3`: one model, no `model_id`.
    Single,
    /// `v3/dreambooth`, `v4/dreambooth`, `v6/images`: a model by `model_id`.
    Community,
    /// `v6/realtime`.
    Realtime,
    /// `v6/image_editing`.
    Editing,
    /// `v1/enterprise`.
    Enterprise,
    /// Calls about the account and its files.
    General,
}

impl Family {
    /// Whether its answers spell `message` as `messege`.
    pub const fn says_messege(self) -> bool {
        matches!(self, Self::Single | Self::Community | Self::Enterprise | Self::General)
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
    /// Jobs of the account that wait or run.
    RequestCount,
    /// The account's latest jobs with their pictures.
    AssetsGenerated,
    /// Forgets what is cached for the account, which is nothing here.
    ClearCache,
    /// Takes back every job of the account that waits.
    ClearQueue,
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
    let mut parts = parts(path)?;
    if !is_version(parts.first()?) {
        let call = match parts.as_slice() {
            ["wallet_balance"] => Call::WalletBalance,
            ["subscribed_products"] => Call::SubscribedProducts,
            ["check_nsfw_cp"] => Call::Unavailable("the check of prompts"),
            _ => return None,
        };
        return Some(Route { family: Family::General, call });
    }
    parts.remove(0);
    let (family, rest) = family(&parts);
    call(family, rest).map(|call| Route { family, call })
}

/// Where a job is fetched that was asked for at a path, below the server's address: under the same prefix, so that a client that
/// was told one prefix stays there.
pub fn fetch_path(path: &str, id: u64) -> String {
    let mut parts = parts(path).unwrap_or_default();
    if parts.len() < 2 || !is_version(parts[0]) {
        parts = vec!["v3", ""];
    }
    // `v3/dreambooth` is a prefix and a call at once.
    if parts.last().is_some_and(|last| *last != "dreambooth") {
        parts.pop();
    }
    format!("/api/{}/fetch/{id}", parts.join("/"))
}

fn parts(path: &str) -> Option<Vec<&str>> {
    Some(path.strip_prefix("/api/")?.split('/').filter(|part| !part.is_empty()).collect())
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn family<'p>(parts: &'p [&'p str]) -> (Family, &'p [&'p str]) {
    match parts {
        ["enterprise", rest @ ..] => (Family::Enterprise, enterprise_family(rest)),
        ["dreambooth" | "images", rest @ ..] => (Family::Community, rest),
        ["realtime", rest @ ..] => (Family::Realtime, rest),
        ["image_editing", rest @ ..] => (Family::Editing, rest),
        rest => (Family::Single, rest),
    }
}

/// Enterprise servers repeat their family's name before the call.
fn enterprise_family<'p>(parts: &'p [&'p str]) -> &'p [&'p str] {
    match parts {
        ["images" | "txt2img" | "realtime" | "image_editing" | "super_resolution" | "flux", rest @ ..]
            if !rest.is_empty() =>
        {
            rest
        }
        rest => rest,
    }
}

fn call(family: Family, parts: &[&str]) -> Option<Call> {
    Some(match parts {
        // `v3/dreambooth` and `v4/dreambooth` themselves make pictures.
        [] if family == Family::Community => Call::Generate(Operation::TextToImage),
        ["text2img" | "txt2img" | "text_to_image"] => Call::Generate(Operation::TextToImage),
        ["img2img" | "image_to_image"] => Call::Generate(Operation::ImageToImage),
        ["inpaint"] => Call::Generate(Operation::Inpaint),
        ["super_resolution" | "super-resolution"] => Call::SuperResolution,
        // Clients try one prefix after another, also those of families that are not here.
        ["fetch"] | [_, "fetch"] => Call::Fetch(None),
        ["fetch", id] | [_, "fetch", id] => Call::Fetch(Some((*id).to_owned())),
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
        ["wallet_balance"] => Call::WalletBalance,
        ["subscribed_products"] => Call::SubscribedProducts,
        ["processing", "request_count"] => Call::RequestCount,
        ["assets_generated"] => Call::AssetsGenerated,
        ["clear_cache"] => Call::ClearCache,
        ["clear_queue"] => Call::ClearQueue,
        [name, ..] => Call::Unavailable(unavailable(name, parts.len())?),
        [] => return None,
    })
}

/// What a call of the service would do whose part is not built; `parts` is the length of the path that the name begins.
fn unavailable(name: &str, parts: usize) -> Option<&'static str> {
    let known = |table: &[(&str, &'static str)]| table.iter().find(|(known, _)| *known == name).map(|(_, what)| *what);
    let prefix = || known(&UNAVAILABLE_PREFIXES);
    if parts == 1 { known(&UNAVAILABLE).or_else(prefix) } else { prefix() }
}

/// Calls of the service that are not built, and what they would do.
const UNAVAILABLE: [(&str, &str); 40] = [
    ("controlnet", "ControlNet"),
    ("outpaint", "outpainting"),
    ("removebg_mask", "background removal"),
    ("object_removal", "object removal"),
    ("mask_creator", "mask creation"),
    ("face_gen", "face generation"),
    ("head_shot", "head shots"),
    ("flux_headshot", "head shots by Flux"),
    ("fashion", "fashion try-on"),
    ("img_mixer", "image mixing"),
    ("caption", "captions"),
    ("img_to_text", "captions"),
    ("qwen_edit", "Qwen editing"),
    ("pix2pix", "image-guided editing"),
    ("depth2img", "depth to image"),
    ("relighting", "relighting"),
    ("blip_diffusion", "BLIP diffusion"),
    ("magic_mix", "mixing of a picture and a prompt"),
    ("mixture_canvas", "a canvas of several prompts"),
    ("multiview", "several views of one thing"),
    ("ground_segment", "segmentation"),
    ("inf_edit", "editing without inversion"),
    ("txt_to_3d", "text to 3D"),
    ("img_to_3d", "image to 3D"),
    ("text2video", "video"),
    ("fine_tune", "training"),
    ("fine_tune_v2", "training"),
    ("lora_fine_tune", "training"),
    ("finetune_list", "training"),
    ("load_model", "loading models of one's own"),
    ("load_model_v2", "loading models of one's own"),
    ("load_vae", "loading autoencoders of one's own"),
    ("sync_models", "loading models of one's own"),
    ("delete_model", "deleting models"),
    ("buy_model", "buying models"),
    ("buy_subscription", "buying a subscription"),
    ("cancel_subscription", "cancelling a subscription"),
    ("restart_server", "restarting the server"),
    ("update_server", "updating the server"),
    ("update", "updating the server"),
];

/// Families of calls that are not built, whatever follows.
const UNAVAILABLE_PREFIXES: [(&str, &str); 21] = [
    ("video", "video"),
    ("ultra_video", "video"),
    ("image_to_video_ultra", "video"),
    ("voice", "voice"),
    ("voice_and_audio", "voice"),
    ("voice_cloning", "voice"),
    ("text_to_speech", "voice"),
    ("speech_to_text", "voice"),
    ("3d", "3D"),
    ("interior", "interior design"),
    ("deepfake", "face swapping"),
    ("faceswap", "face swapping"),
    ("chat_llm", "chat"),
    ("llm", "chat"),
    ("uncensored_chat", "chat"),
    ("deepseek_chat", "chat"),
    ("fine_tune_status", "training"),
    ("cancle_training", "training"),
    ("cancel_training", "training"),
    ("finetune", "training"),
    ("sandbox", "training"),
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
            ("/api/v5/super_resolution", Single, SuperResolution),
            ("/api/v6/processing/request_count", Single, RequestCount),
            ("/api/v6/assets_generated", Single, AssetsGenerated),
            ("/api/v5/clear_cache", Single, ClearCache),
            ("/api/v1/enterprise/clear_queue", Enterprise, ClearQueue),
            ("/api/v1/enterprise/images/update", Enterprise, Unavailable("updating the server")),
            ("/api/v1/enterprise/super_resolution", Enterprise, SuperResolution),
            ("/api/v1/enterprise/upload_image", Enterprise, Base64ToUrl),
            ("/api/v6/video/text2video", Single, Unavailable("video")),
            ("/api/v6/deepfake/single_face_swap", Single, Unavailable("face swapping")),
            ("/api/v3/fine_tune_status/F5jvdzGnYi", Single, Unavailable("training")),
            ("/api/v5/interior", Single, Unavailable("interior design")),
            ("/api/check_nsfw_cp", General, Unavailable("the check of prompts")),
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
            ("/api/v5/controlnet", Single, Unavailable("ControlNet")),
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
            "v6/video",
            "v1/enterprise",
            "v1/enterprise/images",
        ] {
            assert_eq!(found(&format!("/api/{prefix}/fetch")).1, Call::Fetch(None));
            assert_eq!(found(&format!("/api/{prefix}/fetch/12202888")).1, Call::Fetch(Some("12202888".to_owned())));
        }
    }

    #[test]
    fn a_job_is_fetched_where_it_was_asked_for() {
        for (path, fetch) in [
            ("/api/v3/text2img", "/api/v3/fetch/7"),
            ("/api/v4/dreambooth", "/api/v4/dreambooth/fetch/7"),
            ("/api/v4/dreambooth/img2img/", "/api/v4/dreambooth/fetch/7"),
            ("/api/v6/images/text2img", "/api/v6/images/fetch/7"),
            ("/api/v1/enterprise/txt2img/img2img", "/api/v1/enterprise/txt2img/fetch/7"),
            ("/api/wallet_balance", "/api/v3/fetch/7"),
            ("/", "/api/v3/fetch/7"),
        ] {
            assert_eq!(fetch_path(path, 7), fetch);
            assert_eq!(found(fetch).1, Call::Fetch(Some("7".to_owned())));
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
