//! Things to draw.

/// A thing with a glyph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// Its character in the emoji font.
    pub glyph: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// Its Unicode name, or another that people use; captions take either.
    pub other_name: &'static str,
}

const fn object(glyph: &'static str, name: &'static str, other_name: &'static str) -> Object {
    Object { glyph, name, other_name }
}

/// Everything that the demo model draws.
pub const OBJECTS: [Object; 16] = [
    object("\u{1F34E}", "apple", "red apple"),
    object("\u{1F431}", "cat", "cat face"),
    object("\u{1F3E0}", "house", "house building"),
    object("\u{1F31E}", "sun", "sun with face"),
    object("\u{1F697}", "car", "automobile"),
    object("\u{2764}", "heart", "red heart"),
    object("\u{1F333}", "tree", "deciduous tree"),
    object("\u{1F41F}", "fish", "blue fish"),
    object("\u{2B50}", "star", "yellow star"),
    object("\u{1F436}", "dog", "dog face"),
    object("\u{1F33B}", "flower", "sunflower"),
    object("\u{1F319}", "moon", "crescent moon"),
    object("\u{1F426}", "bird", "blue bird"),
    object("\u{26F5}", "boat", "sailboat"),
    object("\u{26BD}", "ball", "soccer ball"),
    object("\u{1F382}", "cake", "birthday cake"),
];
