//! How long a run here takes, told from the last one.

use spec::GenerateSpec;

/// What a run took for each of its parts; a part grows with the pixels it works on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    // Seconds of one step for each pixel, once for each half of guidance.
    step: f64,
    // Seconds of everything else for each pixel.
    rest: f64,
}

impl Pace {
    /// What the run of `spec` showed: `step_seconds` for a step, `run_seconds` for all of it.
    pub fn measured(spec: &GenerateSpec, step_seconds: f64, run_seconds: f64) -> Self {
        let pixels = pixels(spec);
        let rest = (run_seconds - step_seconds * steps(spec)).max(0.0);
        Self { step: step_seconds / (pixels * passes(spec)), rest: rest / pixels }
    }

    /// Seconds that a run of `spec` should take.
    pub fn expected(&self, spec: &GenerateSpec) -> f64 {
        pixels(spec) * (self.step * passes(spec) * steps(spec) + self.rest)
    }
}

fn pixels(spec: &GenerateSpec) -> f64 {
    f64::from(spec.size.width()) * f64::from(spec.size.height()) * f64::from(spec.batch.get())
}

/// With guidance, a step computes with the prompt and without.
fn passes(spec: &GenerateSpec) -> f64 {
    if spec.guidance.is_active() { 2.0 } else { 1.0 }
}

/// A start picture takes the place of the first steps.
fn steps(spec: &GenerateSpec) -> f64 {
    let share = spec.init.map_or(1.0, |init| f64::from(init.strength.get()));
    (f64::from(spec.steps.get()) * share).floor().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Form;
    use spec::{BatchSize, ImageSize, Steps};

    #[test]
    fn a_run_like_the_last_takes_as_long_and_others_in_proportion() {
        let spec = Form::default().measure(ImageSize::new(64, 64).unwrap()).unwrap();
        let twenty = GenerateSpec { steps: Steps::new(20).unwrap(), ..spec };
        let pace = Pace::measured(&twenty, 0.1, 2.5);
        let close = |expected: f64, seconds: f64| (expected - seconds).abs() < 1e-9;
        assert!(close(pace.expected(&twenty), 2.5));
        assert!(close(pace.expected(&GenerateSpec { steps: Steps::new(40).unwrap(), ..twenty.clone() }), 4.5));
        assert!(close(pace.expected(&GenerateSpec { size: ImageSize::new(128, 64).unwrap(), ..twenty.clone() }), 5.0));
        assert!(close(pace.expected(&GenerateSpec { batch: BatchSize::new(4).unwrap(), ..twenty }), 10.0));
    }
}
