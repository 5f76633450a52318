# SPDX-License-Identifier: Apache-2.0
"""The gated delta rule, in chunks, and its neighbours; all in float32.

S <- exp(g) S;  d = beta (v - S'k);  S <- S + k d';  o = S'q   (arXiv 2412.06464). A chunk of c
tokens is one triangular system, so only T / c steps follow each other.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 64


def l2_normalised(x: Tensor) -> Tensor:
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def causal_conv(u: Tensor, weight: Tensor) -> Tensor:
    """silu of four taps over the last four tokens; u [B, T, C], weight [C, 1, 4]."""
    taps, length = weight[:, 0], u.shape[1]
    padded = F.pad(u, (0, 0, 3, 0))
    total = padded[:, 3:] * taps[:, 3]
    for j in range(3):
        total = total + padded[:, j:j + length] * taps[:, j]
    return F.silu(total)


def into_chunks(x: Tensor, length: int, c: int) -> Tensor:
    """[B, h, T, ...] -> [B, h, T/c, c, ...], zeros behind the end."""
    missing = -length % c
    if missing:
        x = F.pad(x, (0, 0) * (x.dim() - 3) + (0, missing))
    return x.reshape(*x.shape[:2], -1, c, *x.shape[3:])


def delta_rule(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor,
               c: int = CHUNK) -> tuple[Tensor, Tensor]:
    """q, k [B, h, T, dk] normalised (q scaled), v [B, h, T, dv], g and beta [B, h, T].

    Gives the output [B, h, T, dv] and the state after the last token [B, h, dk, dv].
    """
    length = v.shape[2]
    q, k, v, g, beta = (into_chunks(x, length, c) for x in (q, k, v, g, beta))
    total = g.cumsum(-1)
    below = torch.ones(c, c, dtype=torch.bool, device=q.device).tril()
    decay = (total[..., :, None] - total[..., None, :]).masked_fill(~below, -torch.inf).exp()
    k_beta = k * beta[..., None]
    strict = (k_beta @ k.transpose(-1, -2) * decay).tril(-1)
    system = strict + torch.eye(c, device=q.device)
    right = torch.cat([v * beta[..., None], k_beta * total.exp()[..., None]], -1)
    solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    written, erased = solved.split([v.shape[-1], k.shape[-1]], -1)
    inside = q @ k.transpose(-1, -2) * decay
    q_decayed = q * total.exp()[..., None]
    last = total[..., -1:]
    k_left = (k * (last - total).exp()[..., None]).transpose(-1, -2)
    keep = last.exp()[..., None]
    state = q.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1])
    outputs = []
    for n in range(v.shape[2]):
        new = written[:, :, n] - erased[:, :, n] @ state
        outputs.append(q_decayed[:, :, n] @ state + inside[:, :, n] @ new)
        state = keep[:, :, n] * state + k_left[:, :, n] @ new
    return torch.cat(outputs, 2)[:, :, :length], state
