# SPDX-License-Identifier: Apache-2.0
"""Qwen3.5 in PyTorch: text model, MTP block, tower; parameters are named as in the checkpoints."""
from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import Config, read_config
from delta import CHUNK, causal_conv, delta_rule, l2_normalised
from safetensors_file import read_safetensors
from vision import Tower

Trace = dict[str, Tensor]


class Normalise(torch.autograd.Function):
    """x / sqrt(mean(x^2) + eps) * (1 + w) in float32, with half the passes that autograd takes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, eps: float) -> Tensor:
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        normed = x * scale
        ctx.save_for_backward(normed, scale, w)
        return normed * (1 + w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, scale, w = ctx.saved_tensors
        product = grad * normed
        mean = (product @ (1 + w) / normed.shape[-1])[..., None]
        to_w = product.flatten(0, -2).sum(0)
        return (grad * (1 + w)).addcmul_(normed, mean, value=-1).mul_(scale), to_w, None


class RmsNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * (1 + w)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return Normalise.apply(x.float(), self.weight, self.eps)


class GatedNorm(nn.Module):
    """norm(o) * w * silu(z), over the values of a head; w as it is."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, o: Tensor, z: Tensor) -> Tensor:
        o = o * torch.rsqrt(o.square().mean(-1, keepdim=True) + self.eps)
        return o * self.weight * F.silu(z.float())


def linear(wide: int, out: int) -> nn.Linear:
    return nn.Linear(wide, out, bias=False)


class Mlp(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_proj = linear(config.hidden_size, config.intermediate_size)
        self.up_proj = linear(config.hidden_size, config.intermediate_size)
        self.down_proj = linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DeltaMixer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.chunk = CHUNK
        self.nk, self.nv = config.linear_num_key_heads, config.linear_num_value_heads
        self.dk, self.dv = config.linear_key_head_dim, config.linear_value_head_dim
        hidden, values = config.hidden_size, self.nv * self.dv
        self.in_proj_qkv = linear(hidden, config.conv_dim)
        self.in_proj_z = linear(hidden, values)
        self.in_proj_a = linear(hidden, self.nv)
        self.in_proj_b = linear(hidden, self.nv)
        self.conv1d = nn.Conv1d(config.conv_dim, config.conv_dim, 4, groups=config.conv_dim,
                                bias=False)
        self.A_log = nn.Parameter(torch.zeros(self.nv))
        self.dt_bias = nn.Parameter(torch.zeros(self.nv))
        self.norm = GatedNorm(self.dv, config.rms_norm_eps)
        self.out_proj = linear(values, hidden)

    def heads(self, x: Tensor, count: int) -> Tensor:
        """[B, T, count * d] -> [B, nv, T, d]; a key head serves nv / nk value heads."""
        x = x.reshape(*x.shape[:2], count, -1).transpose(1, 2)
        return x if count == self.nv else x.repeat_interleave(self.nv // count, 1)

    def forward(self, x: Tensor, trace: Trace | None = None) -> Tensor:
        u = self.in_proj_qkv(x).float()
        z, a, b = self.in_proj_z(x), self.in_proj_a(x).float(), self.in_proj_b(x).float()
        with torch.autocast(x.device.type, enabled=False):
            y = causal_conv(u, self.conv1d.weight)
            keys = self.nk * self.dk
            q, k, v = y.split([keys, keys, self.nv * self.dv], -1)
            q = l2_normalised(self.heads(q, self.nk)) * self.dk ** -0.5
            k = l2_normalised(self.heads(k, self.nk))
            beta = b.sigmoid()
            g = -self.A_log.exp() * F.softplus(a + self.dt_bias)
            o, state = delta_rule(q, k, self.heads(v, self.nv), g.transpose(1, 2),
                                  beta.transpose(1, 2), self.chunk)
            gate = z.reshape(*z.shape[:2], self.nv, self.dv)
            mixed = self.norm(o.transpose(1, 2), gate)
        if trace is not None:
            trace.update(in_proj_qkv=u, conv_silu=y, in_proj_z=z, in_proj_a=a, in_proj_b=b, g=g,
                         beta=beta, core_attn_out=o.transpose(1, 2), gated_norm=mixed,
                         recurrent_state=state)
        return self.out_proj(mixed.reshape(*x.shape[:2], -1).to(x.dtype))


class Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.n, self.kv, self.dim = (config.num_attention_heads, config.num_key_value_heads,
                                     config.head_dim)
        hidden = config.hidden_size
        self.q_proj = linear(hidden, self.n * self.dim * 2)
        self.k_proj = linear(hidden, self.kv * self.dim)
        self.v_proj = linear(hidden, self.kv * self.dim)
        self.o_proj = linear(self.n * self.dim, hidden)
        self.q_norm = RmsNorm(self.dim, config.rms_norm_eps)
        self.k_norm = RmsNorm(self.dim, config.rms_norm_eps)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor],
                trace: Trace | None = None) -> Tensor:
        batch, length, _ = x.shape
        q, gate = self.q_proj(x).reshape(batch, length, self.n, -1).chunk(2, -1)
        k = self.k_proj(x).reshape(batch, length, self.kv, -1)
        v = self.v_proj(x).reshape(batch, length, self.kv, -1).transpose(1, 2)
        q = rotate(self.q_norm(q).transpose(1, 2), *rope).to(v.dtype)
        k = rotate(self.k_norm(k).transpose(1, 2), *rope).to(v.dtype)
        k_all, v_all = (y.repeat_interleave(self.n // self.kv, 1) for y in (k, v))
        if hasattr(F, "scaled_dot_product_attention"):
            mixed = F.scaled_dot_product_attention(q, k_all, v_all, is_causal=True)
        else:
            scores = (q @ k_all.transpose(-1, -2)) * self.dim ** -0.5
            later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
            mixed = scores.masked_fill(later, -torch.inf).softmax(-1) @ v_all
        if trace is not None:
            trace.update(q_rope=q, k_rope=k, v_cache=v, attn_context=mixed.transpose(1, 2))
        mixed = mixed.transpose(1, 2) * gate.sigmoid()
        return self.o_proj(mixed.reshape(batch, length, -1))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The first dims of x [B, h, T, D] turned in pairs (i, i + half); cos, sin [B, 1, T, half]."""
    half = cos.shape[-1]
    first, second, rest = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest.float()], -1)


class Layer(nn.Module):
    def __init__(self, config: Config, full: bool) -> None:
        super().__init__()
        self.full = full
        if full:
            self.self_attn = Attention(config)
        else:
            self.linear_attn = DeltaMixer(config)
        self.mlp = Mlp(config)
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor],
                trace: Trace | None = None) -> Tensor:
        y = self.input_layernorm(x)
        y = self.self_attn(y, rope, trace) if self.full else self.linear_attn(y, trace)
        x = x + y
        return x + self.mlp(self.post_attention_layernorm(x))


class Stack(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, config.is_full(i))
                                    for i in range(config.num_hidden_layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)


class Mtp(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.fc = linear(2 * hidden, hidden)
        self.pre_fc_norm_embedding = RmsNorm(hidden, eps)
        self.pre_fc_norm_hidden = RmsNorm(hidden, eps)
        self.layers = nn.ModuleList([Layer(config, True)])
        self.norm = RmsNorm(hidden, eps)


class Qwen35(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.model = nn.Module()
        self.model.language_model = Stack(config)
        if config.vision is not None:
            self.model.visual = Tower(config.vision)
        if config.mtp_num_hidden_layers:
            self.mtp = Mtp(config)
        if not config.tie_word_embeddings:
            self.lm_head = linear(config.hidden_size, config.vocab_size)

    @property
    def head(self) -> Tensor:
        tied = self.config.tie_word_embeddings
        return self.model.language_model.embed_tokens.weight if tied else self.lm_head.weight

    def set_chunk(self, chunk: int) -> None:
        """Tokens that the delta rule takes at once: a matter of speed only."""
        for layer in self.model.language_model.layers:
            if not layer.full:
                layer.linear_attn.chunk = chunk

    def rope(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """positions [3, B, T] (T, H, W of each token) -> cos, sin [B, 1, T, rotary dim / 2]."""
        config = self.config
        half = config.rotary_dim // 2
        index = torch.arange(half, device=positions.device)
        frequency = config.rope_theta ** (-index.double() / half)
        axis = torch.zeros_like(index)
        for which in (1, 2):
            mine = (index % 3 == which) & (index < 3 * config.mrope_section[which])
            axis = axis.masked_fill(mine, which)
        angle = (positions[axis].permute(1, 2, 0).double() * frequency)[:, None]
        return angle.cos().float(), angle.sin().float()

    def embed(self, ids: Tensor, features: Tensor | None = None) -> Tensor:
        """Embedding rows; rows of `features`, in order, where image or video tokens stand."""
        x = self.model.language_model.embed_tokens(ids)
        if features is not None:
            seen = (ids == self.config.image_token_id) | (ids == self.config.video_token_id)
            x = x.clone()
            x[seen] = features.to(x.dtype)
        return x

    def hidden(self, x: Tensor, positions: Tensor, layers: list[Tensor] | None = None,
               traces: dict[int, Trace] | None = None) -> Tensor:
        """Embeddings [B, T, H] -> states after the final norm, which feed head and MTP block."""
        rope = self.rope(positions)
        for i, layer in enumerate(self.model.language_model.layers):
            if layers is not None:
                layers.append(x)
            x = layer(x, rope, None if traces is None else traces.setdefault(i, {}))
        if layers is not None:
            layers.append(x)
        return self.model.language_model.norm(x)

    def mtp_hidden(self, next_embedding: Tensor, hidden: Tensor, positions: Tensor,
                   trace: Trace | None = None) -> Tensor:
        """Slot t: state of token t and the embedding of token t + 1 -> state for token t + 2."""
        block = self.mtp
        y = block.fc(torch.cat([block.pre_fc_norm_embedding(next_embedding),
                                block.pre_fc_norm_hidden(hidden)], -1))
        if trace is not None:
            trace["mtp_fc"] = y
        return block.norm(block.layers[0](y, self.rope(positions), trace))

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.head.to(hidden.dtype))


def text_positions(batch: int, length: int, device: torch.device | str = "cpu") -> Tensor:
    return torch.arange(length, device=device).expand(3, batch, length)


def mixed_positions(ids: np.ndarray, vision_ids: tuple[int, int],
                    grids: list[tuple[int, int]]) -> np.ndarray:
    """[3, n] positions; grids: patch rows and columns of each run of vision tokens, in order."""
    positions = np.zeros((3, len(ids)), np.int64)
    at = current = 0
    runs = iter(grids)
    while at < len(ids):
        if ids[at] not in vision_ids:
            positions[:, at] = current
            at, current = at + 1, current + 1
            continue
        h, w = (side // 2 for side in next(runs))
        rows, columns = np.divmod(np.arange(h * w), w)
        positions[:, at:at + h * w] = current + np.stack([np.zeros(h * w, np.int64), rows, columns])
        at, current = at + h * w, current + max(h, w)
    return positions


# How far back the taps of k look in the DeltaNet layers that are born as induction heads: on one
# channel, then on the next. (1, 1) follows the last token, (2, 3) a word before a separator.
BORN = {0: (1, 1), 1: (1, 1), 2: (2, 3)}
EMBEDDING = 0.2  # standard deviation at the start
CONSTANT = 0.6   # of channel 0 of every embedding


def orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Orthonormal rows, none of which reads channel 0."""
    square = torch.empty(max(rows, columns), columns).normal_(generator=generator)
    rows_of = torch.linalg.qr(square)[0][:rows].clone()
    rows_of[:, 0] = 0
    return rows_of


def make_copying(mixer: DeltaMixer, back: tuple[int, int], generator: torch.Generator) -> None:
    """Sets a layer up as an induction head. The state is written under the tokens before (the taps
    of k look `back`) and read under the same ones a token earlier, through one matrix for both; what
    is read leaves through the transpose of the matrix that wrote it. So what followed last time is
    proposed from the first step on. The constant channel 0 opens the gate z.
    """
    keys, values = mixer.nk * mixer.dk, mixer.nv * mixer.dv
    hidden = mixer.in_proj_z.weight.shape[1]
    q, v = orthonormal(keys, hidden, generator), orthonormal(values, hidden, generator)
    mixer.in_proj_qkv.weight.copy_(0.3 * torch.cat([q, q, v]))
    taps = mixer.conv1d.weight[:, 0].normal_(0, 0.05, generator=generator)
    for channel, far in ((0, back[0]), (1, back[1])):
        taps[channel:keys:2, 3 - (far - 1)] += 1
        taps[keys + channel:2 * keys:2, 3 - far] += 1
    taps[2 * keys:, 3] += 1
    mixer.in_proj_z.weight.mul_(0.2)[:, 0] = 0.4
    mixer.out_proj.weight.copy_(0.2 * v.T)
    mixer.A_log.zero_()
    mixer.dt_bias.fill_(-6.0)


def initialise(model: Qwen35, seed: int) -> None:
    """Weights at the start: normal with 0.7 / sqrt(fan in), slow decays, layers that copy."""
    generator = torch.Generator().manual_seed(seed)
    depth = 2 * model.config.num_hidden_layers
    for name, p in model.named_parameters():
        with torch.no_grad():
            if name.endswith("A_log"):
                p.copy_(torch.empty_like(p).uniform_(0.3, 3, generator=generator).log())
            elif name.endswith("dt_bias"):
                low, high = math.log(1e-3), math.log(0.1)
                dt = torch.empty_like(p).uniform_(low, high, generator=generator).exp()
                p.copy_(dt + torch.log(-torch.expm1(-dt)))
            elif "conv1d" in name:
                p.normal_(0, 0.4, generator=generator)
            elif "embed_tokens" in name:
                p.normal_(0, EMBEDDING, generator=generator)
            elif "pos_embed" in name:
                p.normal_(0, 0.2, generator=generator)
            elif p.dim() >= 2:
                out = name.split(".")[-2] in ("o_proj", "out_proj", "down_proj", "proj")
                scale = 0.7 / math.sqrt(p[0].numel())
                p.normal_(0, scale / (math.sqrt(depth) if out and "patch" not in name else 1),
                          generator=generator)
            elif name.endswith("bias"):
                p.zero_()
    stack = model.model.language_model
    with torch.no_grad():
        stack.embed_tokens.weight[:, 0] = CONSTANT
        stack.norm.weight.fill_(0.05 / EMBEDDING - 1)  # logits of a tied head, as from 0.05
        for i, back in BORN.items():
            make_copying(stack.layers[i].linear_attn, back, generator)


def load_folder(folder: Path, extra: dict | None = None) -> Qwen35:
    """Reads a checkpoint folder of the Hugging Face layout, in float32."""
    config = read_config(folder)
    for key, value in (extra or {}).items():
        setattr(config, key, value)
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.exists():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    model = Qwen35(config)
    tensors: dict[str, Tensor] = {}
    for name in names:
        for key, value in read_safetensors(folder / name).items():
            tensors[key] = torch.from_numpy(value.copy())
    model.load_state_dict(tensors)
    return model.eval()
