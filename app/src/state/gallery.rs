//! What was made.

use super::Place;
use protocol::ImageInfo;
use reactive_stores::Store;
use serde::{Deserialize, Serialize};
use spec::GenerateSpec;
use web_sys::Blob;

/// Finished pictures, newest first.
#[derive(Debug, Default, Store)]
pub struct Gallery {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// The stored ones were read.
    pub is_loaded: bool,
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Grows with the time it was made.
    pub id: u64,
    /// Object URL of the file.
    pub url: String,
    /// The PNG file.
    pub file: Blob,
    /// How it was made.
    pub record: PictureRecord,
    /// It is stored and survives a reload.
    pub is_kept: bool,
}

/// How a picture was made; stored beside its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PictureRecord {
    /// The parameters that make exactly this picture again.
    pub spec: GenerateSpec,
    /// Its size.
    pub info: ImageInfo,
    /// The parameters as web UIs read them back.
    pub parameters: String,
    /// Where it was made.
    #[serde(default)]
    pub place: Place,
}

impl Picture {
    /// Name of the downloaded file.
    pub fn file_name(&self) -> String {
        format!("darkroom-{}.png", self.record.spec.seed.0)
    }

    /// Its seed and where it was made, in words.
    pub fn origin(&self) -> String {
        let seed = self.record.spec.seed.0;
        match self.record.place {
            Place::Here => format!("Seed {seed}"),
            Place::Server => format!("Seed {seed}, server"),
        }
    }

    /// What the picture shows, for those who do not see it.
    pub fn alt(&self) -> String {
        let prompt = self.record.spec.prompt.trim();
        if prompt.is_empty() { "Picture made without a prompt".to_owned() } else { prompt.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_that_were_stored_before_there_was_a_server_were_made_here() {
        let stored = r#"{"spec":{"prompt":"x","size":[64,64]},"info":{"width":64,"height":64},"parameters":""}"#;
        let record: PictureRecord = serde_json::from_str(stored).unwrap();
        assert_eq!(record.place, Place::Here);
        let made_there = PictureRecord { place: Place::Server, ..record };
        let kept = serde_json::to_string(&made_there).unwrap();
        assert_eq!(serde_json::from_str::<PictureRecord>(&kept).unwrap(), made_there);
    }
}
