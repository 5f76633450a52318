# SPDX-License-Identifier: Apache-2.0
"""The vision tower: patches of pictures in, rows that replace image tokens out."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import VisionConfig

PATCH = 16
MERGE = 2


def patch_places(h: int, w: int) -> np.ndarray:
    """[h*w, 2] row and column of each patch: 2x2 blocks in raster order, the four inside alike."""
    rows, columns = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    places = np.stack([rows, columns], -1).reshape(h // 2, 2, w // 2, 2, 2)
    return places.transpose(0, 2, 1, 3, 4).reshape(-1, 2)


def cut_patches(rgb: np.ndarray) -> np.ndarray:
    """[frames, H, W, 3], an even number of frames or one -> patches [N, 1536] of the same type."""
    values = rgb if len(rgb) % 2 == 0 else np.concatenate([rgb, rgb[-1:]])
    frames, height, width, _ = values.shape
    h, w = height // PATCH, width // PATCH
    cut = values.reshape(frames // 2, 2, h // 2, 2, PATCH, w // 2, 2, PATCH, 3)
    # time, block row, block column, row and column in the block; channel, frame, y, x
    return np.ascontiguousarray(cut.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)).reshape(-1, 1536)


def scaled(patches: Tensor) -> Tensor:
    """Bytes -> [-1, 1]."""
    return (patches.float() / 255 - 0.5) / 0.5


def position_weights(side: int, h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear taps into the side x side table: indices and weights [4, h*w] in patch order."""
    axes = []
    for n in (h, w):
        at = np.linspace(0, side - 1, n, dtype=np.float32)
        low = np.floor(at).astype(np.int64)
        axes.append((low, np.minimum(low + 1, side - 1), at - low))
    places = patch_places(h, w)
    r0, r1, rf = (axis[places[:, 0]] for axis in axes[0])
    c0, c1, cf = (axis[places[:, 1]] for axis in axes[1])
    indices = np.stack([r0 * side + c0, r0 * side + c1, r1 * side + c0, r1 * side + c1])
    weights = np.stack([(1 - rf) * (1 - cf), (1 - rf) * cf, rf * (1 - cf), rf * cf])
    return indices, weights.astype(np.float32)


class Attention(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.num_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x [frames, P, h]; cos, sin [P, head dim]."""
        frames, patches, width = x.shape
        q, k, v = self.qkv(x).reshape(frames, patches, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        half = q.shape[-1] // 2
        q, k = (a.float() * cos
                + torch.cat([-a[..., half:], a[..., :half]], -1).float() * sin for a in (q, k))
        scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
        mixed = scores.softmax(-1).to(v.dtype) @ v
        return self.proj(mixed.transpose(1, 2).reshape(frames, patches, width))


class Mlp(nn.Module):
    def __init__(self, wide: int, inner: int, out: int) -> None:
        super().__init__()
        self.linear_fc1 = nn.Linear(wide, inner)
        self.linear_fc2 = nn.Linear(inner, out)


class Block(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        h = config.hidden_size
        self.norm1 = nn.LayerNorm(h, eps=1e-6)
        self.norm2 = nn.LayerNorm(h, eps=1e-6)
        self.attn = Attention(config)
        self.mlp = Mlp(h, config.intermediate_size, h)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), cos, sin)
        inner = self.mlp.linear_fc1(self.norm2(x))
        return x + self.mlp.linear_fc2(F.gelu(inner, approximate="tanh"))


class Merger(Mlp):
    def __init__(self, config: VisionConfig) -> None:
        merged = config.hidden_size * MERGE * MERGE
        super().__init__(merged, merged, config.out_hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x).reshape(*x.shape[:-2], -1, self.linear_fc1.in_features)
        return self.linear_fc2(F.gelu(self.linear_fc1(x)))


class PatchEmbed(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, config.hidden_size, (2, PATCH, PATCH), (2, PATCH, PATCH))

    def forward(self, patches: Tensor) -> Tensor:
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class Tower(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Embedding(config.num_position_embeddings, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.merger = Merger(config)

    def table(self, h: int, w: int) -> Tensor:
        """Learned positions of a picture's patches, resampled: [h*w, width]."""
        side = int(self.config.num_position_embeddings ** 0.5)
        indices, weights = position_weights(side, h, w)
        device = self.pos_embed.weight.device
        taps = self.pos_embed(torch.from_numpy(indices).to(device))
        return (taps * torch.from_numpy(weights).to(device)[..., None]).sum(0)

    def angles(self, h: int, w: int) -> tuple[Tensor, Tensor]:
        dim = self.config.hidden_size // self.config.num_heads
        frequency = 10000.0 ** (-np.arange(0, dim // 2, 2) / (dim // 2))
        angle = (patch_places(h, w)[:, :, None] * frequency).reshape(h * w, -1)
        both = torch.from_numpy(np.concatenate([angle, angle], -1))
        device = self.pos_embed.weight.device
        return both.cos().float().to(device), both.sin().float().to(device)

    def forward(self, patches: Tensor, grid: tuple[int, int],
                trace: dict[str, Tensor] | None = None) -> Tensor:
        """patches [frames, h*w, 1536] of pictures of one size -> rows [frames, h*w/4, out]."""
        x = self.patch_embed(patches)
        table = self.table(*grid)
        cos, sin = self.angles(*grid)
        if trace is not None:
            trace.update(patch_embed=x, pos_embed=table)
        x = x + table
        steps = []
        for block in self.blocks:
            x = block(x, cos, sin)
            steps.append(x)
        if trace is not None:
            trace["blocks"] = torch.stack(steps)
        return self.merger(x)
