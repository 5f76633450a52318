# SPDX-License-Identifier: Apache-2.0
"""The gated delta rule, in chunks, and its neighbours; all in float32.

S <- exp(g) S;  d = beta (v - S'k);  S <- S + k d';  o = S'q   (arXiv 2412.06464). A chunk of c
tokens is one triangular system, so only T / c steps follow each other.
"""
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 64


def l2_normalised(x: Tensor) -> Tensor:
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


class CausalConv(torch.autograd.Function):
    """Four taps over the last four tokens; written out because it saves half the time on a CPU."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, taps: Tensor) -> Tensor:
        ctx.save_for_backward(u, taps)
        y = u * taps[:, 3]
        for back in (1, 2, 3):
            y[:, back:].addcmul_(u[:, :-back], taps[:, 3 - back])
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        u, taps = ctx.saved_tensors
        to_u = grad * taps[:, 3]
        to_taps = [(grad * u).sum((0, 1))]
        for back in (1, 2, 3):
            to_u[:, :-back].addcmul_(grad[:, back:], taps[:, 3 - back])
            to_taps.append((grad[:, back:] * u[:, :-back]).sum((0, 1)))
        return to_u, torch.stack(to_taps[::-1], 1)


def causal_conv(u: Tensor, weight: Tensor) -> Tensor:
    """silu of the convolution; u [B, T, C], weight [C, 1, 4], the last tap for the token itself."""
    return F.silu(CausalConv.apply(u, weight[:, 0]))


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
    for u, w, reader, near, kept, writer in zip(*(x.unbind(2) for x in (
            written, erased, q_decayed, inside, keep, k_left))):
        new = u - w @ state
        outputs.append(reader @ state + near @ new)
        state = kept * state + writer @ new
    return torch.cat(outputs, 2)[:, :, :length], state
