"""Stable Diffusion XL, LoRAs and textual inversion: the part of `make.py` that computes and stores these.

    python make_adapters.py DIR    # computes the cases anew from the models in DIR, without storing them
"""
import json, pathlib, struct, sys

PROMPT, NEGATIVE, SECOND = "a photo of an astronaut riding a horse on mars", "blurry, low quality", "a bowl of soup"
INVERTED = "a house in the style of"  # and then three new tokens
SIZES = dict(original=[512, 1024], crop=[32, 16], target=[640, 768])  # across before down, as the command line takes them
NEGATIVE_SIZES = dict(original=[256, 512], crop=[2, 1], target=[400, 300])
ONE = dict(prompts=[PROMPT], negative_prompts=[NEGATIVE])
LORA = {**ONE, "steps": 4, "guidance": 6.0}
XL = {
    "sdxl-text2img": {**ONE, "steps": 5, "guidance": 5.0},
    # An empty negative prompt is zeros, as where the reference is given none.
    "sdxl-sizes": dict(prompts=[PROMPT, SECOND], negative_prompts=[NEGATIVE, ""], steps=4, guidance=5.0,
                       sizes={**SIZES, "negative": NEGATIVE_SIZES}),
    "sdxl-clipskip": {**ONE, "steps": 2, "guidance": 5.0, "clip_skip": 2},
    "sdxl-turbo": dict(prompts=[PROMPT], negative_prompts=[""], steps=1, guidance=1.0),
    "sdxl-img2img": {**ONE, "steps": 10, "guidance": 5.0, "strength": 0.6},
}
EULER = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
TURBO = {**EULER, "timestep_spacing": "trailing"}
LORAS = {  # case: file and weight of each
    "sd15-lora-0": [("lora-0-diffusers", 0.7)],
    "sd15-lora-1": [("lora-1-kohya", 1.0)],
    "sd15-lora-both": [("lora-0-diffusers", 0.5), ("lora-1-kohya", 0.9)],
    "sd15-lora-locon": [("lora-2-locon", 0.8)],
}


def tools(out):
    import torch
    from safetensors.torch import load_file, save_file
    def save(name, **tensors):
        file = out / "cases" / f"{name}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: (v if torch.is_tensor(v) else torch.tensor(v)).contiguous() for k, v in tensors.items()}, file)
    def run(p, **request):
        steps = []
        def keep(pipe, i, t, state):
            steps.append(state["latents"].clone())
            return {}
        latents = p(**request, output_type="latent", callback_on_step_end=keep).images
        image = p.vae.decode(latents / p.vae.config.scaling_factor).sample
        return dict(steps=torch.stack(steps), final_latents=latents, image=(image / 2 + 0.5).clamp(0, 1))
    return torch, load_file, save_file, save, run


def models(out, half_round, halve, encoder, vae, write_tokenizer):
    """Writes `tiny-sdxl` and the LoRAs; the helpers are those of `make.py`."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer
    first, second = encoder("quick_gelu"), encoder("gelu", CLIPTextModelWithProjection)
    autoencoder = vae(0.13025)
    torch.manual_seed(121)
    unet = half_round(UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 2), cross_attention_dim=64,
        projection_class_embeddings_input_dim=6 * 8 + 32, norm_num_groups=16))
    tokenizer = lambda pad: CLIPTokenizer.from_pretrained(out / "tokenizer", pad_token=pad)
    folder = out / "models/tiny-sdxl"
    StableDiffusionXLPipeline(
        vae=autoencoder, text_encoder=first, text_encoder_2=second, tokenizer=tokenizer("<|endoftext|>"),
        tokenizer_2=tokenizer("!"), unet=unet, add_watermarker=False,
        scheduler=EulerDiscreteScheduler(**EULER, steps_offset=1, timestep_spacing="leading"),
    ).save_pretrained(folder, safe_serialization=True)
    for file in folder.rglob("*.safetensors"):
        halve(file)
    write_tokenizer(folder / "tokenizer", "<|endoftext|>")
    write_tokenizer(folder / "tokenizer_2", "!")
    loras(out)


def loras(out):
    """The forms found in the wild, for `tiny-sd15`: diffusers' names, kohya's with `alpha`, and convolutions."""
    import torch
    from diffusers import StableDiffusionPipeline
    from safetensors.torch import save_file
    p = StableDiffusionPipeline.from_pretrained(out / "models/tiny-sd15")
    folder = out / "models/tiny-lora"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(100)
    for which, rank, alpha in ((0, 4, 4), (1, 8, 2)):
        plain, kohya = {}, {}
        for root, m, kroot in (("unet", p.unet, "lora_unet"), ("text_encoder", p.text_encoder, "lora_te")):
            for n, layer in targets(m):
                a = (torch.randn(rank, layer.in_features) * 0.2).half()
                b = (torch.randn(layer.out_features, rank) * 0.2).half()
                plain[f"{root}.{n}.lora_A.weight"], plain[f"{root}.{n}.lora_B.weight"] = a, b
                k = f"{kroot}_{n.replace('.', '_')}"
                kohya[f"{k}.lora_down.weight"], kohya[f"{k}.lora_up.weight"] = a, b
                kohya[f"{k}.alpha"] = torch.tensor(float(alpha))
        name = "lora-0-diffusers" if which == 0 else "lora-1-kohya"
        save_file(plain if which == 0 else kohya, folder / f"{name}.safetensors")
    save_file({"emb_params": (torch.randn(3, 32) * 0.05).half()}, folder / "embedding-3tok.safetensors")


def locon(out):
    """Convolutions of 3 x 3, of 1 x 1, and of 3 x 3 with stride, under kohya's names."""
    torch, load_file, save_file, save, run = tools(out)
    from diffusers import UNet2DConditionModel
    unet = UNet2DConditionModel.from_pretrained(out / "models/tiny-sd15/unet")
    torch.manual_seed(102)
    kohya = {}
    for n, layer in unet.named_modules():
        if not isinstance(layer, torch.nn.Conv2d) or n in ("conv_in", "conv_out"):
            continue
        k = f"lora_unet_{n.replace('.', '_')}"
        kohya[f"{k}.lora_down.weight"] = (torch.randn(2, layer.in_channels, *layer.kernel_size) * 0.1).half()
        kohya[f"{k}.lora_up.weight"] = (torch.randn(layer.out_channels, 2, 1, 1) * 0.1).half()
        kohya[f"{k}.alpha"] = torch.tensor(1.0)
    save_file(kohya, out / "models/tiny-lora/lora-2-locon.safetensors")


def lora_xl(out):
    """The original code's names of the denoiser's blocks and both text encoders, as XL's trainers write them."""
    torch, load_file, save_file, save, run = tools(out)
    torch.manual_seed(103)
    kohya = {}
    def add(name, outputs, inputs):
        kohya[f"{name}.lora_down.weight"] = (torch.randn(2, inputs) * 0.2).half()
        kohya[f"{name}.lora_up.weight"] = (torch.randn(outputs, 2) * 0.2).half()
        kohya[f"{name}.alpha"] = torch.tensor(1.0)
    # One residual block a level: 1 is the outer level, 2 its downsampler, 3 the inner level.
    for block in ("input_blocks_3_1", "middle_block_1", "output_blocks_0_1", "output_blocks_1_1"):
        for layer in (0, 1):
            inner = f"lora_unet_{block}_transformer_blocks_{layer}"
            add(f"{inner}_attn1_to_q", 64, 64)
            add(f"{inner}_attn2_to_k", 64, 64)
            add(f"{inner}_ff_net_0_proj", 512, 64)
        add(f"lora_unet_{block}_proj_in", 64, 64)
    for encoder in ("te1", "te2"):
        for layer in range(4):
            inner = f"lora_{encoder}_text_model_encoder_layers_{layer}"
            for projection in ("q", "k", "v", "out"):  # without the last the reference leaves the others out
                add(f"{inner}_self_attn_{projection}_proj", 32, 32)
            add(f"{inner}_mlp_fc1", 64, 32)
    save_file(kohya, out / "models/tiny-lora/lora-xl-kohya.safetensors")
    save_file({"clip_l": (torch.randn(2, 32) * 0.05).half(), "clip_g": (torch.randn(2, 32) * 0.05).half()},
              out / "models/tiny-lora/embedding-xl-2tok.safetensors")


def targets(m):
    """Attention and feed-forward."""
    ends = ("to_q", "to_k", "to_v", "q_proj", "k_proj", "v_proj", "out_proj")
    return [(n, layer) for n, layer in m.named_modules() if n.split(".")[-1] in ends or n.endswith("to_out.0")
            or n.endswith("ff.net.0.proj") or n.endswith("ff.net.2")]


def cases(out, only=None):
    """Computes every case from the models that lie in `out`."""
    torch, load_file, save_file, save, run = tools(out)
    from diffusers import (EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLImg2ImgPipeline,
                           StableDiffusionXLPipeline)
    import diffusers.models.autoencoders.vae as vae_module
    import diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img as img2img_module
    torch.set_grad_enabled(False)
    wanted = lambda name: only is None or name in only
    quiet = lambda p: (p.set_progress_bar_config(disable=True), p)[1]
    load_xl = lambda: quiet(StableDiffusionXLPipeline.from_pretrained(out / "models/tiny-sdxl", add_watermarker=False))
    p = load_xl()
    side = dict(height=64, width=64)

    def request(r, index):
        negative = r["negative_prompts"][index] or None
        sizes = {}
        if "sizes" in r:
            turned = lambda pair: tuple(reversed(pair))
            for prefix, s in (("", r["sizes"]), ("negative_", r["sizes"]["negative"])):
                sizes |= {f"{prefix}original_size": turned(s["original"]), f"{prefix}target_size": turned(s["target"]),
                          f"{prefix}crops_coords_top_left": turned(s["crop"])}
        return dict(prompt=r["prompts"][index], negative_prompt=negative, num_inference_steps=r["steps"],
                    guidance_scale=r["guidance"], clip_skip=(r.get("clip_skip", 1) - 1) or None, **sizes)

    torch.manual_seed(122)
    noise = torch.randn(2, 4, 8, 8)
    for name in ("sdxl-text2img", "sdxl-sizes", "sdxl-clipskip"):
        r, made = XL[name], []
        for index in range(len(r["prompts"])):
            made.append(run(p, **request(r, index), latents=noise[index:index + 1], **side))
        cat = {k: torch.cat([m[k] for m in made], 1 if k == "steps" else 0) for k in made[0]}
        encoded = {}
        if name != "sdxl-sizes":
            asked = request(r, 0)
            names = ("prompt_embeds", "negative_prompt_embeds", "pooled", "negative_pooled")
            encoded = dict(zip(names, p.encode_prompt(PROMPT, negative_prompt=NEGATIVE, do_classifier_free_guidance=True,
                                                      clip_skip=asked["clip_skip"])))
        if wanted(name):
            save(name, latents=noise[:len(made)], **encoded, **cat)
    turbo = quiet(StableDiffusionXLPipeline(**{**p.components, "scheduler": EulerDiscreteScheduler(**TURBO)}))
    if wanted("sdxl-turbo"):
        save("sdxl-turbo", latents=noise[:1], **run(turbo, **request(XL["sdxl-turbo"], 0), latents=noise[:1], **side))

    q, drawn = quiet(StableDiffusionXLImg2ImgPipeline(**p.components, add_watermarker=False)), []
    def draw(shape, generator=None, device=None, dtype=None, layout=None):
        drawn.append(torch.randn(*shape))
        return drawn[-1]
    old = [(m, m.randn_tensor) for m in (img2img_module, vae_module)]
    torch.manual_seed(123)
    image, r = torch.rand(1, 3, 64, 64), XL["sdxl-img2img"]
    for m, _ in old: m.randn_tensor = draw
    made = run(q, **request(r, 0), image=image, strength=r["strength"])
    for m, o in old: m.randn_tensor = o
    if wanted("sdxl-img2img"):
        save("sdxl-img2img", image_in=image, posterior_noise=drawn[0], noise=drawn[1], **made)

    if wanted("sdxl-lora"):
        p = load_xl()
        p.load_lora_weights(out / "models/tiny-lora", weight_name="lora-xl-kohya.safetensors", adapter_name="a")
        p.set_adapters("a", 0.6)
        r = {**ONE, "steps": 3, "guidance": 5.0}
        save("sdxl-lora", latents=noise[:1], **run(p, **request(r, 0), latents=noise[:1], **side))
    if wanted("sdxl-textual-inversion"):
        p = load_xl()
        e = load_file(out / "models/tiny-lora/embedding-xl-2tok.safetensors")
        for tensor, encoder, tokenizer in ((e["clip_l"], p.text_encoder, p.tokenizer), (e["clip_g"], p.text_encoder_2, p.tokenizer_2)):
            p.load_textual_inversion(tensor.float(), token="<thing>", text_encoder=encoder, tokenizer=tokenizer)
        # Only the words: pooling by the largest id falls on an added token in this version of the reference.
        save("sdxl-textual-inversion", prompt_embeds=p.encode_prompt("a house in the style of <thing>, a horse", do_classifier_free_guidance=False)[0])

    for name, files in LORAS.items():
        if not wanted(name): continue
        p = quiet(StableDiffusionPipeline.from_pretrained(out / "models/tiny-sd15"))
        p.safety_checker = None
        for index, (file, _) in enumerate(files):
            p.load_lora_weights(out / "models/tiny-lora", weight_name=f"{file}.safetensors", adapter_name=str(index))
        p.set_adapters([str(index) for index in range(len(files))], [weight for _, weight in files])
        torch.manual_seed(101)
        z = torch.randn(1, 4, 8, 8)
        save(name, latents=z, **run(p, prompt=PROMPT, negative_prompt=NEGATIVE, latents=z, num_inference_steps=4,
                                    guidance_scale=6.0, **side))

    if wanted("sd15-textual-inversion"):
        p = StableDiffusionPipeline.from_pretrained(out / "models/tiny-sd15")
        embedding = load_file(out / "models/tiny-lora/embedding-3tok.safetensors")["emb_params"].float()
        p.load_textual_inversion(embedding, token="<thing>")
        ids = p.tokenizer(p.maybe_convert_prompt(INVERTED + " <thing>", p.tokenizer), padding="max_length", max_length=77,
                          return_tensors="pt").input_ids
        save("sd15-textual-inversion", input_ids=ids, last_hidden_state=p.text_encoder(ids).last_hidden_state,
             embedding=embedding)


def words():
    """Prompts whose ids the text encoders must have beside those of `make.py`."""
    return [PROMPT, NEGATIVE, SECOND, "", INVERTED, f"{INVERTED}, a horse"]


def store(source, read, write, trimmed, copy, model, case):
    """Puts here what the tests need; the helpers are those of `make.py`."""
    weights, folder, second = "diffusion_pytorch_model.safetensors", "models/tiny-sdxl", "text_encoder_2"
    for file in ("unet/config.json", f"unet/{weights}", f"{second}/config.json", "scheduler/scheduler_config.json"):
        copy(f"{folder}/{file}")
    vocab = json.loads((source / folder / "tokenizer/vocab.json").read_text())
    ids = {vocab[f"{word}</w>"] for text in words() for word in text.replace(",", " ,").split()}
    ids |= {vocab[token] for token in ("!", "<|startoftext|>", "<|endoftext|>")}
    encoder = trimmed(read(source / folder / second / "model.safetensors"), sorted(ids))
    write(pathlib.Path(__file__).parent / folder / second / "model.safetensors", encoder)
    # The first text encoder and the autoencoder are those of Stable Diffusion 1.x, but for a factor.
    shared = dict(folder=folder, vae="models/tiny-sd15/vae", tokenizer="tokenizer", pad_token="<|endoftext|>",
                  text_encoder="models/tiny-sd15/text_encoder", scaling_factor=0.13025,
                  text_encoder_2={"folder": f"{folder}/{second}", "pad_token": "!"})
    model(name="tiny-sdxl", **shared)
    model(name="tiny-sdxl-turbo", **shared, scheduler={"_class_name": "EulerDiscreteScheduler", **TURBO})
    for name, request in XL.items():
        on = "tiny-sdxl-turbo" if name == "sdxl-turbo" else "tiny-sdxl"
        case("img2img" if name == "sdxl-img2img" else "text2img", name, name, 1e-3, model=on, request=request)
    for file in ("lora-0-diffusers", "lora-1-kohya", "lora-2-locon", "lora-xl-kohya", "embedding-3tok", "embedding-xl-2tok"):
        copy(f"models/tiny-lora/{file}.safetensors")
    file = lambda name: f"models/tiny-lora/{name}.safetensors"
    for name, adapters in LORAS.items():
        listed = [{"file": file(name), "weight": weight} for name, weight in adapters]
        case("text2img", name, name, 1e-3, model="tiny-sd15", request=LORA, loras=listed)
    case("text2img", "sdxl-lora", "sdxl-lora", 1e-3, model="tiny-sdxl", request={**ONE, "steps": 3, "guidance": 5.0},
         loras=[{"file": file("lora-xl-kohya"), "weight": 0.6}])
    case("embedding", "sd15-textual-inversion", "sd15-textual-inversion", 1e-4, model="tiny-sd15",
         embedding=file("embedding-3tok"), prompt=f"{INVERTED} <thing>")
    case("embedding", "sdxl-textual-inversion", "sdxl-textual-inversion", 1e-4, model="tiny-sdxl",
         embedding=file("embedding-xl-2tok"), prompt=f"{INVERTED} <thing>, a horse")


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    locon(folder); lora_xl(folder)
    cases(folder, set(sys.argv[2:]) or None)
