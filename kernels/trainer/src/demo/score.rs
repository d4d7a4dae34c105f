//! A program that says what is in a drawing.

use super::{COLOURS, Colour, IMAGE_SIDE, OBJECTS, Position, Scale, Sprites, draw::over};
use diffusion::picture::Picture;

/// What the judge sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Index of the object that fits best.
    pub object: usize,
    /// Index of the background that is nearest.
    pub colour: usize,
    /// Normalised cross-correlation of the best fit, -1 to 1.
    pub correlation: f64,
}

/// Judges drawings against every object at all sizes and positions.
pub struct Judge {
    sprites: Sprites,
}

impl Judge {
    /// A judge with these objects.
    pub const fn new(sprites: Sprites) -> Self {
        Self { sprites }
    }

    /// Says what is in a picture of [`IMAGE_SIDE`] pixels.
    pub fn judge(&self, picture: &Picture) -> Verdict {
        let background = border_median(picture);
        let mut best = Verdict { object: 0, colour: Colour::nearest(background), correlation: -1.0 };
        for object in 0..OBJECTS.len() {
            for scale in Scale::ALL {
                let template = self.template(object, scale, background);
                for position in Position::ALL {
                    let patch = crop(picture, position.corner(scale), scale.side());
                    let correlation = correlation(&template, &patch);
                    if correlation > best.correlation {
                        best = Verdict { object, correlation, ..best };
                    }
                }
            }
        }
        best
    }

    fn template(&self, object: usize, scale: Scale, background: [u8; 3]) -> Vec<f64> {
        let sprite = self.sprites.get(object, scale);
        sprite
            .pixels()
            .flat_map(|pixel| [0, 1, 2].map(|c| f64::from(over(pixel[c], pixel[3], background[c]))))
            .collect()
    }
}

/// The median of the outermost two rings, channel by channel.
fn border_median(picture: &Picture) -> [u8; 3] {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let on_border = |index: usize| {
        let (x, y) = (index % width, index / width);
        x < 2 || y < 2 || x >= width - 2 || y >= height - 2
    };
    [0, 1, 2].map(|channel| {
        let mut values: Vec<u8> = (0..width * height)
            .filter(|&index| on_border(index))
            .map(|index| picture.rgb[index * 3 + channel])
            .collect();
        values.sort_unstable();
        values[values.len() / 2]
    })
}

fn crop(picture: &Picture, (left, top): (u32, u32), side: u32) -> Vec<f64> {
    (0..side * side)
        .flat_map(|index| {
            let at = (((top + index / side) * picture.width + left + index % side) * 3) as usize;
            [0, 1, 2].map(|channel| f64::from(picture.rgb[at + channel]))
        })
        .collect()
}

/// Normalised cross-correlation of interleaved RGB values, each channel around its own mean: a flat colour fits nothing.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let pixels = (a.len() / 3) as f64;
    let means = |values: &[f64]| [0, 1, 2].map(|channel| values.iter().skip(channel).step_by(3).sum::<f64>() / pixels);
    let (means_a, means_b) = (means(a), means(b));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (index, (a, b)) in a.iter().zip(b).enumerate() {
        let (a, b) = (a - means_a[index % 3], b - means_b[index % 3]);
        product += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    product / (square_a * square_b).sqrt().max(1e-9)
}

const _: () = assert!(IMAGE_SIDE > 48 && COLOURS.len() == 12);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_every_drawing_as_what_it_is() {
        let sprites = Sprites::load().unwrap();
        let judge = Judge::new(Sprites::load().unwrap());
        for (object, thing) in OBJECTS.iter().enumerate() {
            for (colour, scale, position) in
                [(object % 12, Scale::Small, Position::Left), ((object + 5) % 12, Scale::Large, Position::Bottom)]
            {
                let verdict = judge.judge(&sprites.draw(object, colour, scale, position));
                assert_eq!((verdict.object, verdict.colour), (object, colour), "{}", thing.name);
            }
        }
    }

    #[test]
    fn an_empty_background_fits_nothing_well() {
        let picture = Picture { width: 64, height: 64, rgb: COLOURS[4].rgb.repeat(64 * 64) };
        let verdict = Judge::new(Sprites::load().unwrap()).judge(&picture);
        assert_eq!(verdict.colour, 4);
        assert!(verdict.correlation < 0.1);
    }
}
