//! Files of adaptations that are whole, halved, mixed and misshapen: what they make of a model can be read, or they are refused.

use diffusion::{
    adapters::{Adapters, Lora, WeightedLora},
    pipeline::{Component, ModelCard, ModelFiles},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, rc::Rc};
use weights::{Dtype, SafetensorsFile, TensorSource, TensorView, write_safetensors};

type Shaped<'a> = (String, &'a [usize]);

/// A file of these tensors, whose values are of both signs.
fn file(tensors: &[Shaped<'_>], dtype: Dtype) -> Rc<dyn TensorSource> {
    let bodies: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|at: usize| (at as f32 * 0.7).sin()).collect();
            weights::quantise(&values, dtype).expect("small numbers")
        })
        .collect();
    let views = tensors.iter().zip(&bodies).map(|((name, shape), bytes)| TensorView { name, dtype, shape, bytes });
    let mut file = Vec::new();
    write_safetensors(&mut file, views, &BTreeMap::new()).expect("names and shapes are allowed");
    Rc::new(SafetensorsFile::open(file).expect("a file of ours"))
}

/// A matrix, a convolution, a norm and a bias that is as long as nothing else.
fn model() -> ModelFiles {
    let unet: [Shaped<'_>; 6] = [
        ("a.to_q.weight".to_owned(), &[4, 8]),
        ("a.to_q.bias".to_owned(), &[4]),
        ("b.conv.weight".to_owned(), &[4, 2, 3, 3]),
        ("b.conv.bias".to_owned(), &[6]),
        ("c.norm.weight".to_owned(), &[4]),
        ("c.norm.bias".to_owned(), &[4]),
    ];
    let part = |source| Component { source, prefix: String::new() };
    ModelFiles {
        unet_config: String::new(),
        text_config: String::new(),
        scheduler_config: String::new(),
        vocab: String::new(),
        merges: String::new(),
        pad_token: String::new(),
        unet: part(file(&unet, Dtype::F32)),
        vae: None,
        text_encoder: part(file(&[("d.q_proj.weight".to_owned(), &[8, 8])], Dtype::F16)),
        text_encoder_2: None,
        added_tokens: Vec::new(),
        tiny_vae: None,
        card: ModelCard::default(),
    }
}

const MODULES: [&str; 4] = ["unet.a.to_q", "unet.b.conv", "unet.c.norm", "text_encoder.d.q_proj"];
const ENDINGS: [&str; 25] = [
    "lora_A.weight",
    "lora_B.weight",
    "lora_down.weight",
    "lora_up.weight",
    "lora_mid.weight",
    "alpha",
    "dora_scale",
    "lora_magnitude_vector",
    "hada_w1_a",
    "hada_w1_b",
    "hada_t1",
    "hada_w2_a",
    "hada_w2_b",
    "hada_t2",
    "lokr_w1",
    "lokr_w1_a",
    "lokr_w1_b",
    "lokr_w2",
    "lokr_w2_a",
    "lokr_w2_b",
    "lokr_t2",
    "diff",
    "diff_b",
    "on_input",
    "weight",
];
const SHAPES: [&[usize]; 24] = [
    &[],
    &[1],
    &[4],
    &[6],
    &[8],
    &[1, 8],
    &[4, 1],
    &[2, 8],
    &[4, 2],
    &[2, 4],
    &[2, 2],
    &[4, 8],
    &[8, 2],
    &[8, 8],
    &[1, 4],
    &[2, 2, 3, 3],
    &[4, 2, 1, 1],
    &[2, 2, 1, 1],
    &[4, 2, 3, 3],
    &[1, 1, 3, 3],
    &[2, 1, 3, 3],
    &[1, 2],
    &[2, 1],
    &[3, 5],
];
/// Endings that belong together.
const FORMS: [&[usize]; 12] = [
    &[0, 1],
    &[2, 3],
    &[2, 3, 4],
    &[0, 1, 7],
    &[2, 3, 6],
    &[8, 9, 11, 12],
    &[8, 9, 10, 11, 12, 13],
    &[14, 17],
    &[15, 16, 18, 19],
    &[14, 18, 19, 20],
    &[23, 24],
    &[21, 22],
];

/// Reads all that comes of it, or the sentence with which it is refused.
fn survives(tensors: &BTreeMap<String, &[usize]>) {
    let tensors: Vec<Shaped<'_>> = tensors.iter().map(|(name, shape)| (name.clone(), *shape)).collect();
    let lora = match Lora::new("x", file(&tensors, Dtype::F32)) {
        Ok(lora) => WeightedLora::new(Rc::new(lora), 0.5),
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let model = model();
    let adapters = Adapters { loras: vec![lora.clone(), lora], ..Adapters::default() };
    let Ok(merged) = adapters.over(&model) else { return };
    for source in [merged.unet.source, merged.text_encoder.source] {
        for info in source.tensors() {
            let raw = source.read(&info.name).expect("small sums can be stored");
            assert_eq!((raw.bytes.len() as u64, &raw.shape), (info.bytes, &info.shape));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_form_of_any_sizes_is_merged_or_refused(
        module in 0..MODULES.len(),
        form in 0..FORMS.len(),
        shapes in prop::collection::vec(0..SHAPES.len(), 6),
        also in prop::option::of((0..ENDINGS.len(), 0..SHAPES.len())),
    ) {
        let one = |ending: usize, shape: usize| (format!("{}.{}", MODULES[module], ENDINGS[ending]), SHAPES[shape]);
        let parts = FORMS[form].iter().zip(shapes).map(|(ending, shape)| one(*ending, shape));
        survives(&parts.chain(also.map(|(ending, shape)| one(ending, shape))).collect());
    }

    #[test]
    fn any_mixture_of_keys_is_merged_or_refused(
        keys in prop::collection::vec((0..MODULES.len(), 0..ENDINGS.len(), 0..SHAPES.len()), 1..8),
    ) {
        let tensors = keys.into_iter().map(|(module, ending, shape)| {
            (format!("{}.{}", MODULES[module], ENDINGS[ending]), SHAPES[shape])
        });
        survives(&tensors.collect());
    }
}

#[test]
fn a_bias_is_only_added_to_one_of_its_length() {
    survives(&BTreeMap::from([("unet.b.conv.diff_b".to_owned(), SHAPES[2])]));
}

#[test]
fn a_rank_that_nobody_trains_is_refused_before_memory_is_taken_for_it() {
    // A product of 1,000,000 rows of 18, of a file in which it takes a tenth.
    let shapes: [&[usize]; 3] = [&[4, 1_000_000], &[1, 2], &[1_000_000, 1, 3, 3]];
    let names = ["lora_up.weight", "lora_down.weight", "lora_mid.weight"].map(|end| format!("unet.b.conv.{end}"));
    let tensors: Vec<Shaped<'_>> = names.into_iter().zip(shapes).collect();
    let lora = Lora::new("x", file(&tensors, Dtype::F16)).expect("all parts of it");
    let adapters = Adapters { loras: vec![WeightedLora::new(Rc::new(lora), 1.0)], ..Adapters::default() };
    let error = adapters.over(&model()).err().expect("no such rank").to_string();
    assert!(error.contains("sizes differ"), "{error}");
}
