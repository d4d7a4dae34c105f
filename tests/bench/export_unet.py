#!/usr/bin/env python3
"""Exports the UNet of a GGUF model to ONNX with Hugging Face diffusers, for the comparison with onnxruntime-web.

    python export_unet.py MODEL.gguf UNET.onnx

The batch is two, as classifier-free guidance has it; all else is the model's own.
"""
import json, sys

import gguf, torch
from diffusers import UNet2DConditionModel

source, target = sys.argv[1:]
reader = gguf.GGUFReader(source)


def text(key):
    field = reader.fields[key]
    return bytes(field.parts[field.data[0]]).decode()


config = {key: value for key, value in json.loads(text("diffusers.unet.config")).items() if not key.startswith("_")}
unet = UNet2DConditionModel(**config).eval()
state = unet.state_dict()
for tensor in reader.tensors:
    if tensor.name.startswith("unet."):
        name = tensor.name.removeprefix("unet.")
        values = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        state[name] = values.float().reshape(state[name].shape)
unet.load_state_dict(state)

side, channels = config["sample_size"], config["in_channels"]
tokens = json.loads(text("diffusers.text_encoder.config"))["max_position_embeddings"]
inputs = (
    torch.randn(2, channels, side, side),
    torch.full((2,), 500.0),
    torch.randn(2, tokens, config["cross_attention_dim"]),
)


class Plain(torch.nn.Module):
    """The network with a tensor as its result."""

    def __init__(self):
        super().__init__()
        self.unet = unet

    def forward(self, sample, timestep, encoder_hidden_states):
        return self.unet(sample, timestep, encoder_hidden_states, return_dict=False)[0]


names = ["sample", "timestep", "encoder_hidden_states"]
torch.onnx.export(
    Plain(), inputs, target, input_names=names, output_names=["out"], opset_version=18, dynamo=True, external_data=False
)
