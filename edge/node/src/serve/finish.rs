//! From pixels to the files that are handed in.
//!
//! Enlarging is resampling (Catmull-Rom), the same on every node; networks that invent detail come later.

use super::{blocking::blocking, guard::Guard, inputs::MAX_SIDE};
use crate::init_image;
use api::node::Made;
use diffusion::picture::Picture;
use image::{DynamicImage, RgbImage, imageops::FilterType};
use weights::sha256_hex;

/// A picture on its way to a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The pixels.
    pub picture: Picture,
    /// The seed that makes it again.
    pub seed: u64,
    /// What the file says of its making.
    pub parameters: String,
    /// Whether the checker found something.
    pub is_flagged: bool,
}

/// A file to hand in.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What the edge is told of it.
    pub made: Made,
    /// The PNG.
    pub png: Vec<u8>,
}

/// Refuses what would become larger than a result may be.
///
/// # Errors
/// A sentence for whoever asked.
pub fn check_enlarged(width: u32, height: u32, factor: u32) -> Result<(), String> {
    let fits = |side: u32| side.checked_mul(factor).is_some_and(|side| side <= MAX_SIDE);
    if factor > 0 && fits(width) && fits(height) {
        return Ok(());
    }
    Err(format!(
        "{width} x {height} pixels {factor} times as wide and as high are beyond {MAX_SIDE} x {MAX_SIDE}; ask for a smaller factor or send a smaller picture"
    ))
}

/// The picture `factor` times as wide and as high.
pub fn enlarged(picture: Picture, factor: u32) -> Picture {
    if factor <= 1 {
        return picture;
    }
    let Picture { width, height, rgb } = picture;
    let image = RgbImage::from_raw(width, height, rgb).expect("a picture has three bytes for each pixel");
    let image = DynamicImage::from(image).resize_exact(width * factor, height * factor, FilterType::CatmullRom);
    init_image::picture(image.into_rgb8())
}

/// The file of a draft, `factor` times as wide and as high; where there is a guard, it judges what the file will show.
///
/// # Errors
/// A sentence for the job's owner.
pub async fn file(draft: Draft, factor: u32, guard: Option<&Guard>) -> Result<Finished, String> {
    let enlarging = move || Draft { picture: enlarged(draft.picture, factor), ..draft };
    let draft = blocking("enlarging", enlarging).await?;
    let draft = match guard {
        Some(guard) => guard.judged(draft).await?,
        None => draft,
    };
    blocking("finishing", move || finished(&draft)).await?
}

/// Writes the PNG.
///
/// # Errors
/// A sentence for the job's owner.
fn finished(draft: &Draft) -> Result<Finished, String> {
    let Draft { picture, seed, parameters, is_flagged } = draft;
    let png = picture.to_png(parameters).map_err(|_| "the picture could not be written as PNG".to_owned())?;
    let Picture { width, height, .. } = *picture;
    let made = Made { sha256: sha256_hex(&png), seed: *seed, width, height, is_flagged: *is_flagged };
    Ok(Finished { made, png })
}

#[cfg(test)]
mod tests {
    use super::{
        super::checker::{CheckError, Checker},
        *,
    };
    use api::request::Censor;
    use std::sync::{Arc, Mutex};

    #[test]
    fn enlarging_is_bounded() {
        assert!(check_enlarged(1024, 2048, 2).is_ok());
        assert!(check_enlarged(1025, 64, 4).is_err());
        assert!(check_enlarged(64, u32::MAX, 2).is_err());
        assert!(check_enlarged(64, 64, 0).is_err());
    }

    #[test]
    fn one_colour_stays_what_it_was() {
        let picture = Picture { width: 4, height: 2, rgb: [10, 200, 30].repeat(8) };
        let large = enlarged(picture.clone(), 3);
        assert_eq!((large.width, large.height), (12, 6));
        assert!(large.rgb.chunks_exact(3).all(|pixel| pixel == [10, 200, 30]));
        assert_eq!(enlarged(picture.clone(), 1), picture);
    }

    /// Certain of every picture, and notes what it was shown.
    #[derive(Default)]
    struct Certain {
        score: f32,
        shown: Mutex<Vec<(u32, u32)>>,
    }

    impl Checker for Certain {
        fn score(&self, picture: &Picture) -> Result<f32, CheckError> {
            self.shown.lock().unwrap().push((picture.width, picture.height));
            Ok(self.score)
        }
    }

    fn draft() -> Draft {
        let picture = Picture { width: 64, height: 32, rgb: [10, 200, 30].repeat(64 * 32) };
        Draft { picture, seed: 7, parameters: "a red apple".to_owned(), is_flagged: false }
    }

    fn mentions(png: &[u8], words: &str) -> bool {
        png.windows(words.len()).any(|window| window == words.as_bytes())
    }

    #[tokio::test]
    async fn the_hash_is_the_files() {
        let Finished { made, png } = file(draft(), 1, None).await.unwrap();
        assert_eq!((made.sha256, made.seed, made.width, made.is_flagged), (sha256_hex(&png), 7, 64, false));
        assert!(mentions(&png, "a red apple"));
    }

    #[tokio::test]
    async fn a_guard_judges_what_the_file_shows_and_replaces_what_is_flagged() {
        for (score, is_flagged) in [(0.49, false), (0.5, true), (f32::NAN, true)] {
            for censor in [Censor::Blur, Censor::SensitiveContentText, Censor::Pixelate, Censor::Black] {
                let checker = Arc::new(Certain { score, ..Certain::default() });
                let guard = Guard { checker: Arc::clone(&checker) as Arc<dyn Checker>, censor };
                let guarded = file(draft(), 2, Some(&guard)).await.unwrap();
                let bare = file(draft(), 2, None).await.unwrap();
                assert_eq!(*checker.shown.lock().unwrap(), [(128, 64)]);
                let Made { seed, width, height, .. } = guarded.made;
                assert_eq!((guarded.made.is_flagged, seed, width, height), (is_flagged, 7, 128, 64));
                assert_eq!(guarded.png == bare.png, !is_flagged);
                assert_eq!(mentions(&guarded.png, "a red apple"), !is_flagged);
            }
        }
    }
}
