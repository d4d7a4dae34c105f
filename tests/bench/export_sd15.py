#!/usr/bin/env python3
"""Exports networks of Stable Diffusion 1.5's shape to ONNX with Hugging Face diffusers, for the comparison with onnxruntime-web.

    python export_sd15.py FOLDER

Weights are random, and one tensor serves every parameter of its name and shape: with its own for each the UNet's 3.4 GB fit no
browser's 32-bit memory. A pass computes the same either way.
"""
import pathlib, sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

folder = pathlib.Path(sys.argv[1])


def latents(side):
    return torch.randn(1, 4, side, side)


def share(network):
    """Has parameters of one name and shape be one tensor."""
    shared = {}
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = shared.setdefault((name, parameter.shape), parameter)
    return network.eval()


class Plain(torch.nn.Module):
    """A network's method with a tensor as its result."""

    def __init__(self, network, method):
        super().__init__()
        self.network = network
        self.method = method

    def forward(self, *inputs):
        return getattr(self.network, self.method)(*inputs, return_dict=False)[0]


def export(name, network, method, inputs):
    names = [f"x{index}" for index in range(len(inputs))]
    target = str(folder / f"{name}.onnx")
    torch.onnx.export(
        Plain(share(network), method).eval(), inputs, target, input_names=names, output_names=["out"], opset_version=18,
        dynamo=True, external_data=False
    )


# diffusers' defaults are the shape of Stable Diffusion 1.x, but for the width of the prompt.
unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
export("unet", unet, "forward", (latents(8), torch.full((1,), 500.0), torch.randn(1, 77, 768)))
blocks = ("DownEncoderBlock2D",) * 4, ("UpDecoderBlock2D",) * 4
vae = AutoencoderKL(
    down_block_types=blocks[0], up_block_types=blocks[1], block_out_channels=(128, 256, 512, 512), layers_per_block=2,
    latent_channels=4, sample_size=512
)
export("vae", vae, "decode", (latents(4),))
