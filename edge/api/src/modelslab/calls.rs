//! The small calls: what they ask about, and with which key.

use crate::{
    body::Fields,
    fields::{FieldError, FieldProblem, Reader},
    request::ImageSource,
};

/// The key of a request, wherever it stands.
///
/// It is looked for in the body, in the header fields `key`, `x-api-key` and `Authorization: Bearer`, and in the query, in this
/// order. It is not checked, and `None` says that there is none.
pub fn credentials(
    fields: &Fields,
    header_key: Option<&str>,
    x_api_key: Option<&str>,
    authorization: Option<&str>,
    query_key: Option<&str>,
) -> Option<String> {
    let bearer = authorization.and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let body = fields.get("key").and_then(|key| key.as_str());
    [body, header_key, x_api_key, bearer, query_key]
        .into_iter()
        .flatten()
        .map(str::trim)
        .find(|key| !key.is_empty())
        .map(str::to_owned)
}

/// The job that is fetched: by the path's last part, or by `request_id` or `id` in the body, a number or a string of one.
///
/// # Errors
/// It is missing, or no number.
pub fn fetch(path_id: Option<&str>, fields: &Fields) -> Result<u64, Vec<FieldError>> {
    if let Some(id) = path_id {
        let error = FieldError {
            name: "request_id".to_owned(),
            found: Some(format!("`{}`", id.chars().take(40).collect::<String>())),
            problem: FieldProblem::NotWhole,
        };
        return id.trim().parse().map_err(|_| vec![error]);
    }
    let mut reader = Reader::new(fields);
    let id = job(&mut reader);
    reader.finish().map(|()| id)
}

fn job(reader: &mut Reader<'_>) -> u64 {
    const NAMES: [&str; 2] = ["request_id", "id"];
    let Some((name, _)) = reader.raw(&NAMES) else {
        reader.refuse(NAMES[0], FieldProblem::Missing);
        return 0;
    };
    let id = reader.whole(&NAMES).unwrap_or_default();
    if id < 0 {
        reader.refuse(name, FieldProblem::TooSmall(0.0));
    }
    id.unsigned_abs()
}

/// The picture of `base64_to_url` or `upload_image`, base64 without the head of a data URL.
///
/// # Errors
/// It is missing, or an address.
pub fn base64_to_url(fields: &Fields) -> Result<String, Vec<FieldError>> {
    let mut reader = Reader::new(fields);
    let data = base64(&mut reader, &["base64_string", "init_image", "image", "base64_image"]);
    reader.finish().map(|()| data)
}

/// A picture that is stored, perhaps cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64Crop {
    /// Base64, without the head of a data URL.
    pub image: String,
    /// Whether its middle is cut out as a square.
    pub crop: bool,
}

/// The picture of `base64_crop`.
///
/// # Errors
/// Every field that cannot be used.
pub fn base64_crop(fields: &Fields) -> Result<Base64Crop, Vec<FieldError>> {
    let mut reader = Reader::new(fields);
    let image = base64(&mut reader, &["image", "init_image", "base64_string"]);
    let crop = reader.flag(&["crop"]).unwrap_or(false);
    reader.finish().map(|()| Base64Crop { image, crop })
}

fn base64(reader: &mut Reader<'_>, names: &[&str]) -> String {
    let text = reader.required_text(names);
    let name = reader.raw(names).map_or(names[0], |(name, _)| name).to_owned();
    if let ImageSource::Base64(data) = ImageSource::read(&text) {
        return data;
    }
    reader.refuse(&name, FieldProblem::Other("must be a picture in base64, not an address".to_owned()));
    String::new()
}

/// The job whose pictures `delete_image` deletes.
///
/// # Errors
/// Every field that cannot be used.
pub fn delete_image(fields: &Fields) -> Result<u64, Vec<FieldError>> {
    let mut reader = Reader::new(fields);
    let id = job(&mut reader);
    if reader.text(&["type"]).is_some_and(|kind| kind.trim() != "image") {
        reader.refuse("type", FieldProblem::Unknown("image".to_owned()));
    }
    reader.finish().map(|()| id)
}

/// A picture that is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct NsfwImageCheck {
    /// The picture.
    pub image: ImageSource,
    /// How sure the checker must be, 0 to 1.
    pub threshold: f32,
}

/// The picture of `nsfw_image_check`.
///
/// # Errors
/// Every field that cannot be used.
pub fn nsfw_image_check(fields: &Fields) -> Result<NsfwImageCheck, Vec<FieldError>> {
    let mut reader = Reader::new(fields);
    let image = ImageSource::read(&reader.required_text(&["init_image", "image", "image_url", "url"]));
    let threshold = reader.number_in(&["threshold"], 0.0, 1.0).unwrap_or(0.5) as f32;
    reader.finish().map(|()| NsfwImageCheck { image, threshold })
}

/// The model that `verify_model` and `model_reload` mean.
///
/// # Errors
/// It is missing.
pub fn model_id(fields: &Fields) -> Result<String, Vec<FieldError>> {
    let mut reader = Reader::new(fields);
    let name = reader.required_text(&["model_id"]);
    reader.finish().map(|()| name.trim().to_owned())
}

/// A page of an account's jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssetsGenerated {
    /// Jobs on a page, 1 to 30.
    pub per_page: u32,
    /// The page, 1 and up.
    pub page: u32,
}

/// The page that `assets_generated` asks for.
///
/// # Errors
/// Every field that cannot be used.
pub fn assets_generated(fields: &Fields) -> Result<AssetsGenerated, Vec<FieldError>> {
    let mut reader = Reader::new(fields);
    if reader.required_text(&["type"]).trim() != "image" && reader.raw(&["type"]).is_some() {
        reader.refuse("type", FieldProblem::Unknown("image".to_owned()));
    }
    let per_page = reader.whole_in(&["per_page"], 1, 30).unwrap_or(10);
    let page = reader.whole_in(&["page"], 1, u32::MAX).unwrap_or(1);
    reader.finish().map(|()| AssetsGenerated { per_page, page })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn fields(value: &Value) -> Fields {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn the_key_is_taken_from_where_it_is() {
        let all =
            |body: Value| credentials(&fields(&body), Some("header"), Some("x"), Some("bearer  token "), Some("query"));
        assert_eq!(all(json!({ "key": " body " })).as_deref(), Some("body"));
        for none in [json!({ "key": "" }), json!({ "key": null }), json!({ "key": 7 }), json!({})] {
            assert_eq!(all(none).as_deref(), Some("header"));
        }
        let none = Fields::new();
        assert_eq!(credentials(&none, None, Some("x"), Some("Bearer b"), Some("q")).as_deref(), Some("x"));
        assert_eq!(credentials(&none, Some(" "), None, Some("Bearer b"), Some("q")).as_deref(), Some("b"));
        assert_eq!(credentials(&none, None, None, Some("Basic b"), Some("q")).as_deref(), Some("q"));
        assert_eq!(credentials(&none, None, None, Some("Bearer"), None), None);
    }

    #[test]
    fn a_job_is_named_in_the_path_or_in_the_body() {
        let none = Fields::new();
        assert_eq!(fetch(Some("12202888"), &fields(&json!({ "request_id": 7 }))), Ok(12_202_888));
        for body in [
            json!({ "request_id": 7 }),
            json!({ "request_id": "7" }),
            json!({ "id": "7" }),
            json!({ "request_id": null, "id": 7 }),
        ] {
            assert_eq!(fetch(None, &fields(&body)), Ok(7), "{body}");
        }
        assert_eq!(fetch(None, &none).expect_err("nothing")[0].to_string(), "request_id is required");
        assert_eq!(
            fetch(Some("x"), &none).expect_err("no number")[0].to_string(),
            "request_id is `x`, but must be a whole number"
        );
        assert!(fetch(None, &fields(&json!({ "request_id": -7 }))).is_err());
        assert!(fetch(None, &fields(&json!({ "request_id": "7.5" }))).is_err());
        assert_eq!(delete_image(&fields(&json!({ "request_id": "7", "type": "image" }))), Ok(7));
        assert!(delete_image(&fields(&json!({ "request_id": "7", "type": "video" }))).is_err());
    }

    #[test]
    fn pictures_come_under_every_name() {
        for name in ["base64_string", "init_image", "image", "base64_image"] {
            for text in ["data:image/png;base64,iVBO", "iVBO"] {
                assert_eq!(base64_to_url(&fields(&json!({ name: text }))).as_deref(), Ok("iVBO"), "{name}");
            }
        }
        let errors = base64_to_url(&fields(&json!({ "image": "https://example.com/a.png" }))).expect_err("an address");
        assert!(errors[0].to_string().contains("must be a picture in base64"), "{}", errors[0]);
        assert!(base64_to_url(&Fields::new()).is_err());
        let crop = base64_crop(&fields(&json!({ "image": "iVBO", "crop": "true" })));
        assert_eq!(crop, Ok(Base64Crop { image: "iVBO".to_owned(), crop: true }));
        let check =
            nsfw_image_check(&fields(&json!({ "init_image": "https://example.com/a.png", "threshold": "0.7" })));
        let image = ImageSource::Url("https://example.com/a.png".to_owned());
        assert_eq!(check, Ok(NsfwImageCheck { image, threshold: 0.7 }));
        assert!(nsfw_image_check(&fields(&json!({ "init_image": "x", "threshold": 2 }))).is_err());
    }

    #[test]
    fn pages_have_bounds() {
        let page = |body: Value| assets_generated(&fields(&body));
        assert_eq!(page(json!({ "type": "image" })), Ok(AssetsGenerated { per_page: 10, page: 1 }));
        assert_eq!(
            page(json!({ "type": "image", "per_page": "30", "page": 2 })),
            Ok(AssetsGenerated { per_page: 30, page: 2 })
        );
        for body in [json!({}), json!({ "type": "video" }), json!({ "type": "image", "per_page": 31 })] {
            assert!(page(body.clone()).is_err(), "{body}");
        }
        assert_eq!(model_id(&fields(&json!({ "model_id": " demo " }))).as_deref(), Ok("demo"));
    }
}
