//! Backgrounds.

/// A named background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// What people call it.
    pub name: &'static str,
    /// Red, green, blue.
    pub rgb: [u8; 3],
}

const fn colour(name: &'static str, rgb: [u8; 3]) -> Colour {
    Colour { name, rgb }
}

/// The twelve backgrounds, far enough apart that the nearest is never in doubt.
pub const COLOURS: [Colour; 12] = [
    colour("red", [214, 40, 40]),
    colour("orange", [245, 130, 32]),
    colour("yellow", [250, 220, 60]),
    colour("green", [50, 160, 70]),
    colour("blue", [40, 90, 210]),
    colour("purple", [130, 60, 170]),
    colour("pink", [250, 150, 190]),
    colour("brown", [120, 75, 40]),
    colour("black", [15, 15, 15]),
    colour("white", [245, 245, 245]),
    colour("gray", [128, 128, 128]),
    colour("cyan", [70, 205, 220]),
];

impl Colour {
    /// A shade of it, `offsets` away and never nearer to another background.
    pub fn shade(self, offsets: [i16; 3]) -> [u8; 3] {
        let mut rgb = self.rgb;
        for (value, offset) in rgb.iter_mut().zip(offsets) {
            *value = (i16::from(*value) + offset).clamp(0, 255) as u8;
        }
        if COLOURS[Self::nearest(rgb)] == self { rgb } else { self.rgb }
    }

    /// Index of the background nearest to a colour.
    pub fn nearest(rgb: [u8; 3]) -> usize {
        let distance = |colour: &Self| -> i32 {
            colour.rgb.iter().zip(rgb).map(|(&a, b)| (i32::from(a) - i32::from(b)).pow(2)).sum()
        };
        (0..COLOURS.len()).min_by_key(|&index| distance(&COLOURS[index])).unwrap_or(0)
    }
}
