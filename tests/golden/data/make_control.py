"""The cases of everything that steers, repaints, enlarges or tiles; `make.py` calls both functions.

`compute` needs torch and diffusers, `store` does not.
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

    controlnets()


def store(copy, case):
    for i in range(2):
        for file in ("config.json", "diffusion_pytorch_model.safetensors"):
            copy(f"{NET.format(i)}/{file}")
    for name, (request, used, guess) in CONTROLNET.items():
        nets = [dict(folder=NET.format(i), picture=f"control_{i}", weight=w, start=s, end=e, guess_mode=guess)
                for i, w, s, e in used]
        case("controlnet", name, name, 1e-3, model="tiny-sd15", request=request, controls=nets)
