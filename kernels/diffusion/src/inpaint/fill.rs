//! Colours of the surroundings for what is masked.

use super::{Mask, blur::wide_blur};
use crate::picture::Picture;

/// Deviations of the blurs that are laid over each other, widest first, and how often.
const BLURS: [(f64, usize); 5] = [(256.0, 1), (64.0, 1), (16.0, 2), (4.0, 4), (2.0, 2)];

/// The picture with its masked part filled by what is around it, blurred the wider the farther it is.
#[must_use]
pub fn fill(picture: &Picture, mask: &Mask) -> Picture {
    let sides = [picture.width as usize, picture.height as usize];
    // Colours times how much of them is known, then that.
    let known: Vec<[f32; 4]> = picture
        .rgb
        .chunks_exact(3)
        .zip(&mask.values)
        .map(|(pixel, &masked)| {
            let share = f32::from(255 - masked) / 255.0;
            [f32::from(pixel[0]) * share, f32::from(pixel[1]) * share, f32::from(pixel[2]) * share, share]
        })
        .collect();
    let mut filled = vec![[0.0_f32; 4]; known.len()];
    for (sigma, times) in BLURS {
        let blurred = wide_blur(&known, sides, sigma);
        for _ in 0..times {
            lay(&mut filled, &blurred);
        }
    }
    lay(&mut filled, &known);
    let colour = |[red, green, blue, share]: &[f32; 4]| {
        [red, green, blue].map(|value| if *share > 0.0 { (value / share).round().clamp(0.0, 255.0) as u8 } else { 0 })
    };
    Picture { rgb: filled.iter().flat_map(colour).collect(), ..*picture }
}

/// Lays one picture over another; both have their colours times their opacity.
fn lay(under: &mut [[f32; 4]], over: &[[f32; 4]]) {
    for (under, over) in under.iter_mut().zip(over) {
        let left = 1.0 - over[3];
        *under = std::array::from_fn(|channel| over[channel] + under[channel] * left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_stays_and_what_is_masked_looks_like_its_surroundings() {
        let left = |at: usize| at % 40 < 20;
        let colour = |at| if left(at) { [200, 30, 10] } else { [10, 60, 220] };
        let picture = Picture { width: 40, height: 30, rgb: (0..1200).flat_map(colour).collect() };
        let inside = |at: usize| (12..28).contains(&(at % 40)) && (8..22).contains(&(at / 40));
        let mask =
            Mask { width: 40, height: 30, values: (0..1200).map(|at| if inside(at) { 255 } else { 0 }).collect() };
        let filled = fill(&picture, &mask);
        for at in 0..1200 {
            let (found, old) = (&filled.rgb[3 * at..3 * at + 3], &picture.rgb[3 * at..3 * at + 3]);
            if !inside(at) {
                assert_eq!(found, old, "{at}");
            } else if at % 40 < 14 {
                assert!(found[0] > found[2], "{at}: {found:?}");
            } else if at % 40 >= 26 {
                assert!(found[2] > found[0], "{at}: {found:?}");
            }
        }
    }
}
