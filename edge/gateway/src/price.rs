//! What a request costs, from the request alone.

use crate::ledger::Credits;
use api::request::{ImageRequest, Task};
use spec::GenerateSpec;

/// Pixels times steps that one credit buys: a picture of 512 x 512 in 51 steps, the most that the older dialect takes.
const WORK: u64 = 512 * 512 * 51;

/// Work of a request, in pixels times steps; enlarging a picture counts its pixels as one step each.
pub fn work(request: &ImageRequest) -> u64 {
    let factor = u64::from(request.upscale.max(1));
    match &request.task {
        Task::Generate { spec } | Task::Edit { spec, .. } | Task::Inpaint { spec, .. } => {
            let enlarged = if factor > 1 { pixels(spec) * factor * factor } else { 0 };
            u64::from(spec.batch.get()) * (pixels(spec) * u64::from(spec.steps.get()) + enlarged)
        }
        // The side of the picture is not known yet; the largest that is taken counts.
        Task::Upscale { factor, .. } => 512 * 512 * u64::from(*factor) * u64::from(*factor),
        Task::Crop { .. } | Task::Check { .. } => 512 * 512,
    }
}

fn pixels(spec: &GenerateSpec) -> u64 {
    u64::from(spec.size.width()) * u64::from(spec.size.height())
}

/// Credits for a request: one a picture at least, and one more for each further 512 x 512 pixels in 51 steps. What draws nothing
/// costs nothing.
pub fn price(request: &ImageRequest) -> Credits {
    let pictures = u64::from(request.task.pictures());
    if pictures == 0 {
        return 0;
    }
    pictures * (work(request) / pictures).div_ceil(WORK).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::modelslab::{Family, Operation, image_request, super_resolution};
    use proptest::prelude::*;
    use serde_json::json;

    fn request(width: u32, height: u32, samples: u32, steps: u32, upscale: u32) -> ImageRequest {
        let body = json!({
            "prompt": "x", "width": width, "height": height, "samples": samples, "steps": steps, "upscale": upscale.to_string(),
        });
        image_request(Operation::TextToImage, Family::Single, body.as_object().unwrap(), 0).unwrap()
    }

    #[test]
    fn an_ordinary_picture_is_one_credit() {
        assert_eq!(price(&request(512, 512, 1, 20, 1)), 1);
        assert_eq!(price(&request(64, 64, 1, 1, 1)), 1);
        assert_eq!(price(&request(512, 512, 1, 50, 1)), 1);
        assert_eq!(price(&request(512, 512, 4, 50, 1)), 4);
        assert_eq!(price(&request(1024, 1024, 1, 50, 1)), 4);
        assert_eq!(price(&request(1024, 1024, 2, 25, 1)), 4);
        assert_eq!(price(&request(512, 512, 1, 50, 2)), 2);
        let body = json!({ "url": "https://example.com/a.png", "scale": 4 });
        assert_eq!(price(&super_resolution(body.as_object().unwrap()).unwrap()), 1);
    }

    proptest! {
        #[test]
        fn more_never_costs_less(
            sides in (8_u32..=128, 8_u32..=128),
            samples in 1_u32..=4,
            steps in 1_u32..=50,
            upscale in 1_u32..=3,
            more in (0_u32..=10, 0_u32..=10, 0_u32..=2, 0_u32..=10),
        ) {
            let side = |eighths: u32| (eighths * 8).min(1024);
            let less = request(side(sides.0), side(sides.1), samples, steps, upscale);
            let larger = request(
                side(sides.0 + more.0),
                side(sides.1 + more.1),
                (samples + more.2).min(4),
                (steps + more.3).min(50),
                upscale,
            );
            prop_assert!(price(&less) >= u64::from(samples));
            prop_assert!(price(&larger) >= price(&less));
            prop_assert!(work(&larger) >= work(&less));
        }
    }
}
