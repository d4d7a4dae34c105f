//! What the name of a LoRA's tensor says.

/// Which of the matrices of a product of products (`LoHa`, `LoKr`) a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Factor {
    /// The first, whole.
    First,
    /// The first's outputs.
    FirstA,
    /// The first's inputs.
    FirstB,
    /// The first's kernel (Tucker's decomposition).
    FirstKernel,
    /// The second, whole.
    Second,
    /// The second's outputs.
    SecondA,
    /// The second's inputs.
    SecondB,
    /// The second's kernel.
    SecondKernel,
}

/// What a tensor is within its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// From the inputs to the rank.
    Down,
    /// From the rank to the outputs.
    Up,
    /// Between both, of a convolution (Tucker's decomposition).
    Mid,
    /// What the product is multiplied with, over the rank.
    Alpha,
    /// Lengths of the weight's rows or columns (`DoRA`), as `LyCORIS` has them.
    DoraScale,
    /// Lengths of the weight's rows (`DoRA`), as PEFT has them.
    Magnitude,
    /// Of a product by elements (`LoHa`).
    Hadamard(Factor),
    /// Of a product of blocks (`LoKr`).
    Kronecker(Factor),
    /// All that is added to a weight.
    Difference,
    /// All that is added to a bias.
    BiasDifference,
    /// Whether outputs or inputs are made louder (`(IA)^3`).
    OnInput,
    /// How much louder.
    Gain,
    /// Of a method that is not supported; the word is its name.
    Other(&'static str),
}

/// A LoRA's key, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraKey {
    /// The module as the file spells it, without what follows.
    pub module: String,
    /// What it is there.
    pub role: Role,
}

/// Endings of diffusers', PEFT's and kohya's names; the first that fits counts.
const ENDINGS: [(&str, Role); 37] = [
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora_mid.weight", Role::Mid),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    // The reference's attention processors, until 2023.
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
    (".alpha", Role::Alpha),
    (".network_alpha", Role::Alpha),
    (".dora_scale", Role::DoraScale),
    (".lora_magnitude_vector", Role::Magnitude),
    (".lora_magnitude_vector.weight", Role::Magnitude),
    (".hada_w1_a", Role::Hadamard(Factor::FirstA)),
    (".hada_w1_b", Role::Hadamard(Factor::FirstB)),
    (".hada_t1", Role::Hadamard(Factor::FirstKernel)),
    (".hada_w2_a", Role::Hadamard(Factor::SecondA)),
    (".hada_w2_b", Role::Hadamard(Factor::SecondB)),
    (".hada_t2", Role::Hadamard(Factor::SecondKernel)),
    (".lokr_w1", Role::Kronecker(Factor::First)),
    (".lokr_w1_a", Role::Kronecker(Factor::FirstA)),
    (".lokr_w1_b", Role::Kronecker(Factor::FirstB)),
    (".lokr_w2", Role::Kronecker(Factor::Second)),
    (".lokr_w2_a", Role::Kronecker(Factor::SecondA)),
    (".lokr_w2_b", Role::Kronecker(Factor::SecondB)),
    (".lokr_t2", Role::Kronecker(Factor::SecondKernel)),
    (".diff", Role::Difference),
    (".diff_b", Role::BiasDifference),
    (".w_norm", Role::Difference),
    (".b_norm", Role::BiasDifference),
    (".on_input", Role::OnInput),
    (".oft_blocks", Role::Other("OFT")),
    (".oft_diag", Role::Other("BOFT")),
    (".reshape_weight", Role::Other("a reshaped adapter")),
];

impl LoraKey {
    /// Takes a name apart; `None` for one that is no LoRA's.
    pub fn parse(key: &str) -> Option<Self> {
        let plain = without_adapter_name(key);
        let (module, role) = ENDINGS.iter().find_map(|(end, role)| Some((plain.strip_suffix(end)?, *role)))?;
        if module.is_empty() {
            return None;
        }
        Some(Self { module: canonical(module, plain.contains("_lora.")), role })
    }
}

/// PEFT puts the adapter's name between: `.lora_A.default.weight`.
fn without_adapter_name(key: &str) -> String {
    for part in [".lora_A.", ".lora_B.", ".lora_magnitude_vector."] {
        if let Some((module, rest)) = key.rsplit_once(part)
            && let Some((name, ending @ "weight")) = rest.rsplit_once('.')
            && !name.is_empty()
            && !name.contains('.')
        {
            return format!("{module}{part}{ending}");
        }
    }
    key.to_owned()
}

/// The same module by its present name.
fn canonical(module: &str, is_processor: bool) -> String {
    let module = module.replace(".processor.", ".");
    if !is_processor {
        return module;
    }
    let is_text = module.contains(".self_attn.");
    let renamed = [("to_q", "q_proj"), ("to_k", "k_proj"), ("to_v", "v_proj"), ("to_out", "out_proj")];
    for (old, text) in renamed {
        if let Some(start) = module.strip_suffix(old) {
            return match (is_text, old) {
                (true, _) => format!("{start}{text}"),
                (false, "to_out") => format!("{start}to_out.0"),
                (false, _) => module,
            };
        }
    }
    module
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_taken_apart() {
        for (key, module, role) in [
            ("unet.down_blocks.0.attn1.to_q.lora_A.weight", "unet.down_blocks.0.attn1.to_q", Role::Down),
            ("unet.a.to_q.lora.up.weight", "unet.a.to_q", Role::Up),
            ("a.attn1.processor.to_out_lora.down.weight", "a.attn1.to_out.0", Role::Down),
            ("a.attn1.processor.to_k_lora.up.weight", "a.attn1.to_k", Role::Up),
            ("te.layers.0.self_attn.to_q_lora.down.weight", "te.layers.0.self_attn.q_proj", Role::Down),
            ("te.self_attn.out_proj.lora_linear_layer.up.weight", "te.self_attn.out_proj", Role::Up),
            ("base_model.model.x.to_q.lora_A.default.weight", "base_model.model.x.to_q", Role::Down),
            ("base_model.model.x.to_q.lora_B.my-style.weight", "base_model.model.x.to_q", Role::Up),
            ("lora_unet_down_blocks_0_proj_in.lora_mid.weight", "lora_unet_down_blocks_0_proj_in", Role::Mid),
            ("lora_te1_x.alpha", "lora_te1_x", Role::Alpha),
            ("lora_unet_x.hada_w1_a", "lora_unet_x", Role::Hadamard(Factor::FirstA)),
            ("lora_unet_x.lokr_w2", "lora_unet_x", Role::Kronecker(Factor::Second)),
            ("x.to_q.lora_magnitude_vector.default.weight", "x.to_q", Role::Magnitude),
        ] {
            assert_eq!(LoraKey::parse(key), Some(LoraKey { module: module.to_owned(), role }), "{key}");
        }
        for key in
            ["", ".alpha", ".lokr_w1", "x.lokr_w3", "x.hada_", "down_blocks.0.weight", "lora_A.weight", "emb_params"]
        {
            assert_eq!(LoraKey::parse(key), None, "{key}");
        }
    }
}
