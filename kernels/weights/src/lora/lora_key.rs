//! What the name of a LoRA's tensor says.

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
    /// Of a method that is no plain product; the word is its name.
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
const ENDINGS: [(&str, Role); 24] = [
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
    (".dora_scale", Role::Other("DoRA")),
    (".lora_magnitude_vector", Role::Other("DoRA")),
    (".lora_magnitude_vector.weight", Role::Other("DoRA")),
    (".w_norm", Role::Other("a norm adapter")),
    (".b_norm", Role::Other("a norm adapter")),
    (".diff", Role::Other("a full difference")),
    (".diff_b", Role::Other("a full difference")),
    (".on_input", Role::Other("IA3")),
    (".oft_blocks", Role::Other("OFT")),
    (".oft_diag", Role::Other("OFT")),
    (".reshape_weight", Role::Other("a reshaped adapter")),
];

impl LoraKey {
    /// Takes a name apart; `None` for one that is no LoRA's.
    pub fn parse(key: &str) -> Option<Self> {
        for method in ["hada_", "lokr_"] {
            if let Some((module, _)) = key.rsplit_once(&format!(".{method}"))
                && !module.is_empty()
            {
                let name = if method == "hada_" { "LoHa" } else { "LoKr" };
                return Some(Self { module: module.to_owned(), role: Role::Other(name) });
            }
        }
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
            ("lora_unet_x.hada_w1_a", "lora_unet_x", Role::Other("LoHa")),
            ("lora_unet_x.lokr_w2", "lora_unet_x", Role::Other("LoKr")),
            ("x.to_q.lora_magnitude_vector.default.weight", "x.to_q", Role::Other("DoRA")),
        ] {
            assert_eq!(LoraKey::parse(key), Some(LoraKey { module: module.to_owned(), role }), "{key}");
        }
        for key in ["", ".alpha", ".lokr_w1", "down_blocks.0.weight", "lora_A.weight", "emb_params"] {
            assert_eq!(LoraKey::parse(key), None, "{key}");
        }
    }
}
