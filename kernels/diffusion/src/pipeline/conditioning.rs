//! What conditions each step of a run: prompts that change on the way, and several at once.

use super::{
    GenerateError, PipelineRequest, Prompting, StableDiffusion, prompt_encoder::Text, prompting::PromptSyntax,
};
use crate::{
    prompt::{Editing, Pass, Prompt, PromptError},
    text::EncodedText,
    unet::{AddedConditions, Context},
};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::{HashMap, VecDeque};

/// Guides whose layers' keys and values are kept: prompts that alternate come again.
const KEPT: usize = 4;

/// What the prompts of a batch say at one step, as places in the list of all texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Moment {
    /// Of each picture; empty without guidance.
    negative: Vec<usize>,
    /// Of each picture, each of the prompts that `AND` joins.
    positive: Vec<Vec<usize>>,
}

/// What conditions a step.
#[derive(Debug)]
pub(super) struct Guide {
    /// Of `batch` pictures, or of twice as many under guidance, the negative half first.
    pub(super) context: Context,
    /// What else `AND` joins; `None` where every picture has one prompt, which counts once.
    pub(super) joined: Option<Joined>,
}

/// Several prompts of one picture.
#[derive(Debug)]
pub(super) struct Joined {
    /// `[batch, 1, 1, 1]`: how much each picture's first prompt counts.
    weights: Tensor<4>,
    /// The pictures' second prompts, third prompts and so on, with what they count: nothing where a picture has no more.
    others: Vec<(Context, Tensor<4>)>,
}

impl Joined {
    /// `unconditional + Σ weight (conditional - unconditional)` over the prompts of each picture (Liu et al., 2022).
    ///
    /// `predict` is asked with one context after the other, so that memory stays bounded.
    ///
    /// # Shapes
    ///
    /// - output, unconditional, first: `[batch, channels, height, width]`
    pub(super) fn combine(
        &self,
        unconditional: &Tensor<4>,
        first: Tensor<4>,
        predict: impl Fn(&Context) -> Tensor<4>,
    ) -> Tensor<4> {
        let apart =
            |conditional: Tensor<4>, weights: &Tensor<4>| (conditional - unconditional.clone()) * weights.clone();
        let sum = unconditional.clone() + apart(first, &self.weights);
        self.others.iter().fold(sum, |sum, (context, weights)| sum + apart(predict(context), weights))
    }
}

/// Everything that the prompts of a run say.
#[derive(Debug)]
pub(super) struct Conditioning {
    texts: Vec<EncodedText>,
    /// `batch` lists of weights.
    weights: Vec<Vec<f64>>,
    moments: Vec<Moment>,
    /// The moment of each step.
    steps: Vec<usize>,
    /// What the model is told of a negative and a positive prompt's picture, if it is told anything.
    sizes: Option<[[f64; 6]; 2]>,
    kept: VecDeque<(usize, Guide)>,
    device: Device,
}

impl Conditioning {
    /// Reads and encodes the prompts, each text once.
    ///
    /// # Errors
    /// [`GenerateError::Prompt`] for one that cannot be followed.
    pub(super) fn new(model: &StableDiffusion, request: &PipelineRequest) -> Result<Self, GenerateError> {
        let positive = read(&request.prompts, request.prompting, Prompt::parse)?;
        let negative = read(&request.negative_prompts, request.prompting, Prompt::parse_negative)?;
        let weights: Vec<Vec<f64>> =
            positive.iter().map(|prompt| prompt.parts.iter().map(|part| part.weight).collect()).collect();
        let is_guided = request.guidance.is_active() || !is_simple(&weights);
        let mut list = List::new(request);
        let mut moments = Vec::new();
        let mut known = HashMap::new();
        let steps = (1..=list.pass.steps).map(|step| {
            let negative = negative.iter().filter(|_| is_guided).map(|prompt| list.negative(prompt, step)).collect();
            let positive = positive.iter().map(|prompt| list.positive(prompt, step)).collect();
            let moment = Moment { negative, positive };
            *known.entry(moment.clone()).or_insert_with(|| {
                moments.push(moment);
                moments.len() - 1
            })
        });
        let steps = steps.collect();
        let texts = model.prompts.encode_texts(&list.texts)?;
        let is_zero = |text: &Text| model.force_zeros && text.is_negative && text.says.is_empty();
        let texts = texts.into_iter().zip(&list.texts).map(|(encoded, text)| encoded.keeping(&[!is_zero(text)]));
        let sizes =
            model.has_added.then(|| [request.sizes.negative(request.size), request.sizes.positive(request.size)]);
        let device = model.device.clone();
        Ok(Self { texts: texts.collect(), weights, moments, steps, sizes, kept: VecDeque::new(), device })
    }

    /// What conditions a step, counted from 1.
    pub(super) fn guide(&mut self, step: usize) -> &Guide {
        let last = self.steps.len() - 1;
        let moment = self.steps[step.saturating_sub(1).min(last)];
        let place = self.kept.iter().position(|(known, _)| *known == moment);
        let guide = match place.and_then(|place| self.kept.remove(place)) {
            Some((_, guide)) => guide,
            None => self.make(&self.moments[moment]),
        };
        self.kept.truncate(KEPT - 1);
        self.kept.push_front((moment, guide));
        &self.kept[0].1
    }

    fn make(&self, moment: &Moment) -> Guide {
        let first = moment.positive.iter().map(|parts| parts[0]);
        let context = self.context(moment.negative.iter().copied(), first);
        let joined = (!is_simple(&self.weights)).then(|| {
            let most = moment.positive.iter().map(Vec::len).max().unwrap_or(1);
            let of =
                |part: usize| moment.positive.iter().map(move |parts| parts.get(part).copied().unwrap_or(parts[0]));
            let others =
                (1..most).map(|part| (self.context(std::iter::empty(), of(part)), self.column(part))).collect();
            Joined { weights: self.column(0), others }
        });
        Guide { context, joined }
    }

    /// `[batch, 1, 1, 1]`: how much a prompt of each picture counts.
    fn column(&self, part: usize) -> Tensor<4> {
        let weights: Vec<f32> =
            self.weights.iter().map(|weights| weights.get(part).map_or(0.0, |weight| *weight as f32)).collect();
        let batch = weights.len();
        Tensor::from_data(TensorData::new(weights, [batch, 1, 1, 1]), &self.device)
    }

    fn context(&self, negative: impl Iterator<Item = usize>, positive: impl Iterator<Item = usize>) -> Context {
        let places: Vec<_> = negative.map(|text| (0, text)).chain(positive.map(|text| (1, text))).collect();
        let encoded = EncodedText::cat(places.iter().map(|&(_, text)| self.texts[text].clone()).collect());
        let added = self.sizes.zip(encoded.pooled).map(|(of, pooled)| {
            let sizes = places.iter().map(|&(half, _): &(usize, usize)| of[half]).collect();
            AddedConditions { pooled, sizes }
        });
        Context::new(encoded.states).with_added(added)
    }
}

/// Whether every picture has one prompt, which counts once.
fn is_simple(weights: &[Vec<f64>]) -> bool {
    weights.iter().all(|weights| weights[..] == [1.0])
}

fn read(
    texts: &[String],
    how: Prompting,
    parse: impl Fn(&str) -> Result<Prompt, PromptError>,
) -> Result<Vec<Prompt>, PromptError> {
    let read = |text: &String| {
        if how.syntax == PromptSyntax::Plain {
            return Ok(Prompt::plain(text));
        }
        let prompt = parse(text)?;
        match prompt.networks.first() {
            Some(network) if !how.has_networks => Err(PromptError::NotLoaded(network.name.clone())),
            _ => Ok(prompt),
        }
    };
    texts.iter().map(read).collect()
}

/// All texts of a run, each once.
struct List {
    texts: Vec<Text>,
    places: HashMap<Text, usize>,
    pass: Pass,
    is_plain: bool,
    clip_skip: usize,
    negative_clip_skip: usize,
}

impl List {
    fn new(request: &PipelineRequest) -> Self {
        let Prompting { syntax, skips_negative, after, .. } = request.prompting;
        let clip_skip = request.clip_skip.get() as usize;
        Self {
            texts: Vec::new(),
            places: HashMap::new(),
            pass: Pass { steps: request.steps.get() as usize, after },
            is_plain: syntax == PromptSyntax::Plain,
            clip_skip,
            // diffusers skips layers for the prompt alone.
            negative_clip_skip: if skips_negative { clip_skip } else { 1 },
        }
    }

    fn positive(&mut self, prompt: &Prompt, step: usize) -> Vec<usize> {
        prompt.parts.iter().map(|part| self.place(&part.editing, false, step)).collect()
    }

    fn negative(&mut self, prompt: &Prompt, step: usize) -> usize {
        self.place(&prompt.parts[0].editing, true, step)
    }

    fn place(&mut self, editing: &Editing, is_negative: bool, step: usize) -> usize {
        let clip_skip = if is_negative { self.negative_clip_skip } else { self.clip_skip };
        let text = Text { says: editing.at(step, self.pass), clip_skip, is_plain: self.is_plain, is_negative };
        *self.places.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            self.texts.len() - 1
        })
    }
}
