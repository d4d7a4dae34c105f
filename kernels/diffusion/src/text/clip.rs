//! CLIP's text encoder (Radford et al., 2021), as transformers' `CLIPTextModel` names it.

use crate::{
    config::{ConfigError, check_range},
    nn::{Activation, Builder, Embedding, Init, LayerNorm, Linear, attend},
};
use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData},
};
use serde::Deserialize;

/// `text_encoder/config.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct ClipTextConfig {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of a token's vector.
    pub hidden_size: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads of attention.
    pub num_attention_heads: usize,
    /// Tokens in the context.
    pub max_position_embeddings: usize,
    /// `quick_gelu` or `gelu`.
    pub hidden_act: String,
    /// Epsilon of the norms.
    #[serde(default = "layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// The id whose first place is pooled; exporters before 2023 wrote 2 and meant the largest id.
    #[serde(default = "legacy_eos")]
    pub eos_token_id: u32,
    /// Width of the pooled text after its projection, where there is one.
    #[serde(default)]
    pub projection_dim: Option<usize>,
    /// transformers' class; `CLIPTextModelWithProjection` has a projection.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Rows behind the vocabulary's, for added tokens; no file says this.
    #[serde(skip)]
    pub added_tokens: usize,
}

const fn layer_norm_eps() -> f64 {
    1e-5
}

const fn legacy_eos() -> u32 {
    2
}

impl ClipTextConfig {
    const fn layer_shape(&self, activation: Activation) -> EncoderShape {
        EncoderShape {
            width: self.hidden_size,
            intermediate: self.intermediate_size,
            heads: self.num_attention_heads,
            epsilon: self.layer_norm_eps,
            activation,
        }
    }

    /// Refuses sizes that no model has, before anything is allocated for them.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn validate(&self) -> Result<Activation, ConfigError> {
        check_range("text_encoder", "vocab_size", self.vocab_size, 2, 1 << 20)?;
        check_range("text_encoder", "hidden_size", self.hidden_size, 1, 1 << 14)?;
        check_range("text_encoder", "intermediate_size", self.intermediate_size, 1, 1 << 16)?;
        check_range("text_encoder", "num_hidden_layers", self.num_hidden_layers, 1, 128)?;
        check_range("text_encoder", "num_attention_heads", self.num_attention_heads, 1, 256)?;
        check_range("text_encoder", "max_position_embeddings", self.max_position_embeddings, 3, 4096)?;
        check_range("text_encoder", "projection_dim", self.projection_dim.unwrap_or(1), 1, 1 << 14)?;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(ConfigError::NotDivisible {
                part: "text_encoder",
                field: "hidden_size",
                by: "num_attention_heads",
            });
        }
        match self.hidden_act.as_str() {
            "quick_gelu" => Ok(Activation::QuickGelu),
            "gelu" => Ok(Activation::Gelu),
            other => {
                Err(ConfigError::Unsupported { part: "text_encoder", field: "hidden_act", found: other.to_owned() })
            }
        }
    }
}

#[derive(Module, Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    fn new(builder: &Builder<'_>, width: usize, heads: usize) -> Self {
        let linear = |name| Linear::new(&builder.pp(name), width, width);
        Self {
            q_proj: linear("q_proj"),
            k_proj: linear("k_proj"),
            v_proj: linear("v_proj"),
            out_proj: linear("out_proj"),
            heads,
        }
    }

    fn forward(&self, input: Tensor<3>, mask: Option<&Tensor<2>>, residual: Tensor<3>) -> Tensor<3> {
        let query = self.q_proj.forward(input.clone());
        let key = self.k_proj.forward(input.clone());
        let value = self.v_proj.forward(input);
        self.out_proj.forward_add(attend(query, key, value, self.heads, mask), residual)
    }
}

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: Activation,
}

/// Sizes of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncoderShape {
    pub width: usize,
    pub intermediate: usize,
    pub heads: usize,
    pub epsilon: f64,
    pub activation: Activation,
}

/// transformers' `CLIPEncoderLayer`, of the text encoder and of the vision encoder.
#[derive(Module, Debug)]
pub(crate) struct EncoderLayer {
    layer_norm1: LayerNorm,
    self_attn: Attention,
    layer_norm2: LayerNorm,
    mlp: Mlp,
}

impl EncoderLayer {
    pub(crate) fn new(builder: &Builder<'_>, shape: EncoderShape) -> Self {
        let EncoderShape { width, intermediate, heads, epsilon, activation } = shape;
        let mlp = builder.pp("mlp");
        Self {
            layer_norm1: LayerNorm::new(&builder.pp("layer_norm1"), width, epsilon),
            self_attn: Attention::new(&builder.pp("self_attn"), width, heads),
            layer_norm2: LayerNorm::new(&builder.pp("layer_norm2"), width, epsilon),
            mlp: Mlp {
                fc1: Linear::new(&mlp.pp("fc1"), width, intermediate),
                fc2: Linear::new(&mlp.pp("fc2"), intermediate, width),
                activation,
            },
        }
    }

    /// # Shapes
    ///
    /// - input, output: `[batch, tokens, width]`
    /// - mask: `[tokens, tokens]`, added to the scores
    pub(crate) fn forward(&self, input: Tensor<3>, mask: Option<&Tensor<2>>) -> Tensor<3> {
        let hidden = self.self_attn.forward(self.layer_norm1.forward(input.clone()), mask, input);
        let normed = self.layer_norm2.forward(hidden.clone());
        self.mlp.fc2.forward_add(self.mlp.fc1.forward_activated(normed, self.mlp.activation), hidden)
    }
}

/// What the text encoder gives.
#[derive(Debug, Clone)]
pub struct TextOutput {
    /// The chosen layer after the final norm, `[batch, tokens, width]`.
    pub hidden: Tensor<3>,
    /// The last layer's vector at the end token, projected where the model has a projection, `[batch, width]`.
    pub pooled: Tensor<2>,
}

/// The text encoder.
#[derive(Module, Debug)]
pub struct ClipTextModel {
    token_embedding: Embedding,
    position_embedding: Param<Tensor<2>>,
    layers: Vec<EncoderLayer>,
    final_layer_norm: LayerNorm,
    text_projection: Option<Linear>,
    #[module(skip)]
    end_token: Option<u32>,
    #[module(skip)]
    vocab_size: usize,
}

impl ClipTextModel {
    /// Builds the encoder that the configuration describes.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn new(builder: &Builder<'_>, config: &ClipTextConfig) -> Result<Self, ConfigError> {
        let activation = config.validate()?;
        let width = config.hidden_size;
        let has_projection = builder.has("text_projection")
            || config.architectures.iter().any(|class| class == "CLIPTextModelWithProjection");
        let projection = builder.pp("text_projection");
        // transformers 5 dropped the `text_model` level.
        let builder = if builder.has("embeddings") { builder.clone() } else { builder.pp("text_model") };
        let embeddings = builder.pp("embeddings");
        let layers = builder.pp("encoder").pp("layers");
        Ok(Self {
            token_embedding: Embedding::new(
                &embeddings.pp("token_embedding"),
                config.vocab_size + config.added_tokens,
                width,
            ),
            position_embedding: embeddings.pp("position_embedding").tensor(
                "weight",
                [config.max_position_embeddings, width],
                Init::Normal(0.01),
            ),
            layers: (0..config.num_hidden_layers)
                .map(|index| EncoderLayer::new(&layers.pp(index), config.layer_shape(activation)))
                .collect(),
            final_layer_norm: LayerNorm::new(&builder.pp("final_layer_norm"), width, config.layer_norm_eps),
            text_projection: has_projection
                .then(|| Linear::without_bias(&projection, width, config.projection_dim.unwrap_or(width))),
            end_token: (config.eos_token_id != legacy_eos()).then_some(config.eos_token_id),
            vocab_size: config.vocab_size,
        })
    }

    /// Tokens that fit into the context.
    pub fn context_length(&self) -> usize {
        self.position_embedding.val().dims()[0]
    }

    /// Encodes ids; `clip_skip` 1 is the last layer, 2 the last but one, and so on.
    ///
    /// # Shapes
    ///
    /// - ids: `batch` rows of `tokens` ids each
    /// - output: see [`TextOutput`]
    pub fn forward(&self, ids: &[Vec<u32>], clip_skip: usize, device: &Device) -> TextOutput {
        self.encode(ids, clip_skip, true, device)
    }

    /// The same as Stable Diffusion XL takes it: one layer further from the end, and without the final norm.
    pub fn forward_penultimate(&self, ids: &[Vec<u32>], clip_skip: usize, device: &Device) -> TextOutput {
        self.encode(ids, clip_skip + 1, false, device)
    }

    fn encode(&self, ids: &[Vec<u32>], from_end: usize, is_normed: bool, device: &Device) -> TextOutput {
        let (batch, tokens) = (ids.len(), ids.first().map_or(0, Vec::len));
        let flat: Vec<i32> = ids.iter().flatten().map(|&id| id as i32).collect();
        let input = Tensor::<2, Int>::from_data(TensorData::new(flat, [batch, tokens]), device);
        let positions = self.position_embedding.val().narrow(0, 0, tokens);
        let mut hidden = self.token_embedding.forward(input) + positions.unsqueeze();

        let mask = causal_mask(tokens, device);
        let chosen = self.layers.len().saturating_sub(from_end.saturating_sub(1)).max(1);
        let mut kept = None;
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(hidden, Some(&mask));
            if index + 1 == chosen {
                kept = Some(hidden.clone());
            }
        }
        let last = self.final_layer_norm.forward(hidden);
        let pooled = self.pool(&last, ids);
        let pooled = match &self.text_projection {
            Some(projection) => projection.forward_rows(pooled),
            None => pooled,
        };
        let hidden = match kept {
            Some(kept) if !is_normed => kept,
            Some(kept) if chosen < self.layers.len() => self.final_layer_norm.forward(kept),
            _ => last,
        };
        TextOutput { hidden, pooled }
    }

    fn pool(&self, hidden: &Tensor<3>, ids: &[Vec<u32>]) -> Tensor<2> {
        let [_, _, width] = hidden.dims();
        let rows = ids
            .iter()
            .enumerate()
            .map(|(row, ids)| {
                // Added tokens have larger ids than the end.
                let known = ids.iter().copied().filter(|&id| (id as usize) < self.vocab_size);
                let end = self.end_token.or_else(|| known.max());
                let place = ids.iter().position(|&id| Some(id) == end).unwrap_or(ids.len() - 1);
                hidden.clone().slice([row..row + 1, place..place + 1, 0..width]).reshape([1, width])
            })
            .collect();
        Tensor::cat(rows, 0)
    }
}

/// Minus infinity above the diagonal; a large finite number, since infinities become NaN in some kernels.
fn causal_mask(tokens: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..tokens * tokens).map(|i| if i % tokens > i / tokens { -1e9 } else { 0.0 }).collect();
    Tensor::from_data(TensorData::new(values, [tokens, tokens]), device)
}
