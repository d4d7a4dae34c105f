#!/usr/bin/env python3
"""Times a model in diffusers' layout with the reference implementation on the CPU, in float32.

    python cpu.py FOLDER SIDE STEPS

Prints one JSON object: seconds of loading, of the text encoder, of a pass of the UNet and of decoding, and the most bytes in memory.
"""
import json, resource, sys, time

started = time.perf_counter()
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

folder, side, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
imported = time.perf_counter()
pipeline = StableDiffusionPipeline.from_pretrained(
    folder, torch_dtype=torch.float32, safety_checker=None, feature_extractor=None, requires_safety_checker=False
)
loaded = time.perf_counter()


def timed(compute):
    start = time.perf_counter()
    result = compute()
    return result, time.perf_counter() - start


with torch.inference_mode():
    ids = pipeline.tokenizer("a lighthouse at dusk", padding="max_length", max_length=77, return_tensors="pt").input_ids
    states, text = timed(lambda: pipeline.text_encoder(ids)[0])
    latents = torch.randn(1, pipeline.unet.config.in_channels, side // 8, side // 8)
    passes = [timed(lambda: pipeline.unet(latents, 500, states).sample)[1] for _ in range(steps)]
    _, decode = timed(lambda: pipeline.vae.decode(latents).sample)
figures = {
    "load": loaded - imported,
    "text": text,
    "step": sum(passes[1:]) / (steps - 1),
    "decode": decode,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}
print(json.dumps(figures))
