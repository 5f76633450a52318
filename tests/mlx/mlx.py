# SPDX-License-Identifier: Apache-2.0
"""Affine group quantisation as MLX stores it, and checkpoint folders in its and in Hugging Face's
form: a second implementation, of plain Python, to hold the program against. Written from the
description in docs/formats.md ("MLX"); shares no code with the library."""
import json
import os
import random
import struct

CODES = {"F32": "f", "F16": "e", "U32": "I", "BF16": "H"}
SIZES = {"F32": 4, "F16": 2, "U32": 4, "BF16": 2}


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def bits_of(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def bf16(x):
    """The nearest bfloat16, ties to even."""
    bits = bits_of(x)
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def f16(x):
    return struct.unpack("<e", struct.pack("<e", x))[0]


ROUND = {"F32": f32, "BF16": bf16, "F16": f16}


class Tensor:
    """dtype, shape (slowest dimension first), values in one flat list."""

    def __init__(self, dtype, shape, values):
        count = 1
        for n in shape:
            count *= n
        assert count == len(values), (shape, len(values))
        self.dtype, self.shape, self.values = dtype, list(shape), values

    def data(self):
        values = self.values
        if self.dtype == "BF16":
            values = [bits_of(x) >> 16 for x in values]
        return struct.pack(f"<{len(values)}{CODES[self.dtype]}", *values)


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "mlx"}}, 0
    for name, tensor in tensors.items():
        size = len(tensor.values) * SIZES[tensor.dtype]
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.data())


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + at for at in entry["data_offsets"])
        size = SIZES[entry["dtype"]]
        values = struct.unpack(f"<{(end - begin) // size}{CODES[entry['dtype']]}", data[begin:end])
        if entry["dtype"] == "BF16":
            values = struct.unpack(f"<{len(values)}f",
                                   struct.pack(f"<{len(values)}I", *(v << 16 for v in values)))
        tensors[name] = Tensor(entry["dtype"], entry["shape"], list(values))
    return tensors


def write_folder(path, config, tensors):
    os.makedirs(path)
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    write_safetensors(os.path.join(path, "model.safetensors"), tensors)


# ---- quantisation ----

def quantise_group(values, bits, rounding):
    """(scale, bias, integers). The end of larger magnitude lies on the grid, and so does 0."""
    top = (1 << bits) - 1
    low, high = min(values), max(values)
    scale = max((high - low) / top, 1e-7)
    edge = low if abs(low) > abs(high) else high
    if edge == high:
        scale = -scale
    steps = round(edge / scale)
    if steps != 0:
        scale = edge / steps
    scale, bias = rounding(scale), rounding(edge if steps != 0 else 0.0)
    return scale, bias, [min(max(round((x - bias) / scale), 0), top) for x in values]


def pack_row(integers, bits):
    """One little-endian stream of bits, as 32-bit words."""
    stream = 0
    for i, q in enumerate(integers):
        stream |= q << (bits * i)
    words = len(integers) * bits // 32
    return [stream >> (32 * i) & 0xffffffff for i in range(words)]


def quantise(matrix, bits, group, dtype="BF16"):
    """(weight, scales, biases) and the matrix that they stand for."""
    rows, columns = matrix.shape
    words, scales, biases, back = [], [], [], []
    for row in range(rows):
        integers = []
        for at in range(row * columns, (row + 1) * columns, group):
            scale, bias, q = quantise_group(matrix.values[at:at + group], bits, ROUND[dtype])
            scales.append(scale)
            biases.append(bias)
            integers += q
            back += [f32(f32(k * scale) + bias) for k in q]
        words += pack_row(integers, bits)
    parts = (Tensor("U32", [rows, columns * bits // 32], words),
             Tensor(dtype, [rows, columns // group], scales),
             Tensor(dtype, [rows, columns // group], biases))
    return parts, Tensor("F32", matrix.shape, back)


# ---- folders ----

TEXT = "model.language_model."


def mlx_name(name):
    for old, new in ((TEXT, "language_model.model."), ("lm_head.", "language_model.lm_head."),
                     ("model.visual.", "vision_tower.")):
        if name.startswith(old):
            return new + name[len(old):]
    return name


def is_centred_norm(name):
    return name.endswith(("layernorm.weight", "q_norm.weight", "k_norm.weight")) or \
        name == TEXT + "norm.weight"


def last_axis_swap(tensor):
    """[C, 1, 4] -> [C, 4, 1]: the same order of values."""
    return Tensor(tensor.dtype, [tensor.shape[0], tensor.shape[2], tensor.shape[1]], tensor.values)


def channels_last(kernel):
    """[h, 3, 2, 16, 16] -> [h, 2, 16, 16, 3]."""
    h, channels, *rest = kernel.shape
    area = rest[0] * rest[1] * rest[2]
    values = [kernel.values[(row * channels + c) * area + at]
              for row in range(h) for at in range(area) for c in range(channels)]
    return Tensor(kernel.dtype, [h, *rest, channels], values)


def rewrite(tensors):
    """A Hugging Face checkpoint under MLX's names and in its layout, unquantised."""
    result = {}
    for name, tensor in tensors.items():
        if name.startswith("mtp."):
            continue
        if is_centred_norm(name):
            tensor = Tensor("F32", tensor.shape, [f32(1 + x) for x in tensor.values])
        if name.endswith("conv1d.weight"):
            tensor = last_axis_swap(tensor)
        if name.endswith("patch_embed.proj.weight"):
            tensor = channels_last(tensor)
        result[mlx_name(name)] = tensor
    return result


def is_module(name, tensor, group):
    return len(tensor.shape) == 2 and tensor.shape[1] % group == 0 and \
        not name.startswith("vision_tower.") and name.endswith(".weight")


def quantise_all(tensors, bits, group, overrides, dtype="BF16"):
    """Of an unquantised folder of MLX: the quantised one, and for each module of it the floats that
    it stands for. overrides: module -> (bits, group) or False."""
    result, back = {}, {}
    for name, tensor in tensors.items():
        module = name[:-len(".weight")]
        own = overrides.get(module, (bits, group))
        if not own or not is_module(name, tensor, own[1]):
            result[name] = tensor
            continue
        parts, back[name] = quantise(tensor, *own, dtype)
        for suffix, part in zip((".weight", ".scales", ".biases"), parts):
            result[module + suffix] = part
    return result, back


def quantisation(bits, group, overrides):
    setting = {"group_size": group, "bits": bits, "mode": "affine"}
    for module, own in overrides.items():
        setting[module] = own and {"bits": own[0], "group_size": own[1]}
    return setting


# ---- a small model whose value heads are grouped ----

CONFIG = {
    "model_type": "qwen3_5",
    "tie_word_embeddings": False,
    "text_config": {
        "model_type": "qwen3_5_text", "hidden_size": 128, "intermediate_size": 128,
        "vocab_size": 96, "num_hidden_layers": 4, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 64, "linear_num_key_heads": 2,
        "linear_num_value_heads": 4, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
        "max_position_embeddings": 512, "mtp_num_hidden_layers": 1, "full_attention_interval": 4,
        "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    },
}


def random_model(seed, v_head_dim=32):
    """(config, tensors) of a folder in Hugging Face's form; no MTP block, though config names one,
    as MLX leaves it."""
    config = json.loads(json.dumps(CONFIG))
    c = config["text_config"]
    c["linear_value_head_dim"] = v_head_dim
    h, ff, vocab = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    keys = c["linear_num_key_heads"] * c["linear_key_head_dim"]
    heads = c["linear_num_value_heads"]
    values, dim = heads * v_head_dim, c["head_dim"]
    q, kv = c["num_attention_heads"] * dim, c["num_key_value_heads"] * dim
    source, tensors = random.Random(seed), {}

    def add(name, *shape, spread=None, middle=0.0):
        count = 1
        for n in shape:
            count *= n
        spread = 1.5 * shape[-1] ** -0.5 if spread is None else spread
        tensors[name] = Tensor("F32", shape,
                               [f32(middle + source.gauss(0, spread)) for _ in range(count)])

    add(TEXT + "embed_tokens.weight", vocab, h, spread=1.0)
    add("lm_head.weight", vocab, h)
    add(TEXT + "norm.weight", h, spread=0.1)
    for layer in range(c["num_hidden_layers"]):
        at = f"{TEXT}layers.{layer}."
        add(at + "input_layernorm.weight", h, spread=0.1)
        add(at + "post_attention_layernorm.weight", h, spread=0.1)
        add(at + "mlp.gate_proj.weight", ff, h)
        add(at + "mlp.up_proj.weight", ff, h)
        add(at + "mlp.down_proj.weight", h, ff)
        if (layer + 1) % 4 == 0:
            add(at + "self_attn.q_proj.weight", 2 * q, h)
            add(at + "self_attn.k_proj.weight", kv, h)
            add(at + "self_attn.v_proj.weight", kv, h)
            add(at + "self_attn.o_proj.weight", h, q)
            add(at + "self_attn.q_norm.weight", dim, spread=0.1)
            add(at + "self_attn.k_norm.weight", dim, spread=0.1)
            continue
        at += "linear_attn."
        add(at + "in_proj_qkv.weight", 2 * keys + values, h)
        add(at + "in_proj_z.weight", values, h)
        add(at + "in_proj_a.weight", heads, h)
        add(at + "in_proj_b.weight", heads, h)
        add(at + "conv1d.weight", 2 * keys + values, 1, 4, spread=0.4)
        add(at + "A_log", heads, spread=0.5)
        add(at + "dt_bias", heads, spread=0.5)
        add(at + "norm.weight", v_head_dim, spread=0.1, middle=1.0)
        add(at + "out_proj.weight", h, values)
    # 1 + w is what MLX keeps: norms of which nothing is lost when 1 is added and taken away again
    for name, tensor in tensors.items():
        if is_centred_norm(name):
            tensor.values = [f32(f32(1 + x) - 1) for x in tensor.values]
    return config, tensors
