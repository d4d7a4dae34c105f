#!/usr/bin/env python3
"""Writes the reference models and tensors of this folder with Hugging Face diffusers, the field's reference implementation.

The models are tiny, with random weights in float16; every tensor is what diffusers computes in float32 on the CPU from
those weights, up-cast. Feed the same inputs to the same weights and get the same outputs.

    pip install torch 'diffusers<0.38' 'transformers<5' open_clip_torch scipy tomesd   # a CPU is enough
    python make.py                  # computes everything anew, then stores it here
    python make.py --keep DIR       # the same, and leaves the whole model folders in DIR
    python make.py --from DIR       # stores here what lies in DIR, without torch

What is stored is less than what is computed: equal files once, and of a token embedding only the rows that some case
looks up (see `store`). Written with diffusers 0.37.1, transformers 4.57.6 and torch 2.15.0.
"""
import argparse, gzip, json, pathlib, re, shutil, struct, tempfile, types

import make_adapters, make_control, make_guidance, make_lycoris, make_prompts, make_schedulers

HERE = pathlib.Path(__file__).resolve().parent
PROMPT, NEGATIVE, SECOND = "a photo of an astronaut riding a horse on mars", "blurry, low quality", "a bowl of soup"
PROMPTS = [PROMPT, NEGATIVE, "", "Ünïcödé café 日本語 🎨 prompt!!", "a " * 100 + "end", "don't  STOP\tit's 3.14,(test)"]
END = "<|endoftext|>"
PAD = {"sd15": END, "sd21": "!"}  # Stable Diffusion 2.x fills its context with id 0
BASE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
LEAD = dict(timestep_spacing="leading", steps_offset=1)
PLAIN = dict(prompts=[PROMPT, SECOND], negative_prompts=[NEGATIVE, ""], steps=5, guidance=7.5)
ONE = dict(prompts=[PROMPT], negative_prompts=[NEGATIVE])
RUNS = {  # clip_skip as web UIs count it: 1 is the last layer, which diffusers calls None
    "text2img": PLAIN,
    "text2img-clipskip": {**ONE, "steps": 5, "guidance": 7.5, "clip_skip": 2},
    "text2img-noguidance": {"prompts": [PROMPT], "negative_prompts": [""], "steps": 2, "guidance": 1.0},
    "text2img-rescale": {**ONE, "steps": 4, "guidance": 9.0, "guidance_rescale": 0.7},
}
IMG2IMG = {**ONE, "steps": 10, "guidance": 5.0, "strength": 0.6}
NOISE_SEEDS, NOISE_SHAPES = (0, 1, 42, 2**32 - 1), ((1, 4, 8, 8), (2, 4, 8, 8), (3,), (15,), (16,), (17,), (1, 4, 64, 64))


# ------------------------------------------------------------------------------------------------------------- compute
def compute(out):
    """Models and cases in diffusers' own layout, below `out`."""
    import torch, diffusers
    import diffusers.models.autoencoders.vae as vae_module
    import diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img as img2img_module
    from diffusers import (AutoencoderKL, AutoencoderTiny, DDIMScheduler, StableDiffusionImg2ImgPipeline,
                           StableDiffusionPipeline, UNet2DConditionModel)
    from safetensors.torch import load_file, save_file
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
    torch.set_grad_enabled(False)

    def half_round(module):
        """Random biases and norm weights too (diffusers starts them at 0 and 1), then round to float16."""
        for _, p in module.named_parameters():
            if p.ndim <= 1:
                p.add_(torch.randn_like(p) * 0.04)
            p.copy_(p.half().float())
        return module.eval()

    def save(name, **tensors):
        file = out / "cases" / f"{name}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: (v if torch.is_tensor(v) else torch.tensor(v)).contiguous() for k, v in tensors.items()}, file)

    def halve(file):
        save_file({k: v.half() if v.is_floating_point() else v for k, v in load_file(file).items()}, file,
                  metadata={"format": "pt"})

    def text_encoder(act, kind=CLIPTextModel):
        torch.manual_seed(20 if act == "quick_gelu" else 21)
        return half_round(kind(CLIPTextConfig(
            vocab_size=49408, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
            max_position_embeddings=77, hidden_act=act, projection_dim=32, bos_token_id=49406, eos_token_id=2,
            pad_token_id=1)))

    def vae(scaling_factor=0.18215):
        torch.manual_seed(22)
        return half_round(AutoencoderKL(
            in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(32, 32, 64, 64),
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1, norm_num_groups=16, scaling_factor=scaling_factor, sample_size=64))

    def unet(**kind):
        return half_round(UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(32, 64, 64),
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=32, norm_num_groups=16, **kind))

    def pipeline(kind):
        encoder = text_encoder("gelu" if kind == "sd21" else "quick_gelu")
        torch.manual_seed({"sd15": 1, "sd21": 2}[kind])
        denoiser = unet(**{"sd15": dict(attention_head_dim=4),
                           "sd21": dict(attention_head_dim=(2, 4, 4), use_linear_projection=True)}[kind])
        p = StableDiffusionPipeline(
            vae=vae(), text_encoder=encoder, unet=denoiser,
            tokenizer=CLIPTokenizer.from_pretrained(out / "tokenizer", pad_token=PAD[kind]),
            scheduler=DDIMScheduler(**BASE, **LEAD, clip_sample=False, set_alpha_to_one=False,
                                    prediction_type="v_prediction" if kind == "sd21" else "epsilon"),
            safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        p.set_progress_bar_config(disable=True)
        p.save_pretrained(out / "models" / f"tiny-{kind}", safe_serialization=True)
        for file in (out / "models" / f"tiny-{kind}").rglob("*.safetensors"):
            halve(file)
        write_tokenizer(out / "models" / f"tiny-{kind}" / "tokenizer", PAD[kind])
        return p

    def run(p, **request):
        """Every latent that a pipeline passed through, and the decoded picture in 0..1."""
        steps = []
        def keep(pipe, i, t, state):
            steps.append(state["latents"].clone())
            return {}
        latents = p(**request, output_type="latent", callback_on_step_end=keep).images
        image = p.vae.decode(latents / p.vae.config.scaling_factor).sample
        return dict(steps=torch.stack(steps), final_latents=latents, image=(image / 2 + 0.5).clamp(0, 1))

    def recording(modules, call):
        """Draws noise where diffusers would, and hands back what was drawn."""
        drawn = []
        def draw(shape, generator=None, device=None, dtype=None, layout=None):
            drawn.append(torch.randn(*shape))
            return drawn[-1]
        old = [(m, getattr(m, "randn_tensor", None)) for m in modules]
        for m, o in old:
            if o is not None: m.randn_tensor = draw
        try:
            return call(), drawn
        finally:
            for m, o in old:
                if o is not None: m.randn_tensor = o

    def case_text(p, name):
        ids = p.tokenizer(PROMPTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        o = p.text_encoder(ids, output_hidden_states=True)
        norm = p.text_encoder.text_model.final_layer_norm
        save(f"{name}-text", input_ids=ids, last_hidden_state=o.last_hidden_state, pooled=o.pooler_output,
             skip_1=norm(o.hidden_states[-2]), skip_2=norm(o.hidden_states[-3]))

    def cases_modules(p, name):
        torch.manual_seed(50)
        x, c, t = torch.randn(2, 4, 8, 16), torch.randn(2, 77, 32), torch.tensor([981, 1])
        save(f"{name}-unet", sample=x, timestep=t, encoder_hidden_states=c, out=p.unet(x, t, c).sample)
        image = torch.rand(1, 3, 64, 128) * 2 - 1
        d = p.vae.encode(image).latent_dist
        z = torch.randn(1, 4, 8, 16)
        save(f"{name}-vae", image=image, mean=d.mean, logvar=d.logvar, z=z, decoded=p.vae.decode(z).sample)

    def cases_text2img(p, name):
        torch.manual_seed(60)
        z = torch.randn(2, 4, 8, 8)
        for run_name, r in RUNS.items():
            latents = z[:len(r["prompts"])]
            skip = r.get("clip_skip", 1) - 1
            guided = {"negative_prompt": r["negative_prompts"]} if r["guidance"] > 1 else {}
            save(f"{name}-{run_name}", latents=latents, **run(
                p, prompt=r["prompts"], **guided, latents=latents, num_inference_steps=r["steps"], height=64, width=64,
                guidance_scale=r["guidance"], guidance_rescale=r.get("guidance_rescale", 0.0), clip_skip=skip or None))

    def case_img2img(p, name):
        torch.manual_seed(70)
        q = StableDiffusionImg2ImgPipeline(**p.components, requires_safety_checker=False)
        q.set_progress_bar_config(disable=True)
        image = torch.rand(1, 3, 64, 64)
        result, drawn = recording([img2img_module, vae_module], lambda: run(
            q, prompt=PROMPT, negative_prompt=NEGATIVE, image=image, strength=IMG2IMG["strength"],
            num_inference_steps=IMG2IMG["steps"], guidance_scale=IMG2IMG["guidance"]))
        save(f"{name}-img2img", image_in=image, posterior_noise=drawn[0], noise=drawn[1], **result)

    def case_taesd():
        torch.manual_seed(110)
        t = half_round(AutoencoderTiny(encoder_block_out_channels=(16,) * 4, decoder_block_out_channels=(16,) * 4))
        t.save_pretrained(out / "models" / "tiny-taesd", safe_serialization=True)
        x, z = torch.rand(1, 3, 64, 128) * 2 - 1, torch.randn(1, 4, 8, 16)
        save("taesd", image=x, encoded=t.encode(x).latents, z=z, decoded=t.decode(z).sample)

    def case_noise():
        """What torch.randn gives on the CPU for a seed; its method changes at 16 elements."""
        draw = lambda seed, shape: torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))
        save("noise-torch-cpu", **{f"seed{s}." + "x".join(map(str, shape)): draw(s, shape)
                                   for s in NOISE_SEEDS for shape in NOISE_SHAPES})

    write_tokenizer(out / "tokenizer", END)
    for name in PAD:
        p = pipeline(name)
        case_text(p, name); cases_modules(p, name); cases_text2img(p, name)
        if name == "sd15":
            case_img2img(p, name)
            tools = types.SimpleNamespace(
                save=save, run=run, half_round=half_round, halve=halve, recording=recording)
            make_control.compute(out, p, tools)
            make_guidance.compute(out, p, tools)
            make_prompts.compute(p, tools)
            make_schedulers.compute(out, p, tools)
    case_taesd()
    case_noise()
    make_adapters.models(out, half_round, halve, text_encoder, vae, write_tokenizer)
    make_control.compute_xl(out, tools)
    make_adapters.locon(out)
    make_adapters.lora_xl(out)
    make_adapters.cases(out)
    make_lycoris.compute(out, out)
    print("computed with diffusers", diffusers.__version__, "and torch", torch.__version__)


def write_tokenizer(folder, pad):
    """OpenAI's CLIP vocabulary."""
    import open_clip
    from open_clip.tokenizer import bytes_to_unicode
    source = pathlib.Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    merges = gzip.open(source).read().decode("utf-8").split("\n")[1:49152 - 256 - 2 + 1]
    vocab = list(bytes_to_unicode().values())
    vocab = vocab + [v + "</w>" for v in vocab] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", END]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "unk_token": END, "bos_token": "<|startoftext|>",
        "eos_token": END, "pad_token": pad, "add_prefix_space": False, "do_lower_case": True, "errors": "replace"}))


# --------------------------------------------------------------------------------------------------------------- store
def read(file):
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    begin = lambda info: 8 + length + info["data_offsets"][0]
    end = lambda info: 8 + length + info["data_offsets"][1]
    return {name: (info["dtype"], info["shape"], data[begin(info):end(info)]) for name, info in header.items()}


def write(file, tensors):
    width = {"I64": 8, "F32": 4, "I32": 4, "F16": 2, "U8": 1}
    header, offset, body = {}, 0, []
    for name, (dtype, shape, data) in sorted(tensors.items(), key=lambda item: (-width[item[1][0]], item[0])):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        body.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(body))


def trimmed(encoder, ids):
    """A text encoder of which only some rows of the token embedding are kept; `rows` says which. 3 MB become 10 kB."""
    embedding = "text_model.embeddings.token_embedding.weight"
    dtype, (_, width), data = encoder.pop(embedding)
    row = width * 2
    encoder[f"{embedding}.rows"] = ("I32", [len(ids)], struct.pack(f"<{len(ids)}i", *ids))
    encoder[f"{embedding}.kept"] = (dtype, [len(ids), width], b"".join(data[i * row:(i + 1) * row] for i in ids))
    return encoder


def store(source):
    """Puts the smallest copy of what the tests need beside this script, with a list of it in `cases.json`."""
    for old in ("models", "cases", "tokenizer"):
        shutil.rmtree(HERE / old, ignore_errors=True)
    def copy(path, to=None):
        target = HERE / (to or path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target)
        return to or path

    models, cases = [], []
    for file in ("vocab.json", "merges.txt"):
        copy(f"models/tiny-sd15/tokenizer/{file}", f"tokenizer/{file}")
    for name, pad in PAD.items():
        model, weights = f"models/tiny-{name}", "diffusion_pytorch_model.safetensors"
        for file in ("unet/config.json", f"unet/{weights}", "text_encoder/config.json",
                     "scheduler/scheduler_config.json"):
            copy(f"{model}/{file}")
        ids = read(source / f"cases/{name}-text.safetensors")["input_ids"][2]
        texts = [SECOND, *make_adapters.words(), *(make_prompts.texts() if name == "sd15" else ())]
        ids = set(struct.unpack(f"<{len(ids) // 8}q", ids)) | word_ids(*texts)
        encoder = trimmed(read(source / model / "text_encoder/model.safetensors"), sorted(ids))
        write(HERE / model / "text_encoder/model.safetensors", encoder)
        if name == "sd15":
            copy(f"{model}/vae/config.json"); copy(f"{model}/vae/{weights}")
        elif (source / model / "vae" / weights).read_bytes() != (HERE / "models/tiny-sd15/vae" / weights).read_bytes():
            raise SystemExit("the autoencoders differ, so both have to be stored")
        models.append({"name": f"tiny-{name}", "folder": model, "vae": "models/tiny-sd15/vae", "tokenizer": "tokenizer",
                       "pad_token": pad})
    for file in ("config.json", "diffusion_pytorch_model.safetensors"):
        copy(f"models/tiny-taesd/{file}")

    def case(kind, name, file, tolerance, **more):
        cases.append({"kind": kind, "name": name, "file": copy(f"cases/{file}.safetensors"), "tolerance": tolerance, **more})
    for name in PAD:
        model = f"tiny-{name}"
        case("text", f"{name}-text", f"{name}-text", 1e-4, model=model, prompts=PROMPTS)
        case("unet", f"{name}-unet", f"{name}-unet", 1e-4, model=model)
        for run, request in RUNS.items():
            case("text2img", f"{name}-{run}", f"{name}-{run}", 1e-3, model=model, request=request)
    case("vae", "vae", "sd15-vae", 1e-4, model="tiny-sd15")
    case("taesd", "taesd", "taesd", 1e-4, folder="models/tiny-taesd")
    make_guidance.store(copy, case)
    case("img2img", "sd15-img2img", "sd15-img2img", 1e-3, model="tiny-sd15", request=IMG2IMG)
    make_schedulers.store(case)
    make_control.store(copy, case, models)
    make_prompts.store(case)
    case("noise", "noise-torch-cpu", "noise-torch-cpu", 1e-6)
    make_adapters.store(source, read, write, trimmed, copy, lambda **model: models.append(model), case)
    make_lycoris.store(copy, case)
    text = ",\n".join("  " + json.dumps(c, ensure_ascii=False) for c in cases)
    listed = ",\n".join("  " + json.dumps(m, ensure_ascii=False) for m in models)
    (HERE / "cases.json").write_text(f'{{\n "models": [\n{listed}\n ],\n "cases": [\n{text}\n ]\n}}\n')
    size = sum(f.stat().st_size for f in HERE.rglob("*") if f.is_file())
    print(f"{len(cases)} cases, {size / 1e6:.1f} MB")


def word_ids(*texts):
    """The ids of prompts that no text case has; each of their words and signs is one token."""
    vocab = json.loads((HERE / "tokenizer/vocab.json").read_text())
    words = {word for text in texts for word in re.findall(r"[a-z]+|[^\sa-z]", text)}
    return {vocab[word + "</w>"] for word in words} | {vocab["!"], vocab[END]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    args = parser.parse_args()
    if args.source:
        return store(args.source)
    with tempfile.TemporaryDirectory() as folder:
        out = args.keep or pathlib.Path(folder)
        compute(out)
        store(out)


if __name__ == "__main__":
    main()
