"""Reference tensors of the safety checker, and of switches on the denoiser: FreeU, merged tokens, self-attention guidance and
panoramas. `make.py` calls this with the pipeline of `tiny-sd15`; merged tokens need the package `tomesd`, their paper's own.
"""
PROMPT, NEGATIVE, SECOND = "a photo of an astronaut riding a horse on mars", "blurry, low quality", "a bowl of soup"
PLAIN = dict(prompts=[PROMPT, SECOND], negative_prompts=[NEGATIVE, ""], guidance=7.5)
ONE = dict(prompts=[PROMPT], negative_prompts=[NEGATIVE])
# Switches on the denoiser, with latents that the resolutions do not halve evenly in two; names as `Switches` reads them.
SWITCHED = {
    "freeu": {**PLAIN, "steps": 4, "switches": {"freeu": {"b1": 1.2, "b2": 1.4, "s1": 0.9, "s2": 0.2}}},
    "freeu-alone": {**ONE, "steps": 4, "guidance": 7.5,
                    "switches": {"freeu": {"b1": 1.5, "b2": 1.6, "s1": 0.5, "s2": 1.7}}},
    "token-merging": {**PLAIN, "steps": 4, "switches": {"token_merging": {"ratio": 0.5, "is_seeded": False}}},
    "token-merging-all": {**ONE, "steps": 4, "guidance": 7.5, "switches": {"token_merging": {
        "ratio": 0.7, "max_downsample": 2, "sx": 3, "sy": 2, "cross_attention": True, "feed_forward": True,
        "is_seeded": False}}},
    "sag": {**PLAIN, "steps": 4, "guidance": 5.0, "switches": {"self_attention": {"scale": 0.75}}},
    "sag-noguidance": {"prompts": [PROMPT], "negative_prompts": [""], "steps": 3, "guidance": 1.0,
                       "switches": {"self_attention": {"scale": 1.5}}},
    "panorama": {**PLAIN, "steps": 3, "switches": {"panorama": {}}},
    "panorama-circular": {**ONE, "steps": 3, "guidance": 7.5,
                          "switches": {"panorama": {"circular": True}}},
    "seamless": {**PLAIN, "steps": 3, "switches": {"seamless": {"x": True, "y": True}}},
    "seamless-x": {**ONE, "steps": 3, "guidance": 7.5, "switches": {"seamless": {"x": True}}},
}
CLIP_SIDE, CLIP_SIZES = 56, ((90, 64), (30, 41), (56, 75), (150, 57), (57, 150), (64, 25))


def compute(out, p, tools):
    """Models and cases below `out`, with the pipeline `p` and `make.py`'s own functions."""
    import torch
    from diffusers import StableDiffusionPanoramaPipeline, StableDiffusionSAGPipeline
    save, half_round = tools.save, tools.half_round

    def wrap(m, axes):
        """A convolution that goes on at the opposite edge: PyTorch's own where it does along both axes."""
        if axes.get("x") and axes.get("y"):
            m.padding_mode = "circular"
            return
        def conv(x, weight, bias):
            (top, left), pad = m.padding, torch.nn.functional.pad
            if left: x = pad(x, (left, left, 0, 0), mode="circular" if axes.get("x") else "constant")
            if top: x = pad(x, (0, 0, top, top), mode="circular" if axes.get("y") else "constant")
            return torch.nn.functional.conv2d(x, weight, bias, m.stride, 0, m.dilation, m.groups)
        m._conv_forward = conv

    def case_switched(name, r):
        """One switch on the denoiser, by diffusers or, for merged tokens, by the paper's own package."""
        import tomesd
        torch.manual_seed(140)
        kind, set_to = next(iter(r["switches"].items()))
        rows, columns = (8, 72 if set_to.get("circular") else 80) if kind == "panorama" else (12, 20)
        z = torch.randn(2, 4, rows, columns)[:len(r["prompts"])]
        parts = {k: v for k, v in p.components.items() if k != "image_encoder"}
        classes = {"panorama": StableDiffusionPanoramaPipeline, "self_attention": StableDiffusionSAGPipeline}
        q = classes[kind](**parts, requires_safety_checker=False) if kind in classes else p
        q.set_progress_bar_config(disable=True)
        more = {}
        if kind == "freeu": q.enable_freeu(**set_to)
        if kind == "token_merging":
            tomesd.apply_patch(q, ratio=set_to["ratio"], max_downsample=set_to.get("max_downsample", 1),
                               sx=set_to.get("sx", 2), sy=set_to.get("sy", 2), use_rand=False,
                               merge_crossattn=set_to.get("cross_attention", False),
                               merge_mlp=set_to.get("feed_forward", False))
        convolutions = [m for part in (q.unet, q.vae) for m in part.modules() if isinstance(m, torch.nn.Conv2d)]
        if kind == "seamless":
            for m in convolutions: wrap(m, set_to)
        if kind == "self_attention": more["sag_scale"] = set_to["scale"]
        if kind == "panorama": more |= dict(circular_padding=set_to.get("circular", False), view_batch_size=2)
        def made(prompts, negative, latents):
            guided = {"negative_prompt": negative} if r["guidance"] > 1 else {}
            return q(prompt=prompts, **guided, latents=latents, num_inference_steps=r["steps"], height=8 * rows,
                     width=8 * columns, guidance_scale=r["guidance"], output_type="latent", **more).images
        # The panorama's class gives a second picture the first one's negative prompt, so each is made alone.
        if kind == "panorama":
            final = torch.cat([made([a], [b], z[i:i + 1])
                               for i, (a, b) in enumerate(zip(r["prompts"], r["negative_prompts"]))])
        else:
            final = made(r["prompts"], r["negative_prompts"], z)
        if kind == "freeu": q.disable_freeu()
        if kind == "token_merging": tomesd.remove_patch(q)
        edges = {}
        if set_to.get("circular"):
            image = (q.decode_latents_with_padding(final) / 2 + 0.5).clamp(0, 1)
            edges["edges"] = torch.cat([image[..., :32], image[..., -32:]], -1)
        if kind == "seamless":
            if len(final) == 1:
                image = (q.vae.decode(final / q.vae.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1)
                edges["edges"] = torch.cat([image[..., :32], image[..., -32:]], -1)
            for m in convolutions:
                m.__dict__.pop("_conv_forward", None)
                m.padding_mode = "zeros"
        save(f"sd15-{name}", latents=z, final_latents=final, **edges)

    def case_safety():
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
        from transformers import CLIPConfig, CLIPVisionConfig
        torch.manual_seed(130)
        vision = CLIPVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
                                  image_size=CLIP_SIDE, patch_size=14, hidden_act="quick_gelu", projection_dim=24)
        m = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision.to_dict(), projection_dim=24))
        m.concept_embeds.copy_(torch.randn_like(m.concept_embeds))
        m.special_care_embeds.copy_(torch.randn_like(m.special_care_embeds))
        half_round(m)
        x = torch.randn(4, 3, CLIP_SIDE, CLIP_SIDE)
        e = m.visual_projection(m.vision_model(x)[1])
        cosines = lambda a, b: torch.nn.functional.normalize(a) @ torch.nn.functional.normalize(b).t()
        special, concepts = cosines(e, m.special_care_embeds), cosines(e, m.concept_embeds)
        # Thresholds near the scores, so that some pictures are flagged and some are not.
        m.special_care_embeds_weights.copy_(special.median(0).values + 0.05)
        m.concept_embeds_weights.copy_(concepts.max(0).values - 0.01)
        m.concept_embeds_weights[2:] += 1
        m.save_pretrained(out / "models" / "tiny-safety-checker", safe_serialization=True)
        _, flagged = m(x, torch.zeros(4, 8, 8, 3).numpy())
        save("safety-checker", clip_input=x, image_embeds=e, special_scores=special, concept_scores=concepts,
             flagged=torch.tensor(flagged).long())

    def case_clip_input():
        """Pictures of several shapes through CLIP's processor, whose resampling is Pillow's."""
        from transformers import CLIPImageProcessor
        torch.manual_seed(131)
        processor = CLIPImageProcessor(size={"shortest_edge": CLIP_SIDE},
                                       crop_size={"height": CLIP_SIDE, "width": CLIP_SIDE})
        tensors = {}
        for i, (height, width) in enumerate(CLIP_SIZES):
            picture = torch.randint(256, (height, width, 3), dtype=torch.uint8)
            tensors[f"picture_{i}"] = picture
            tensors[f"clip_input_{i}"] = processor(picture.numpy(), return_tensors="pt", do_convert_rgb=False).pixel_values
        save("clip-input", **tensors)

    for name, request in SWITCHED.items():
        case_switched(name, request)
    case_safety()
    case_clip_input()


def store(copy, case):
    """What the tests need of it."""
    for file in ("config.json", "model.safetensors"):
        copy(f"models/tiny-safety-checker/{file}")
    case("safety", "safety-checker", "safety-checker", 1e-4, folder="models/tiny-safety-checker")
    case("clip-input", "clip-input", "clip-input", 1e-6, side=CLIP_SIDE)
    for run, request in SWITCHED.items():
        case("switched", f"sd15-{run}", f"sd15-{run}", 1e-3, model="tiny-sd15", request=request)
