//! Sizes to choose from.

use spec::ImageSize;

/// Width and height in halves of the model's own: its own size first, then wider and larger ones, each also upright.
const HALVES: [(u32, u32); 7] = [(2, 2), (3, 2), (2, 3), (4, 2), (2, 4), (3, 3), (4, 4)];

/// Sizes that fit a model, its own first, and `chosen` among them whatever it is.
pub fn presets(native: ImageSize, chosen: Option<ImageSize>) -> Vec<ImageSize> {
    let halves = |side: u32, count: u32| side * count / 2;
    let mut sizes: Vec<ImageSize> = HALVES
        .iter()
        .filter_map(|&(wide, high)| ImageSize::new(halves(native.width(), wide), halves(native.height(), high)).ok())
        .collect();
    if let Some(chosen) = chosen.filter(|chosen| !sizes.contains(chosen)) {
        sizes.push(chosen);
    }
    sizes
}

/// A size as the menu shows it.
pub fn label(size: ImageSize, native: ImageSize) -> String {
    let (width, height) = (size.width(), size.height());
    let shape = match width.cmp(&height) {
        _ if size == native => ", native",
        std::cmp::Ordering::Greater => ", landscape",
        std::cmp::Ordering::Less => ", portrait",
        std::cmp::Ordering::Equal => "",
    };
    format!("{width} × {height}{shape}")
}

/// The word that [`parse`] reads back.
pub fn word(size: ImageSize) -> String {
    format!("{}x{}", size.width(), size.height())
}

/// Reads a word of [`word`].
pub fn parse(word: &str) -> Option<ImageSize> {
    let (width, height) = word.split_once('x')?;
    ImageSize::new(width.parse().ok()?, height.parse().ok()?).ok()
}

/// The same picture lying down or standing up.
pub fn swapped(size: ImageSize) -> ImageSize {
    ImageSize::new(size.height(), size.width()).unwrap_or(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_fit_the_model_and_keep_what_was_chosen() {
        let native = ImageSize::new(128, 128).unwrap();
        let odd = ImageSize::new(200, 120).unwrap();
        let sizes = presets(native, Some(odd));
        assert_eq!(sizes[0], native);
        assert!(sizes.contains(&ImageSize::new(192, 128).unwrap()));
        assert_eq!(sizes.last(), Some(&odd));
        assert_eq!(presets(native, Some(native)).len(), sizes.len() - 1);
    }

    #[test]
    fn words_read_back() {
        let size = ImageSize::new(192, 128).unwrap();
        assert_eq!(parse(&word(size)), Some(size));
        assert_eq!(parse("192x13"), None);
        assert_eq!(label(size, ImageSize::new(128, 128).unwrap()), "192 × 128, landscape");
    }
}
