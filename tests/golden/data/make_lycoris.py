"""DoRA, LoHa, LoKr and what else changes a weight: the part of `make.py` that computes and stores these.

    python make_lycoris.py DIR TO    # computes adapters and cases anew from the models in DIR and stores them in TO

PEFT computes the first three; the last case has LyCORIS' and kohya's kinds that PEFT has not, by their formulas.
"""
import pathlib, sys

PROMPT, NEGATIVE = "a photo of an astronaut riding a horse on mars", "blurry, low quality"
REQUEST = dict(prompts=[PROMPT], negative_prompts=[NEGATIVE], steps=3, guidance=6.0)
CASES = {"sd15-dora": ("dora-peft", 0.7), "sd15-loha": ("loha", 0.8), "sd15-lokr": ("lokr", 0.9),
         "sd15-lycoris": ("lycoris", 0.6)}
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
# A matrix, convolutions of 3 x 3, of 1 x 1 and with stride.
LAYERS = [f"{BLOCK}.attn1.to_q", f"{BLOCK}.ff.net.2", "mid_block.resnets.0.conv1", "down_blocks.0.downsamplers.0.conv",
          "down_blocks.1.resnets.0.conv_shortcut"]


def compute(source, to):
    import torch
    from diffusers import StableDiffusionPipeline
    from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
    from safetensors.torch import save_file
    torch.set_grad_enabled(False)
    (to / "cases").mkdir(parents=True, exist_ok=True)
    (to / "models/tiny-lora").mkdir(parents=True, exist_ok=True)

    def pipeline():
        p = StableDiffusionPipeline.from_pretrained(source / "models/tiny-sd15")
        p.safety_checker = None
        p.set_progress_bar_config(disable=True)
        return p

    def store(case, p, tensors):
        name, _ = CASES[case]
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, to / f"models/tiny-lora/{name}.safetensors")
        torch.manual_seed(140)
        z = torch.randn(1, 4, 8, 8)
        made = p(prompt=PROMPT, negative_prompt=NEGATIVE, latents=z, num_inference_steps=REQUEST["steps"], output_type="latent",
                 guidance_scale=REQUEST["guidance"], height=64, width=64).images
        save_file({"latents": z, "final_latents": made}, to / f"cases/{case}.safetensors")

    kohya = lambda name: "lora_unet_" + name.replace(".", "_")
    configs = {
        "sd15-dora": (LoraConfig(r=4, lora_alpha=2, use_dora=True, target_modules=LAYERS), lambda n: f"base_model.model.{n}"),
        "sd15-loha": (LoHaConfig(r=2, alpha=1, use_effective_conv2d=True, target_modules=LAYERS), kohya),
        "sd15-lokr": (LoKrConfig(r=2, alpha=1, use_effective_conv2d=True, target_modules=LAYERS), kohya),
    }
    for case, (config, spelling) in configs.items():
        p, (_, weight) = pipeline(), CASES[case]
        torch.manual_seed(141)
        unet = inject_adapter_in_model(config, p.unet)
        tensors = {}
        for name, parameter in unet.named_parameters():
            if any(part in name for part in ("lora_A", "lora_B", "hada_", "lokr_")):
                parameter.copy_((torch.randn_like(parameter) * 0.3).half().float())
            elif "magnitude" in name:
                parameter.copy_((parameter * (1 + 0.2 * torch.randn_like(parameter))).half().float())
        for layer in unet.modules():
            if hasattr(layer, "set_scale"):
                layer.set_scale("default", weight)
        for key, tensor in get_peft_model_state_dict(unet).items():
            layer = next(layer for layer in LAYERS if key.startswith(layer + "."))
            tensors[spelling(layer) + key[len(layer):]] = tensor.half()
            tensors[spelling(layer) + ".alpha"] = torch.tensor(float(getattr(config, "alpha", None) or config.lora_alpha))
        p.unet = unet
        store(case, p, tensors)

    case = "sd15-lycoris"
    p, (_, weight) = pipeline(), CASES[case]
    torch.manual_seed(142)
    tensors = {}
    draw = lambda *shape: (torch.randn(*shape) * 0.3).half()
    def add(layer, **parts):
        for key, tensor in parts.items():
            tensors[f"{kohya(layer)}.{key.replace('__', '.')}"] = tensor
        return {key: tensor.float() for key, tensor in parts.items()}
    def parameter(layer, name="weight"):
        return getattr(p.unet.get_submodule(layer), name)
    def change(layer, difference, name="weight"):
        own = parameter(layer, name)
        own.add_(weight * difference.reshape(own.shape))
    def decomposed(layer, difference, length):
        # Lengths of rows or of columns; what is more than the weight is mixed in.
        own = parameter(layer)
        sum = own + difference.reshape(own.shape)
        if length.shape[0] == own.shape[0]:
            norm = sum.flatten(1).norm(dim=1).reshape(-1, *[1] * (own.dim() - 1))
        else:
            norm = sum.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *[1] * (own.dim() - 2))
        return sum * (length / norm) - own
    q = f"{BLOCK}.attn1.to_q"  # lengths of inputs
    f = add(q, lora_down__weight=draw(2, 32), lora_up__weight=draw(32, 2), alpha=torch.tensor(1.0),
            dora_scale=(parameter(q).norm(dim=0, keepdim=True) * (1 + 0.2 * torch.randn(1, 32))).half())
    change(q, decomposed(q, f["lora_up__weight"] @ f["lora_down__weight"] / 2, f["dora_scale"]))
    c = "down_blocks.0.resnets.0.conv1"  # a LoHa without a kernel of its own, with lengths of outputs
    f = add(c, hada_w1_a=draw(32, 2), hada_w1_b=draw(2, 288), hada_w2_a=draw(32, 2), hada_w2_b=draw(2, 288), alpha=torch.tensor(2.0),
            dora_scale=(parameter(c).flatten(1).norm(dim=1).reshape(-1, 1, 1, 1) * 1.25).half())
    change(c, decomposed(c, (f["hada_w1_a"] @ f["hada_w1_b"]) * (f["hada_w2_a"] @ f["hada_w2_b"]), f["dora_scale"]))
    c = "mid_block.resnets.1.conv2"  # a LoKr of two products, without a kernel of its own
    f = add(c, lokr_w1_a=draw(8, 2), lokr_w1_b=draw(2, 4), lokr_w2_a=draw(8, 2), lokr_w2_b=draw(2, 16 * 9), alpha=torch.tensor(1.0))
    change(c, torch.kron(f["lokr_w1_a"] @ f["lokr_w1_b"], f["lokr_w2_a"] @ f["lokr_w2_b"]) / 2)
    k = f"{BLOCK}.attn2.to_k"  # a LoKr of two matrices, whose alpha does not count
    f = add(k, lokr_w1=draw(4, 8), lokr_w2=draw(8, 4), alpha=torch.tensor(3.0))
    change(k, torch.kron(f["lokr_w1"], f["lokr_w2"]))
    o = f"{BLOCK}.attn1.to_out.0"
    f = add(o, diff=draw(32, 32), diff_b=draw(32))
    change(o, f["diff"]); change(o, f["diff_b"], "bias")
    n = f"{BLOCK}.norm2"
    f = add(n, w_norm=draw(32), b_norm=draw(32))
    change(n, f["w_norm"]); change(n, f["b_norm"], "bias")
    for layer, is_input, gains in ((f"{BLOCK}.attn2.to_v", False, draw(32)), (f"{BLOCK}.ff.net.2", True, draw(128))):
        f = add(layer, weight=gains, on_input=torch.tensor(is_input).half())
        change(layer, parameter(layer) * f["weight"].reshape((1, -1) if is_input else (-1, 1)))
    store(case, p, tensors)


def store(copy, case):
    """Puts here what the tests need; the helpers are those of `make.py`."""
    for name, (file, weight) in CASES.items():
        copy(f"models/tiny-lora/{file}.safetensors")
        case("text2img", name, name, 1e-3, model="tiny-sd15", request=REQUEST,
             loras=[{"file": f"models/tiny-lora/{file}.safetensors", "weight": weight}])


if __name__ == "__main__":
    compute(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
