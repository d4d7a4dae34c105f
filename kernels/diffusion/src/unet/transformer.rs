//! diffusers' `Transformer2DModel`: attention among pixels, then to the words.

use super::{Context, TokenMerging, Tweaks, token_merging::Merge};
use crate::nn::{Builder, Conv2d, Conv2dShape, GroupNorm, LayerNorm, Linear, PackedLinear, attend};
use burn::{module::Module, tensor::Tensor};

#[derive(Module, Debug)]
struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    fn new(builder: &Builder<'_>, width: usize, context: usize, heads: usize) -> Self {
        Self {
            to_q: Linear::without_bias(&builder.pp("to_q"), width, width),
            to_k: Linear::without_bias(&builder.pp("to_k"), context, width),
            to_v: Linear::without_bias(&builder.pp("to_v"), context, width),
            to_out: Linear::new(&builder.pp("to_out.0"), width, width),
            heads,
        }
    }

    /// Of the input to itself, plus `residual`.
    fn forward(&self, input: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let (key, value) = self.keys_and_values(&input);
        self.attended(input, key, value, residual)
    }

    /// Of the input to the prompt, plus `residual`.
    fn forward_cross(&self, input: Tensor<3>, context: &Context, residual: Tensor<3>) -> Tensor<3> {
        let (key, value) = context.keys_and_values(self.to_k.weight.id, |states| self.keys_and_values(states));
        self.attended(input, key, value, residual)
    }

    fn keys_and_values(&self, input: &Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        (self.to_k.forward(input.clone()), self.to_v.forward(input.clone()))
    }

    /// Of merged tokens to each other.
    fn forward_merged(&self, input: Tensor<3>, merge: &Merge) -> Tensor<3> {
        let merged = merge.forward(input);
        let (key, value) = self.keys_and_values(&merged);
        merge.back(self.alone(merged, key, value))
    }

    /// Of merged tokens to the prompt.
    fn forward_cross_merged(&self, input: Tensor<3>, context: &Context, merge: &Merge) -> Tensor<3> {
        let (key, value) = context.keys_and_values(self.to_k.weight.id, |states| self.keys_and_values(states));
        merge.back(self.alone(merge.forward(input), key, value))
    }

    fn alone(&self, input: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Tensor<3> {
        self.to_out.forward(attend(self.to_q.forward(input), key, value, self.heads, None))
    }

    fn attended(&self, input: Tensor<3>, key: Tensor<3>, value: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.to_out.forward_add(attend(self.to_q.forward(input), key, value, self.heads, None), residual)
    }
}

#[derive(Module, Debug)]
struct FeedForward {
    proj: Linear,
    out: Linear,
}

impl FeedForward {
    fn new(builder: &Builder<'_>, width: usize) -> Self {
        Self {
            proj: Linear::gated(&builder.pp("net.0.proj"), width, width * 8),
            out: Linear::new(&builder.pp("net.2"), width * 4, width),
        }
    }

    /// Gated by GELU (Shazeer, 2020), plus `residual`.
    fn forward(&self, input: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.out.forward_add(self.proj.forward_gated(input), residual)
    }

    fn alone(&self, input: Tensor<3>) -> Tensor<3> {
        self.out.forward(self.proj.forward_gated(input))
    }
}

#[derive(Module, Debug)]
struct BasicTransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
}

impl BasicTransformerBlock {
    fn new(builder: &Builder<'_>, width: usize, context: usize, heads: usize) -> Self {
        let norm = |name| LayerNorm::new(&builder.pp(name), width, 1e-5);
        Self {
            norm1: norm("norm1"),
            attn1: Attention::new(&builder.pp("attn1"), width, width, heads),
            norm2: norm("norm2"),
            attn2: Attention::new(&builder.pp("attn2"), width, context, heads),
            norm3: norm("norm3"),
            ff: FeedForward::new(&builder.pp("ff"), width),
        }
    }

    fn forward(&self, input: Tensor<3>, context: &Context, size: [usize; 2], tweaks: Tweaks<'_>) -> Tensor<3> {
        if let Some(probe) = tweaks.probe {
            let normed = self.norm1.forward(input.clone());
            let (query, key) = (self.attn1.to_q.forward(normed.clone()), self.attn1.to_k.forward(normed));
            probe.note(query, key, self.attn1.heads, size);
        }
        if let Some((merge, merger)) = tweaks.merge(&input, size) {
            return self.forward_merged(input, context, &merge, &merger.settings);
        }
        let hidden = self.attn1.forward(self.norm1.forward(input.clone()), input);
        let hidden = self.attn2.forward_cross(self.norm2.forward(hidden.clone()), context, hidden);
        self.ff.forward(self.norm3.forward(hidden.clone()), hidden)
    }

    /// With fewer tokens where the settings say so.
    fn forward_merged(&self, input: Tensor<3>, context: &Context, merge: &Merge, how: &TokenMerging) -> Tensor<3> {
        let normed = self.norm1.forward(input.clone());
        let hidden = if how.attention {
            self.attn1.forward_merged(normed, merge) + input
        } else {
            self.attn1.forward(normed, input)
        };
        let normed = self.norm2.forward(hidden.clone());
        let hidden = if how.cross_attention {
            self.attn2.forward_cross_merged(normed, context, merge) + hidden
        } else {
            self.attn2.forward_cross(normed, context, hidden)
        };
        let normed = self.norm3.forward(hidden.clone());
        if how.feed_forward {
            merge.back(self.ff.alone(merge.forward(normed))) + hidden
        } else {
            self.ff.forward(normed, hidden)
        }
    }
}

#[derive(Module, Debug)]
enum Projection {
    Conv(Conv2d),
    Linear(Linear),
}

impl Projection {
    fn new(builder: &Builder<'_>, width: usize, linear: bool) -> Self {
        if linear {
            Self::Linear(Linear::new(builder, width, width))
        } else {
            Self::Conv(Conv2d::new(builder, width, width, Conv2dShape::POINT))
        }
    }

    /// The same product either way, where our own kernel computes it.
    fn packed(&self) -> Option<&PackedLinear> {
        match self {
            Self::Conv(conv) => conv.point(),
            Self::Linear(linear) => linear.packed(),
        }
    }
}

/// Sizes of a transformer.
#[derive(Debug, Clone, Copy)]
pub struct TransformerShape {
    pub width: usize,
    pub context: usize,
    pub heads: usize,
    pub layers: usize,
    pub groups: usize,
    pub linear: bool,
}

#[derive(Module, Debug)]
pub struct Transformer2DModel {
    norm: GroupNorm,
    proj_in: Projection,
    transformer_blocks: Vec<BasicTransformerBlock>,
    proj_out: Projection,
}

impl Transformer2DModel {
    pub fn new(builder: &Builder<'_>, shape: TransformerShape) -> Self {
        let TransformerShape { width, context, heads, layers, groups, linear } = shape;
        let blocks = builder.pp("transformer_blocks");
        Self {
            norm: GroupNorm::new(&builder.pp("norm"), groups, width, 1e-6),
            proj_in: Projection::new(&builder.pp("proj_in"), width, linear),
            transformer_blocks: (0..layers)
                .map(|index| BasicTransformerBlock::new(&blocks.pp(index), width, context, heads))
                .collect(),
            proj_out: Projection::new(&builder.pp("proj_out"), width, linear),
        }
    }

    /// # Shapes
    ///
    /// - input, output: `[batch, channels, height, width]`
    pub fn forward(&self, input: Tensor<4>, context: &Context, tweaks: Tweaks<'_>) -> Tensor<4> {
        let [batch, channels, height, width] = input.dims();
        let to_tokens = |pixels: Tensor<4>| pixels.reshape([batch, channels, height * width]).swap_dims(1, 2);
        let to_pixels = |tokens: Tensor<3>| tokens.swap_dims(1, 2).reshape([batch, channels, height, width]);

        let normed = self.norm.forward(input.clone());
        let mut hidden = match (self.proj_in.packed(), &self.proj_in) {
            (Some(packed), _) => packed.to_tokens(normed),
            (None, Projection::Conv(conv)) => to_tokens(conv.forward(normed)),
            (None, Projection::Linear(linear)) => linear.forward(to_tokens(normed)),
        };
        for (index, block) in self.transformer_blocks.iter().enumerate() {
            // The first layer is the one whose attention is asked for.
            let tweaks = if index == 0 { tweaks } else { tweaks.unasked() };
            hidden = block.forward(hidden, context, [height, width], tweaks);
        }
        match (self.proj_out.packed(), &self.proj_out) {
            (Some(packed), _) => packed.to_pixels(hidden, input),
            (None, Projection::Conv(conv)) => conv.forward(to_pixels(hidden)) + input,
            (None, Projection::Linear(linear)) => to_pixels(linear.forward(hidden)) + input,
        }
    }
}
