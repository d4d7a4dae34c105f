"""Files as other programs write them: small pieces of `tiny-sd15`'s denoiser, one of them in every kind.

    python make_files.py stable-diffusion-cpp   # with stable-diffusion-cpp-python 0.4.7
    python make_files.py comfyui                # then with gguf 0.19.0 and numpy
"""
import json, pathlib, re, struct, sys, tempfile

DATA = pathlib.Path(__file__).parent
FOLDER = DATA / "models" / "other-programs"
SDCPP = FOLDER / "stable-diffusion-cpp.gguf"
# ggml's numbers for the kinds, in the order of the layers that have them.
KINDS = {"f32": 0, "f16": 1, "q8_0": 8, "q5_0": 6, "q5_1": 7, "q4_0": 2, "q4_1": 3, "q4_K": 12, "q5_K": 13, "q6_K": 14}
LAYER = "model.diffusion_model.middle_block.1.transformer_blocks.{}.ff.net.2.weight"
FLAT = "model.diffusion_model.flat.{}.weight"
CONV = "model.diffusion_model.middle_block.0.in_layers.2.weight"


def piece(name, rows, columns=None):
    """The first rows, and of a convolution the first input channels, of a half-precision tensor: bytes and shape."""
    blob = (DATA / "models/tiny-sd15/unet/diffusion_pytorch_model.safetensors").read_bytes()
    size = struct.unpack("<Q", blob[:8])[0]
    info = json.loads(blob[8:8 + size])[name]
    assert info["dtype"] == "F16"
    shape, start = info["shape"], 8 + size + info["data_offsets"][0]
    row = 2
    for dim in shape[1:]:
        row *= dim
    kept = row * (columns or shape[1]) // shape[1]
    data = b"".join(blob[start + row * i:start + row * i + kept] for i in range(rows))
    return data, [rows, columns or shape[1], *shape[2:]]


def stable_diffusion_cpp():
    from stable_diffusion_cpp import stable_diffusion_cpp as program
    matrix = piece("mid_block.attentions.0.transformer_blocks.0.ff.net.2.weight", 8)
    conv = piece("mid_block.resnets.0.conv1.weight", 8, 32)
    tensors = {LAYER.format(index): matrix for index in range(len(KINDS))}
    tensors[CONV] = conv
    for kind in ["q4_K", "q6_K"]:
        tensors[FLAT.format(kind)] = (conv[0], [9, 256])
    header, data = {}, b""
    for name, (blob, shape) in tensors.items():
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [len(data), len(data) + len(blob)]}
        data += blob
    header = json.dumps(header).encode()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(struct.pack("<Q", len(header)) + header + data)
        file.flush()
        rules = [f"{re.escape(LAYER.format(index))}={kind}" for index, kind in enumerate(KINDS)]
        rules += [f"{re.escape(FLAT.format(kind))}={kind}" for kind in ["q4_K", "q6_K"]]
        assert program.convert(file.name.encode(), b"", str(SDCPP).encode(), 1, ",".join(rules).encode(), False)


def comfyui():
    """As ComfyUI-GGUF's converter lays a model out: the original names without their prefix, tensors whose rows do not fill
    256 as rows of 256 with their shape beside them."""
    import numpy
    from gguf import GGUFReader, GGUFWriter, GGMLQuantizationType as Kind
    from gguf.quants import quantize
    blocks = {tensor.name: tensor.data for tensor in GGUFReader(SDCPP).tensors}
    blob, shape = piece("mid_block.resnets.0.conv1.weight", 8, 32)
    values = numpy.frombuffer(blob, numpy.float16).astype(numpy.float32)
    writer = GGUFWriter(FOLDER / "comfyui.gguf", "sd1")
    writer.add_quantization_version(2)
    for index, kind in enumerate([Kind.F16, Kind.Q8_0, Kind.Q5_0, Kind.Q4_0, Kind.Q4_1, Kind.Q4_K, Kind.Q6_K]):
        name = f"middle_block.{index}.in_layers.2.weight"
        if kind in (Kind.Q4_K, Kind.Q6_K):
            data = blocks[FLAT.format(kind.name.lower().replace("k", "K"))]
        else:
            data = quantize(values.reshape(9, 256), kind)
        writer.add_array(f"comfy.gguf.orig_shape.{name}", shape)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.add_tensor("out.0.bias", values[:32])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    {"stable-diffusion-cpp": stable_diffusion_cpp, "comfyui": comfyui}[sys.argv[1]]()
