#!/usr/bin/env python3
"""Times a model in diffusers' layout with stable-diffusion.cpp on the CPU, its weights in float32.

    python cpu_sdcpp.py FOLDER SIDE STEPS

Prints one JSON object: seconds of loading, of the text encoder, of a pass of the UNet and of decoding, and the most bytes in memory.
"""
import json, os, resource, sys, time

from stable_diffusion_cpp import StableDiffusion

folder, side, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# What it tells of its progress goes to where errors go.
out = os.dup(1)
os.dup2(2, 1)
started = time.perf_counter()
model = StableDiffusion(
    model_path=folder.rstrip("/") + "/", n_threads=len(os.sched_getaffinity(0)), wtype="f32", vae_decode_only=True, enable_mmap=True, verbose=False
)
loaded = time.perf_counter()
ticks = []
model.generate_image(
    prompt="a lighthouse at dusk", width=side, height=side, cfg_scale=1.0, sample_method="euler", sample_steps=steps, seed=1,
    progress_callback=lambda step, of, seconds: ticks.append(time.perf_counter()),
)
done = time.perf_counter()
# It reports the beginning, and then every step.
figures = {
    "load": loaded - started,
    "text": ticks[0] - loaded,
    "step": (ticks[-1] - ticks[1]) / (steps - 1),
    "decode": done - ticks[-1],
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}
os.write(out, (json.dumps(figures) + "\n").encode())
