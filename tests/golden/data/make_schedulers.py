"""The cases of schedulers, alone and in whole runs; `make.py` calls both functions.

`compute` needs torch, diffusers and scipy, and torchsde for the Brownian path; `store` needs none of them.
"""
import json, pathlib

PROMPT, NEGATIVE, SECOND = "a photo of an astronaut riding a horse on mars", "blurry, low quality", "a bowl of soup"
BASE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
LEAD = dict(timestep_spacing="leading", steps_offset=1)
FREE = dict(clip_sample=False)
VELOCITY = dict(prediction_type="v_prediction")
DPM, SDE = "DPMSolverMultistepScheduler", dict(algorithm_type="sde-dpmsolver++")
SINGLE, UNIPC, DEIS = "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler"
EULER, HEUN, KDPM2 = "EulerDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler"
ANCESTRAL, KDPM2A, LMS = "EulerAncestralDiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "LMSDiscreteScheduler"
FLOW = dict(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0)
CASES = {  # case: our name, diffusers' class, configuration, steps, and what only `step` is told
    "ddim": ("ddim", "DDIMScheduler", {**LEAD, **FREE, "set_alpha_to_one": False}, 10),
    "ddim-eta1": ("ddim", "DDIMScheduler", {**LEAD, **FREE, "set_alpha_to_one": False}, 10, {"eta": 1.0}),
    "ddim-vpred-zsnr-trailing": ("ddim", "DDIMScheduler", {**FREE, **VELOCITY, "rescale_betas_zero_snr": True,
                                 "timestep_spacing": "trailing"}, 10),
    "ddim-sample-clipped": ("ddim", "DDIMScheduler", {"prediction_type": "sample", "timestep_spacing": "linspace"}, 7),
    "ddpm": ("ddpm", "DDPMScheduler", {**LEAD, **FREE}, 10),
    "ddpm-large-clipped": ("ddpm", "DDPMScheduler", {"variance_type": "fixed_large", "timestep_spacing": "linspace"}, 6),
    "pndm": ("pndm", "PNDMScheduler", {**LEAD, "skip_prk_steps": True, "set_alpha_to_one": False}, 10),
    "pndm-prk": ("pndm", "PNDMScheduler", LEAD, 8),
    "pndm-vpred": ("pndm", "PNDMScheduler", {**LEAD, **VELOCITY, "skip_prk_steps": True}, 5),
    "lms": ("lms", LMS, {}, 10),
    "lms-karras": ("lms-karras", LMS, {"use_karras_sigmas": True}, 10),
    "euler": ("euler", EULER, LEAD, 10),
    "euler-karras": ("euler-karras", EULER, {"use_karras_sigmas": True}, 10),
    "euler-exponential": ("euler-exponential", EULER, {"use_exponential_sigmas": True}, 10),
    "euler-beta": ("euler-beta", EULER, {"use_beta_sigmas": True}, 10),
    "euler-trailing-1step": ("euler", EULER, {"timestep_spacing": "trailing"}, 1),
    "euler-vpred": ("euler", EULER, {**LEAD, **VELOCITY}, 10),
    "euler-zsnr-sigma-min": ("euler", EULER, {**VELOCITY, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
                             "final_sigmas_type": "sigma_min"}, 6),
    "euler-a": ("euler-a", ANCESTRAL, LEAD, 10),
    "heun": ("heun", HEUN, LEAD, 10),
    "heun-karras": ("heun-karras", HEUN, {"use_karras_sigmas": True}, 10),
    "heun-sample-clipped": ("heun", HEUN, {**LEAD, "prediction_type": "sample", "clip_sample": True}, 5),
    "dpm2": ("dpm2", KDPM2, LEAD, 10),
    "dpm2-karras": ("dpm2-karras", KDPM2, {"use_karras_sigmas": True}, 10),
    "dpm2-a": ("dpm2-a", KDPM2A, LEAD, 10),
    "dpm2-a-karras-vpred": ("dpm2-a-karras", KDPM2A, {**VELOCITY, "use_karras_sigmas": True}, 6),
    "dpmpp-sde": ("dpmpp-sde", "DPMSolverSDEScheduler", LEAD, 8),
    "dpmpp-sde-karras": ("dpmpp-sde-karras", "DPMSolverSDEScheduler", {"use_karras_sigmas": True}, 8),
    "dpmpp-2m": ("dpmpp-2m", DPM, LEAD, 10),
    "dpmpp-2m-long": ("dpmpp-2m", DPM, {**LEAD, **VELOCITY, "final_sigmas_type": "sigma_min"}, 20),
    "dpmpp-2m-karras": ("dpmpp-2m-karras", DPM, {"use_karras_sigmas": True}, 10),
    "dpmpp-2m-exponential": ("dpmpp-2m-exponential", DPM, {"use_exponential_sigmas": True}, 6),
    "dpmpp-2m-beta": ("dpmpp-2m-beta", DPM, {"use_beta_sigmas": True, "solver_type": "heun"}, 6),
    "dpmpp-2m-lu": ("dpmpp-2m-lu", DPM, {"use_lu_lambdas": True}, 10),
    "dpmpp-2m-flow": ("dpmpp-2m", DPM, FLOW, 8),
    "dpmpp-2m-sde": ("dpmpp-2m-sde", DPM, SDE, 10),
    "dpmpp-2m-sde-karras": ("dpmpp-2m-sde-karras", DPM, {**SDE, "use_karras_sigmas": True}, 10),
    "dpmpp-2m-sde-heun": ("dpmpp-2m-sde-heun", DPM, {**SDE, "solver_type": "heun"}, 6),
    "dpmpp-3m": ("dpmpp-2m", DPM, {"solver_order": 3}, 17),
    "dpmpp-2s": ("dpmpp-2s", SINGLE, {}, 10),
    "dpmpp-2s-karras": ("dpmpp-2s-karras", SINGLE, {"use_karras_sigmas": True}, 10),
    "dpmpp-2s-odd": ("dpmpp-2s", SINGLE, {"solver_type": "heun"}, 5),
    "dpmpp-3s": ("dpmpp-2s", SINGLE, {"solver_order": 3}, 9),
    "dpmpp-3s-heun": ("dpmpp-2s", SINGLE, {"solver_order": 3, "solver_type": "heun"}, 8),
    "unipc": ("unipc", UNIPC, {}, 10),
    "unipc-karras": ("unipc-karras", UNIPC, {"use_karras_sigmas": True}, 10),
    "unipc-3-bh1": ("unipc", UNIPC, {**LEAD, **VELOCITY, "solver_order": 3, "solver_type": "bh1",
                    "final_sigmas_type": "sigma_min"}, 9),
    "unipc-flow": ("unipc", UNIPC, FLOW, 8),
    "deis": ("deis", DEIS, {}, 10),
    "deis-3-long": ("deis-exponential", DEIS, {"solver_order": 3, "use_exponential_sigmas": True}, 16),
    "lcm": ("lcm", "LCMScheduler", FREE, 4),
    "lcm-clipped-vpred": ("lcm", "LCMScheduler", {**VELOCITY, "clip_sample": True}, 3),
    "tcd": ("tcd", "TCDScheduler", FREE, 4, {"eta": 0.3}),
    "tcd-vpred": ("tcd", "TCDScheduler", VELOCITY, 5, {"eta": 0.8}),
    "flow-euler": ("flow-euler", "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, 10),
    "flow-euler-karras": ("flow-euler-karras", "FlowMatchEulerDiscreteScheduler", {"use_karras_sigmas": True}, 6),
}
OWN = {  # case: our name and steps, of what the reference has no class for; see `walk_own`
    "dpmpp-2s-a": ("dpmpp-2s-a", 6), "dpmpp-2s-a-karras": ("dpmpp-2s-a-karras", 6),
    "dpmpp-3m-sde-exponential": ("dpmpp-3m-sde-exponential", 7), "ipndm": ("ipndm", 8),
    "euler-uniform": ("euler-uniform", 5), "euler-sgm-uniform": ("euler-sgm-uniform", 5),
    "euler-simple": ("euler-simple", 6), "euler-ddim-uniform": ("euler-ddim-uniform", 5),
    "euler-kl-optimal": ("euler-kl-optimal", 5), "euler-a-karras": ("euler-a-karras", 5),
}
ONE = dict(prompts=[PROMPT], negative_prompts=[NEGATIVE], guidance=5.0, noise_seed=11)
TWO = dict(prompts=[PROMPT, SECOND], negative_prompts=[NEGATIVE, ""], guidance=5.0, noise_seed=11)
RUNS = {  # case: request, diffusers' class, and its configuration beside that of the model
    "run-euler-a": ({**TWO, "steps": 4, "scheduler": "euler-a"}, ANCESTRAL, {}),
    "run-ddpm": ({**ONE, "steps": 4, "scheduler": "ddpm"}, "DDPMScheduler", {}),
    "run-pndm": ({**ONE, "steps": 5, "scheduler": "pndm"}, "PNDMScheduler", {"skip_prk_steps": True}),
    "run-heun": ({**ONE, "steps": 4, "scheduler": "heun"}, HEUN, {}),
    "run-dpm2-a": ({**TWO, "steps": 4, "scheduler": "dpm2-a"}, KDPM2A, {}),
    "run-dpmpp-2m-sde-karras": ({**TWO, "steps": 4, "scheduler": "dpmpp-2m-sde-karras"}, DPM,
                                {**SDE, "use_karras_sigmas": True}),
    "run-unipc": ({**ONE, "steps": 4, "scheduler": "unipc"}, UNIPC, {}),
    "run-lcm": ({**ONE, "steps": 3, "scheduler": "lcm"}, "LCMScheduler", {}),
    "run-ddim-eta": ({**ONE, "steps": 4, "scheduler": "ddim", "eta": 0.6}, "DDIMScheduler", {}),
}
PAINTED = {
    "from-euler-a": ({**ONE, "steps": 8, "strength": 0.6, "scheduler": "euler-a"}, ANCESTRAL, {}),
    "from-heun": ({**ONE, "steps": 5, "strength": 0.6, "scheduler": "heun-karras"}, HEUN, {"use_karras_sigmas": True}),
    "from-dpm2-a": ({**ONE, "steps": 5, "strength": 0.6, "scheduler": "dpm2-a"}, KDPM2A, {}),
    "from-pndm": ({**ONE, "steps": 8, "strength": 0.6, "scheduler": "pndm"}, "PNDMScheduler", {"skip_prk_steps": True}),
    "from-ddpm": ({**ONE, "steps": 6, "strength": 0.5, "scheduler": "ddpm"}, "DDPMScheduler", {}),
    "from-dpmpp-2m-sde": ({**ONE, "steps": 6, "strength": 0.5, "scheduler": "dpmpp-2m-sde"}, DPM, SDE),
    "from-dpmpp-2s": ({**ONE, "steps": 6, "strength": 0.5, "scheduler": "dpmpp-2s"}, SINGLE, {}),
    "from-deis": ({**ONE, "steps": 6, "strength": 0.5, "scheduler": "deis"}, DEIS, {}),
    "from-unipc": ({**ONE, "steps": 6, "strength": 0.7, "scheduler": "unipc"}, UNIPC, {}),
    "from-lcm": ({**ONE, "steps": 4, "strength": 0.7, "scheduler": "lcm"}, "LCMScheduler", {}),
}
SPAN, SPANS = (0.0292, 14.6146), ((14.6146, 9.0), (9.0, 4.25), (4.25, 0.5), (0.5, 0.0292), (1.0, 1.000001), (0.03, 14.0))


def walk_own(kind, n):
    """Trajectories in double precision by the formulas that web UIs use where diffusers has no class: the ancestral DPM-Solver++
    2S, 3M SDE and the schedule types of k-diffusion's samplers; and PNDM's multistep formula from its first step on."""
    import numpy as np, torch
    torch.manual_seed(200)
    init = torch.randn(1, 4, 8, 8)
    bar = np.cumprod(1 - np.linspace(BASE["beta_start"] ** 0.5, BASE["beta_end"] ** 0.5, 1000) ** 2)
    table = np.sqrt((1 - bar) / bar)
    t_of = lambda s: np.interp(np.log(s), np.log(table), np.arange(1000.0))
    s_of = lambda t: np.exp(np.interp(t, np.arange(1000.0), np.log(table)))
    ramp, (low, high) = np.linspace(0, 1, n), (table[0], table[-1])
    spaced = {
        "karras": (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7,
        "exponential": np.exp(np.log(high) + ramp * (np.log(low) - np.log(high))),
        "kl-optimal": np.tan(ramp * np.arctan(low) + (1 - ramp) * np.arctan(high)),
        "sgm-uniform": s_of(np.linspace(999, 0, n + 1)[:-1]),
        "ddim-uniform": table[1::1000 // n][:n][::-1],
        "simple": np.array([table[-(1 + int(i * 1000 / n))] for i in range(n)]),
        "uniform": s_of(np.linspace(999, 0, n)),
    }
    name = next((k for k in spaced if kind.endswith("-" + k)), None)
    kind = kind.removesuffix(f"-{name}")
    sigmas = np.append(spaced[name] if name else np.interp(np.linspace(999, 0, n), np.arange(1000.0), table), 0.0)
    timesteps, trajectory, drawn = [], [], []
    def draw():
        drawn.append(torch.randn(1, 4, 8, 8))
        return drawn[-1].numpy().astype(float)
    def denoised(x, sigma):
        t = t_of(sigma)
        timesteps.append(t)
        return x - sigma * (x / np.sqrt(sigma**2 + 1) * t / (t + 1))
    def ancestral(a, b):
        up = min(b, np.sqrt(b**2 * (a**2 - b**2) / a**2))
        return np.sqrt(b**2 - up**2), up
    x = init.numpy().astype(float) * sigmas[0]
    start, scale = sigmas[0], lambda sigma: 1.0
    if kind == "dpmpp-3m-sde":
        start, scale = 1.0, lambda sigma: 1 / np.sqrt(sigma**2 + 1)
        x = init.numpy().astype(float) * np.sqrt(sigmas[0] ** 2 + 1)
    keep = lambda x, sigma: trajectory.append(torch.tensor(x * scale(sigma)).float())
    known, strides = [], []
    if kind == "ipndm":
        start, x, known = 1.0, init.numpy().astype(float), []
        for t in [(n - 1 - i) * (1000 // n) + 1 for i in range(n)]:
            timesteps.append(t)
            known.append(x * t / (t + 1))
            e = known[-4:][::-1]
            weights = [[1], [1.5, -0.5], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]][len(e) - 1]
            e = sum(w * v for w, v in zip(weights, e))
            now, to = bar[t], bar[t - 1000 // n] if t >= 1000 // n else bar[0]
            x = np.sqrt(to) * (x - np.sqrt(1 - now) * e) / np.sqrt(now) + np.sqrt(1 - to) * e
            keep(x, 0)
        sigmas = None
    for a, b in zip(sigmas[:-1], sigmas[1:]) if sigmas is not None else ():
        d = denoised(x, a)
        if kind == "dpmpp-2s-a" and b > 0:
            down, up = ancestral(a, b)
            middle = np.sqrt(a * down)
            y = middle / a * x + (1 - middle / a) * d
            keep(y, middle)
            x = down / a * x + (1 - down / a) * denoised(y, middle) + draw() * up
        elif kind == "euler-a":
            down, up = ancestral(a, b)
            x = x + (x - d) / a * (down - a) + draw() * up
        elif kind == "dpmpp-3m-sde":
            noise = draw()
            if b == 0:
                x = d
            else:
                h = np.log(a / b)
                e, old = 2 * h, known[::-1]
                x = np.exp(-e) * x - np.expm1(-e) * d
                phi2 = np.expm1(-e) / e + 1
                if len(old) == 1:
                    x = x + phi2 * (d - old[0]) * h / strides[-1]
                elif old:
                    r0, r1 = strides[-1] / h, strides[-2] / h
                    d0, d1 = (d - old[0]) / r0, (old[0] - old[1]) / r1
                    x = x + phi2 * (d0 + (d0 - d1) * r0 / (r0 + r1)) - (phi2 / e - 0.5) * (d0 - d1) / (r0 + r1)
                x = x + noise * b * np.sqrt(-np.expm1(-2 * h))
                known, strides = [*known, d][-2:], [*strides, h]
        else:
            x = x + (x - d) / a * (b - a)
        keep(x, b)
    return dict(init=init, init_noise_sigma=torch.tensor(float(start)), timesteps=torch.tensor(timesteps).float(),
                trajectory=torch.stack(trajectory), **{f"noise_{i:02}": d for i, d in enumerate(drawn)})


def compute(out, p, tools):
    """`p` is the text-to-picture pipeline of `tiny-sd15`; `tools` are functions of `make.py`."""
    import importlib
    import torch
    import diffusers.schedulers as schedulers
    from diffusers import StableDiffusionImg2ImgPipeline
    save = tools.save

    def walk(s, cls, x, told):
        """A trajectory with a known stand-in for the model, `sample * t / (t + 1)` of the scaled input, and what was drawn."""
        module = importlib.import_module(cls.__module__)
        drawn, trajectory = [], []
        def draw(shape, generator=None, device=None, dtype=None, layout=None):
            drawn.append(torch.randn(*shape))
            return drawn[-1]
        old = getattr(module, "randn_tensor", None)
        if old is not None:
            module.randn_tensor = draw
        if hasattr(module, "BrownianTreeNoiseSampler"):
            class Path:
                def __init__(self, x, *_): self.shape = x.shape
                def __call__(self, *_): return draw(self.shape)
            path, module.BrownianTreeNoiseSampler = module.BrownianTreeNoiseSampler, Path
        for t in s.timesteps:
            tt = float(t)
            scaled = s.scale_model_input(x, t) if hasattr(s, "scale_model_input") else x
            x = s.step(scaled * tt / (tt + 1), t, x, **told).prev_sample
            trajectory.append(x.clone())
        if old is not None:
            module.randn_tensor = old
        if hasattr(module, "BrownianTreeNoiseSampler"):
            module.BrownianTreeNoiseSampler = path
        return torch.stack(trajectory), drawn

    def case(name, class_name, config, count, told=None):
        torch.manual_seed(200)
        cls = getattr(schedulers, class_name)
        s = cls(**({"num_train_timesteps": 1000} if class_name.startswith("Flow") else BASE), **config)
        s.set_timesteps(count)
        init = torch.randn(1, 4, 8, 8)
        sigma = float(getattr(s, "init_noise_sigma", 1.0))
        trajectory, drawn = walk(s, cls, init * sigma, told or {})
        sigmas = {"sigmas": s.sigmas.float()} if getattr(s, "sigmas", None) is not None else {}
        save(f"scheduler-{name}", init=init, init_noise_sigma=torch.tensor(sigma), timesteps=s.timesteps.float(),
             trajectory=trajectory, **sigmas, **{f"noise_{i:02}": d for i, d in enumerate(drawn)})

    def generators(request):
        seeds = [request["noise_seed"] + k for k in range(len(request["prompts"]))]
        made = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        return made if len(made) > 1 else made[0]

    def runs(q, wanted, **more):
        own = q.scheduler
        for name, (r, class_name, options) in wanted.items():
            q.scheduler = getattr(schedulers, class_name).from_config(own.config, **options)
            told = {k: r[k] for k in ("strength", "eta") if k in r}
            size = {} if "image" in more else {"height": 64, "width": 64}
            latents = q(prompt=r["prompts"], negative_prompt=r["negative_prompts"], num_inference_steps=r["steps"],
                        guidance_scale=r["guidance"], generator=generators(r), output_type="latent", **told, **size,
                        **more).images
            save(f"scheduler-{name}", final_latents=latents, **({"image_in": more["image"]} if more else {}))
        q.scheduler = own

    for name, (_, *rest) in CASES.items():
        case(name, *rest)
    for name, (kind, count) in OWN.items():
        save(f"scheduler-{name}", **walk_own(kind, count))
    runs(p, RUNS)
    torch.manual_seed(70)
    image = torch.rand(1, 3, 64, 64)
    parts = {k: v for k, v in p.components.items() if k != "image_encoder"}
    q = StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    q.set_progress_bar_config(disable=True)
    runs(q, PAINTED, image=image)

    import torchsde
    paths = {}
    for seed in (0, 7, 2**40 + 3):
        tree = torchsde.BrownianTree(t0=SPAN[0], t1=SPAN[1], w0=torch.zeros(1, 4, 4, 4), entropy=seed)
        moved = [tree(min(a, b), max(a, b)) * (1.0 if a < b else -1.0) for a, b in SPANS]
        paths[f"seed{seed}"] = torch.stack(moved)
    save("brownian-path", span=torch.tensor(SPAN, dtype=torch.float64), spans=torch.tensor(SPANS, dtype=torch.float64), **paths)


def store(case):
    """`case` is the function of `make.py` that lists a case."""
    for name, (kind, class_name, config, count, *told) in CASES.items():
        base = {"num_train_timesteps": 1000} if class_name.startswith("Flow") else BASE
        case("scheduler", name, f"scheduler-{name}", 1e-4, scheduler=kind, steps=count,
             config={"_class_name": class_name, **base, **config, **(told[0] if told else {})})
    for name, (kind, count) in OWN.items():
        case("scheduler", name, f"scheduler-{name}", 1e-4, scheduler=kind, steps=count,
             config={**BASE, **(LEAD if kind == "ipndm" else {})})
    for name, (request, *_) in {**RUNS, **PAINTED}.items():
        kind = "text2img" if name in RUNS else "img2img"
        case(kind, f"scheduler-{name}", f"scheduler-{name}", 1e-3, model="tiny-sd15", request=request)
    case("brownian", "brownian-path", "brownian-path", 1e-5)
