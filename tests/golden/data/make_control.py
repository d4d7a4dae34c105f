"""The cases of everything that steers, repaints, enlarges or tiles; `make.py` calls all three functions.

`compute` and `compute_xl` need torch and diffusers, `store` does not.
"""
import json, pathlib

PROMPT, NEGATIVE, SECOND = "a photo of an astronaut riding a horse on mars", "blurry, low quality", "a bowl of soup"
ONE = dict(prompts=[PROMPT], negative_prompts=[NEGATIVE])
TWO = dict(prompts=[PROMPT, SECOND], negative_prompts=[NEGATIVE, ""])
NET = "models/tiny-controlnet-{}"
CONTROLNET = {  # case: request, networks, guess mode; a network is its number, weight, start and end
    "sd15-controlnet": ({**ONE, "steps": 4, "guidance": 6.0}, [(0, 0.8, 0.0, 1.0)], False),
    "sd15-multicontrolnet": ({**ONE, "steps": 4, "guidance": 6.0}, [(0, 0.8, 0.0, 1.0), (1, 0.4, 0.0, 1.0)], False),
    "sd15-controlnet-guess": ({**TWO, "steps": 4, "guidance": 6.0}, [(0, 0.9, 0.0, 0.75), (1, 0.6, 0.25, 1.0)], True),
    "sd15-controlnet-late": ({**TWO, "steps": 4, "guidance": 6.0}, [(1, 0.7, 0.5, 1.0)], False),
}
INPAINT = {**ONE, "steps": 4, "guidance": 5.0, "strength": 0.999}
FULL = {**TWO, "steps": 3, "guidance": 5.0, "strength": 1.0}
INPAINTED = {"sd15-inpaint": ("tiny-sd15-inpaint", INPAINT), "sd15-inpaint-4ch": ("tiny-sd15", INPAINT),
             "sd15-inpaint-full": ("tiny-sd15-inpaint", FULL), "sd15-inpaint-4ch-full": ("tiny-sd15", FULL)}
TILE = 4
HIRES, HIRES_STEPS = {**TWO, "steps": 3, "guidance": 6.0, "strength": 0.7}, 5
CANNY, BLURS = ((100, 200), (30, 90)), (1, 4)
LANCZOS, LATENTS = ((45, 30), (120, 100)), ((12, 20), (16, 24))
UPSCALERS = ("RealESRGAN_x4plus", "RealESRGAN_x2plus", "realesr-general-x4v3")
WEIGHTS = "diffusion_pytorch_model.safetensors"


def compute(out, p, tools):
    """`p` is the text-to-picture pipeline of `tiny-sd15`; `tools` are functions of `make.py`."""
    import torch
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
    from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
    save, run, half_round, halve = tools.save, tools.run, tools.half_round, tools.halve
    parts = {k: v for k, v in p.components.items() if k != "image_encoder"}

    def controlnets():
        torch.manual_seed(90)
        nets = []
        for i in range(2):
            net = ControlNetModel.from_unet(p.unet, conditioning_channels=3,
                                            conditioning_embedding_out_channels=(8, 16, 16, 32))
            for q in (*net.controlnet_down_blocks.parameters(), *net.controlnet_mid_block.parameters(),
                      *net.controlnet_cond_embedding.conv_out.parameters()):
                q.copy_(torch.randn_like(q) * 0.05)
            nets.append(half_round(net))
            net.save_pretrained(out / NET.format(i), safe_serialization=True)
            halve(out / NET.format(i) / "diffusion_pytorch_model.safetensors")
        pictures = [torch.rand(1, 3, 64, 64) for _ in nets]
        z = torch.randn(1, 4, 8, 8)
        for name, (request, used, guess) in CONTROLNET.items():
            q = StableDiffusionControlNetPipeline(
                **parts, controlnet=MultiControlNetModel([nets[i] for i, *_ in used]), requires_safety_checker=False)
            q.set_progress_bar_config(disable=True)
            count = len(request["prompts"])
            latents = z if count == 1 else torch.cat([z, z.flip(3)])
            result = run(q, prompt=request["prompts"], negative_prompt=request["negative_prompts"], latents=latents,
                         image=[pictures[i] for i, *_ in used], num_inference_steps=request["steps"],
                         guidance_scale=request["guidance"], guess_mode=guess,
                         controlnet_conditioning_scale=[w for _, w, *_ in used],
                         control_guidance_start=[s for *_, s, _ in used], control_guidance_end=[e for *_, e in used])
            save(name, control_0=pictures[0], control_1=pictures[1], latents=latents, **result)

    def inpainting():
        import diffusers.models.autoencoders.vae as vae_module
        import diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint as module
        from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel
        torch.manual_seed(3)
        nine = half_round(UNet2DConditionModel.from_config({**p.unet.config, "in_channels": 9}))
        nine.save_pretrained(out / "models/tiny-sd15-inpaint/unet", safe_serialization=True)
        halve(out / "models/tiny-sd15-inpaint/unet" / WEIGHTS)
        torch.manual_seed(50)
        x, c, t = torch.randn(2, 9, 8, 16), torch.randn(2, 77, 32), torch.tensor([981, 1])
        save("sd15-inpaint-unet", sample=x, timestep=t, encoder_hidden_states=c, out=nine(x, t, c).sample)
        for name, (model, request) in INPAINTED.items():
            unet = nine if model == "tiny-sd15-inpaint" else p.unet
            q = StableDiffusionInpaintPipeline(**{**p.components, "unet": unet}, requires_safety_checker=False)
            q.set_progress_bar_config(disable=True)
            torch.manual_seed(80)
            image = torch.rand(1, 3, 64, 64)
            mask = torch.zeros(1, 1, 64, 64)
            mask[:, :, 16:48, 8:40] = 1
            if request is FULL:  # finer than a cell, where the reference's rule shows
                mask[:, :, 20:31, 41:60] = 1
            result, drawn = tools.recording([module, vae_module], lambda: run(
                q, prompt=request["prompts"], negative_prompt=request["negative_prompts"], image=image, mask_image=mask,
                strength=request["strength"], num_inference_steps=request["steps"],
                guidance_scale=request["guidance"], height=64, width=64))
            if len(drawn) == 2:  # nothing of the picture is encoded where noise alone is the start
                drawn.insert(0, torch.zeros_like(drawn[0]))
            save(name, image_in=image, mask=mask, posterior_noise=drawn[0], noise=drawn[1], masked_noise=drawn[2], **result)

    def tiling():
        """Tiles of 4 latents of 8 x 12: the last ones are whole, narrow and low."""
        torch.manual_seed(55)
        image, z = torch.rand(1, 3, 72, 104) * 2 - 1, torch.randn(2, 4, 9, 13)
        p.vae.enable_tiling()
        p.vae.tile_sample_min_size, p.vae.tile_latent_min_size = TILE * 8, TILE
        d = p.vae.encode(image).latent_dist
        save("sd15-vae-tiled", image=image, mean=d.mean, logvar=d.logvar, z=z, decoded=p.vae.decode(z).sample)
        p.vae.disable_tiling()

    def upscaling():
        """Real-ESRGAN's two networks, with the key names of its published weights, random and small."""
        import torch.nn as nn, torch.nn.functional as F
        from safetensors.torch import save_file

        class Dense(nn.Module):
            def __init__(self, n, g):
                super().__init__()
                for i in range(5):
                    setattr(self, f"conv{i + 1}", nn.Conv2d(n + i * g, g if i < 4 else n, 3, 1, 1))
            def forward(self, x):
                seen = [x]
                for i in range(4):
                    seen.append(F.leaky_relu(getattr(self, f"conv{i + 1}")(torch.cat(seen, 1)), 0.2))
                return self.conv5(torch.cat(seen, 1)) * 0.2 + x

        class Block(nn.Module):
            def __init__(self, n, g):
                super().__init__()
                self.rdb1, self.rdb2, self.rdb3 = Dense(n, g), Dense(n, g), Dense(n, g)
            def forward(self, x):
                return self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x

        class Large(nn.Module):
            def __init__(self, scale, n=16, g=8, blocks=2):
                super().__init__()
                self.scale = scale
                self.conv_first = nn.Conv2d(3 * {4: 1, 2: 4}[scale], n, 3, 1, 1)
                self.body = nn.Sequential(*[Block(n, g) for _ in range(blocks)])
                for k in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
                    setattr(self, k, nn.Conv2d(n, n, 3, 1, 1))
                self.conv_last = nn.Conv2d(n, 3, 3, 1, 1)
            def forward(self, x):
                act = lambda v: F.leaky_relu(v, 0.2)
                f = self.conv_first(F.pixel_unshuffle(x, 2) if self.scale == 2 else x)
                f = f + self.conv_body(self.body(f))
                for up in (self.conv_up1, self.conv_up2):
                    f = act(up(F.interpolate(f, scale_factor=2, mode="nearest")))
                return self.conv_last(act(self.conv_hr(f)))

        class Small(nn.Module):
            def __init__(self, n=16, convs=4, scale=4):
                super().__init__()
                self.scale, layers = scale, [nn.Conv2d(3, n, 3, 1, 1), nn.PReLU(n)]
                for _ in range(convs):
                    layers += [nn.Conv2d(n, n, 3, 1, 1), nn.PReLU(n)]
                self.body = nn.ModuleList([*layers, nn.Conv2d(n, 3 * scale * scale, 3, 1, 1)])
            def forward(self, x):
                o = x
                for layer in self.body:
                    o = layer(o)
                return F.pixel_shuffle(o, self.scale) + F.interpolate(x, scale_factor=self.scale, mode="nearest")

        torch.manual_seed(140)
        folder = out / "models/tiny-upscalers"
        folder.mkdir(parents=True, exist_ok=True)
        x = torch.rand(1, 3, 12, 20)
        outputs = {}
        for name, net in zip(UPSCALERS, (Large(4), Large(2), Small())):
            half_round(net)
            save_file({k: v.half() for k, v in net.state_dict().items()}, folder / f"{name}.safetensors")
            outputs[name] = net(x)
        save("upscalers", image=x, **outputs)

    def hires():
        """Text to picture, larger latents, picture to picture, as the reference's pipelines do it one after the other."""
        import torch.nn.functional as F
        import diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img as module
        from diffusers import StableDiffusionImg2ImgPipeline
        q = StableDiffusionImg2ImgPipeline(**p.components, requires_safety_checker=False)
        q.set_progress_bar_config(disable=True)
        torch.manual_seed(75)
        z = torch.randn(2, 4, 8, 8)
        common = dict(prompt=TWO["prompts"], negative_prompt=TWO["negative_prompts"])
        first = run(p, **common, latents=z, num_inference_steps=HIRES["steps"], guidance_scale=HIRES["guidance"],
                    height=64, width=64)["final_latents"]
        large = F.interpolate(first, size=(12, 16), mode="bilinear", antialias=True)
        result, drawn = tools.recording([module], lambda: run(
            q, **common, image=large, strength=HIRES["strength"], num_inference_steps=HIRES_STEPS,
            guidance_scale=HIRES["guidance"]))
        save("sd15-hires", latents=z, noise=drawn[0], **result)

    def pictures():
        """What OpenCV, Pillow and torch make of pictures, masks and latents; bytes are stored as numbers."""
        import cv2, numpy as np
        import torch.nn.functional as F
        from PIL import Image, ImageFilter, ImageOps
        rng = np.random.default_rng(7)
        rough = rng.integers(0, 256, (53, 67, 3), np.uint8)
        smooth = cv2.resize(rng.integers(0, 256, (9, 11, 3), np.uint8), (90, 71), interpolation=cv2.INTER_CUBIC)
        mask = np.zeros((71, 90), np.uint8)
        mask[20:50, 30:64] = 255
        cv2.circle(mask, (12, 60), 6, 255, -1)
        found = dict(rough=rough, smooth=smooth, mask=mask)
        for name, picture in (("rough", rough), ("smooth", smooth)):
            for low, high in CANNY:
                found[f"canny_{name}_{low}_{high}"] = cv2.Canny(picture, low, high)
        for sigma in BLURS:
            side = 2 * int(2.5 * sigma + 0.5) + 1
            blurred = cv2.GaussianBlur(mask, (side, 1), sigma)
            found[f"blur_{sigma}"] = cv2.GaussianBlur(blurred, (1, side), sigma)
        for width, height in LANCZOS:
            found[f"lanczos_{width}_{height}"] = np.array(Image.fromarray(smooth).resize((width, height), Image.LANCZOS))

        def fill():
            whole = Image.new("RGBA", (90, 71))
            known = Image.new("RGBa", (90, 71))
            known.paste(Image.fromarray(smooth).convert("RGBA").convert("RGBa"), mask=ImageOps.invert(Image.fromarray(mask)))
            for radius, times in ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1)):
                blurred = known.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
                for _ in range(times):
                    whole.alpha_composite(blurred)
            return np.array(whole.convert("RGB"))
        found["fill"] = fill()
        tensors = {k: torch.from_numpy(v) for k, v in found.items()}
        torch.manual_seed(160)
        tensors["latents"] = torch.randn(2, 4, 8, 12)
        for rows, columns in LATENTS:
            for mode, antialias in (("nearest", False), ("nearest-exact", False), ("bilinear", False),
                                    ("bicubic", False), ("bilinear", True), ("bicubic", True)):
                more = dict(antialias=True) if antialias else {}
                tensors[f"latents_{mode}{'-antialiased' * antialias}_{rows}_{columns}"] = F.interpolate(
                    tensors["latents"], size=(rows, columns), mode=mode, **more)
        save("pictures", **tensors)

    def line_art():
        import torch.nn as nn
        from safetensors.torch import save_file
        torch.manual_seed(170)
        n, blocks = 8, 2

        class Residual(nn.Module):
            def __init__(self, n):
                super().__init__()
                half = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(n, n, 3), nn.InstanceNorm2d(n)]
                self.conv_block = nn.Sequential(*half(), nn.ReLU(), *half())
            def forward(self, x):
                return x + self.conv_block(x)

        class Generator(nn.Module):
            def __init__(self):
                super().__init__()
                norm = lambda n: [nn.InstanceNorm2d(n), nn.ReLU()]
                down = lambda a, b: [nn.Conv2d(a, b, 3, 2, 1), *norm(b)]
                up = lambda a, b: [nn.ConvTranspose2d(a, b, 3, 2, 1, 1), *norm(b)]
                self.model0 = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(3, n, 7), *norm(n))
                self.model1 = nn.Sequential(*down(n, 2 * n), *down(2 * n, 4 * n))
                self.model2 = nn.Sequential(*[Residual(4 * n) for _ in range(blocks)])
                self.model3 = nn.Sequential(*up(4 * n, 2 * n), *up(2 * n, n))
                self.model4 = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(n, 1, 7), nn.Sigmoid())
            def forward(self, x):
                return self.model4(self.model3(self.model2(self.model1(self.model0(x)))))

        net = half_round(Generator())
        (out / "models/tiny-line-art").mkdir(parents=True, exist_ok=True)
        save_file({k: v.half() for k, v in net.state_dict().items()}, out / "models/tiny-line-art/model.safetensors")
        x = torch.rand(2, 3, 20, 28)
        save("line-art", image=x, out=net(x))

    def depth():
        """A small Depth Anything, told apart from nothing by its sizes; the pictures are not its native size."""
        from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config
        torch.manual_seed(180)
        backbone = Dinov2Config(hidden_size=24, num_hidden_layers=5, num_attention_heads=2, image_size=42, patch_size=14,
                                out_indices=[1, 3, 4, 5], reshape_hidden_states=False, apply_layernorm=True)
        net = half_round(DepthAnythingForDepthEstimation(DepthAnythingConfig(
            backbone_config=backbone, reassemble_hidden_size=24, neck_hidden_sizes=[6, 8, 12, 16], fusion_hidden_size=8,
            head_hidden_size=8)))
        for q in net.parameters():  # the reference starts so small that nothing would be seen
            q.copy_((q * 8 if q.ndim > 1 else q).half().float())
        net.head.conv3.bias.fill_(1)
        net.save_pretrained(out / "models/tiny-depth", safe_serialization=True)
        halve(out / "models/tiny-depth/model.safetensors")
        tensors = {}
        for name, sides in (("native", (42, 42)), ("wide", (70, 98))):
            tensors[name] = torch.randn(2, 3, *sides)
            tensors[f"out_{name}"] = net(tensors[name]).predicted_depth[:, None]
        save("depth", **tensors)

    controlnets()
    inpainting()
    depth()
    hires()
    pictures()
    line_art()
    upscaling()
    tiling()


def compute_xl(out, tools):
    """For `tiny-sdxl`, with fewer layers of attention than its denoiser has."""
    import torch
    from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline, StableDiffusionXLPipeline
    xl = StableDiffusionXLPipeline.from_pretrained(out / "models/tiny-sdxl", torch_dtype=torch.float32)
    torch.manual_seed(95)
    same = {k: xl.unet.config[k] for k in (
        "in_channels", "block_out_channels", "down_block_types", "layers_per_block", "attention_head_dim",
        "cross_attention_dim", "norm_num_groups", "use_linear_projection", "addition_embed_type",
        "addition_time_embed_dim", "projection_class_embeddings_input_dim")}
    net = ControlNetModel(**same, conditioning_embedding_out_channels=(8, 16, 16, 32))
    for q in (*net.controlnet_down_blocks.parameters(), *net.controlnet_mid_block.parameters(),
              *net.controlnet_cond_embedding.conv_out.parameters()):
        q.copy_(torch.randn_like(q) * 0.05)
    tools.half_round(net).save_pretrained(out / NET.format("xl"), safe_serialization=True)
    tools.halve(out / NET.format("xl") / "diffusion_pytorch_model.safetensors")
    picture, z = torch.rand(1, 3, 64, 64), torch.randn(1, 4, 8, 8)
    for name, guess in (("sdxl-controlnet", False), ("sdxl-controlnet-guess", True)):
        q = StableDiffusionXLControlNetPipeline(
            **{k: v for k, v in xl.components.items() if k not in ("image_encoder", "feature_extractor")},
            controlnet=net, add_watermarker=False)
        q.set_progress_bar_config(disable=True)
        tools.save(name, control_0=picture, latents=z, **tools.run(
            q, prompt=PROMPT, negative_prompt=NEGATIVE, latents=z, image=picture, num_inference_steps=3,
            guidance_scale=5.0, guess_mode=guess, controlnet_conditioning_scale=0.8))


def store(copy, case, models):
    for i in (0, 1, "xl"):
        for file in ("config.json", "diffusion_pytorch_model.safetensors"):
            copy(f"{NET.format(i)}/{file}")
    for name, (request, used, guess) in CONTROLNET.items():
        nets = [dict(folder=NET.format(i), picture=f"control_{i}", weight=w, start=s, end=e, guess_mode=guess)
                for i, w, s, e in used]
        case("controlnet", name, name, 1e-3, model="tiny-sd15", request=request, controls=nets)
    for file in ("config.json", WEIGHTS):
        copy(f"models/tiny-sd15-inpaint/unet/{file}")
    models.append({"name": "tiny-sd15-inpaint", "folder": "models/tiny-sd15-inpaint", "base": "models/tiny-sd15",
                   "vae": "models/tiny-sd15/vae", "tokenizer": "tokenizer", "pad_token": "<|endoftext|>"})
    case("unet", "sd15-inpaint-unet", "sd15-inpaint-unet", 1e-4, model="tiny-sd15-inpaint")
    for name, (model, request) in INPAINTED.items():
        case("inpaint", name, name, 1e-3, model=model, request=request)
    case("vaetiled", "vae-tiled", "sd15-vae-tiled", 1e-4, model="tiny-sd15", tile=TILE)
    for name in UPSCALERS:
        copy(f"models/tiny-upscalers/{name}.safetensors")
    case("upscale", "upscalers", "upscalers", 1e-4, folder="models/tiny-upscalers", networks=UPSCALERS)
    copy("models/tiny-line-art/model.safetensors")
    case("lineart", "line-art", "line-art", 1e-4, weights="models/tiny-line-art/model.safetensors")
    case("pictures", "pictures", "pictures", 1e-5)
    for name, guess in (("sdxl-controlnet", False), ("sdxl-controlnet-guess", True)):
        net = dict(folder=NET.format("xl"), picture="control_0", weight=0.8, start=0.0, end=1.0, guess_mode=guess)
        case("controlnet", name, name, 1e-3, model="tiny-sdxl", request={**ONE, "steps": 3, "guidance": 5.0}, controls=[net])
    case("hires", "sd15-hires", "sd15-hires", 1e-3, model="tiny-sd15", request=HIRES, steps=HIRES_STEPS, width=128,
         height=96)
    for file in ("config.json", "model.safetensors"):
        copy(f"models/tiny-depth/{file}")
    case("depth", "depth", "depth", 1e-4, folder="models/tiny-depth")
