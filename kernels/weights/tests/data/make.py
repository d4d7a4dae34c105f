"""Blocks of random bytes and what the package `gguf` makes of them: `pip install gguf safetensors`."""
import numpy as np
from gguf import GGMLQuantizationType as Kind, GGML_QUANT_SIZES, quants
from safetensors.numpy import save_file

random = np.random.default_rng(5)
tensors = {}
# Where the halves lie that scale a block.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
for name, places in HALVES.items():
    kind = Kind[name]
    length, size = GGML_QUANT_SIZES[kind]
    count = 512 // length
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for place in places:
        scales = (random.standard_normal(count) * 0.02).astype(np.float16)
        blocks[:, place:place + 2] = scales.view(np.uint8).reshape(count, 2)
    tensors[f"{name}.bytes"] = blocks
    tensors[f"{name}.values"] = quants.dequantize(blocks.reshape(-1), kind).reshape(-1).astype(np.float32)
save_file(tensors, "ggml-blocks.safetensors")
