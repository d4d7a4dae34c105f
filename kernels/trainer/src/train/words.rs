//! Before the denoiser: the text encoder learns to say what a caption names.
//!
//! A denoiser that starts on a random text encoder first learns to ignore it, and unlearns that slowly. A minute of telling
//! object, background, size and place from the end token alone gives it something to listen to from its first step; the
//! encoder is trained on with the denoiser afterwards, and the heads are thrown away.

use super::{TrainLength, TrainOptions};
use crate::{
    Report, TrainError,
    demo::{COLOURS, OBJECTS, Position, Scale, random_caption, tokenizer},
    random::Random,
};
use burn::{
    module::Module,
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Int, Tensor, TensorData, activation::log_softmax},
};
use diffusion::{
    nn::{BuilderRoot, Linear},
    text::{ClipTextConfig, ClipTextModel},
};

const STEPS: u64 = 240;
const BATCH: usize = 64;
const RATE: f64 = 2e-3;

#[derive(Module, Debug)]
struct Reader {
    text_encoder: ClipTextModel,
    heads: Vec<Linear>,
}

/// Trains the text encoder alone on what captions name.
pub fn teach(
    options: &TrainOptions,
    text_encoder: ClipTextModel,
    config: &ClipTextConfig,
    device: &Device,
    report: &mut dyn FnMut(Report),
) -> Result<ClipTextModel, TrainError> {
    let tokenizer = tokenizer()?;
    let root = BuilderRoot::random(3, device);
    // Size and place may be left out of a caption, but then any answer is as good; the loss just stays above zero.
    let classes = [OBJECTS.len(), COLOURS.len(), Scale::ALL.len(), Position::ALL.len()];
    let heads = (0..classes.len())
        .map(|head| Linear::new(&root.root("heads").pp(head), config.hidden_size, classes[head]))
        .collect();
    let mut reader = Reader { text_encoder, heads }.set_require_grad(true);
    let mut optimiser = AdamWConfig::new().with_epsilon(1e-8).init();
    let started = std::time::Instant::now();
    let steps = match options.denoiser {
        TrainLength::Minutes(_) => STEPS,
        TrainLength::Steps(steps) => steps.min(STEPS),
    };
    for step in 0..steps {
        let mut random = Random::new(4, step);
        let (mut ids, mut answers) = (Vec::new(), vec![Vec::new(); classes.len()]);
        for _ in 0..BATCH {
            let item = *random.pick(&options.dataset.items);
            ids.push(tokenizer.encode(&random_caption(item, &mut random), config.max_position_embeddings));
            let place = Position::ALL.iter().position(|&position| position == item.position).unwrap_or(0);
            let said = [item.object, item.colour, usize::from(item.scale == Scale::Large), place];
            answers.iter_mut().zip(said).for_each(|(answers, said)| answers.push(said as i32));
        }
        let pooled = reader.text_encoder.forward(&ids, 1, device).pooled;
        let loss = reader
            .heads
            .iter()
            .zip(answers)
            .map(|(head, answers)| cross_entropy(head.forward_rows(pooled.clone()), answers, device))
            .reduce(|sum, loss| sum + loss)
            .unwrap_or_else(|| unreachable!("there are heads"));
        let value: f32 = loss.clone().into_scalar();
        let gradients = GradientsParams::from_grads(loss.backward(), &reader);
        let rate = RATE * (1.0 - step as f64 / steps as f64);
        reader = optimiser.step(rate, reader, gradients);
        if (step + 1) % 50 == 0 {
            let seconds = started.elapsed().as_secs_f64();
            report(Report {
                stage: "words",
                step: step + 1,
                loss: f64::from(value),
                samples_per_second: ((step + 1) as usize * BATCH) as f64 / seconds,
                eta_seconds: seconds / (step + 1) as f64 * (steps - step - 1) as f64,
            });
        }
    }
    Ok(reader.text_encoder)
}

fn cross_entropy(scores: Tensor<2>, answers: Vec<i32>, device: &Device) -> Tensor<1> {
    let count = answers.len();
    let answers = Tensor::<2, Int>::from_data(TensorData::new(answers, [count, 1]), device);
    -log_softmax(scores, 1).gather(1, answers).mean()
}
