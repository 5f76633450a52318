# SPDX-License-Identifier: Apache-2.0
"""Muon for the matrices of the layers, AdamW for everything else.

Muon (Keller Jordan, 2024): the momentum of a matrix is replaced by the nearest matrix with equal
singular values, found with a few Newton-Schulz steps. Here matrices of one shape go together.
"""
from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, from the same source


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """[n, r, c] -> the same with singular values near 1."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[-2] > x.shape[-1]
    x = x.transpose(-1, -2) if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(-1, -2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(-1, -2) if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95,
                 decay: float = 0.1) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: defaultdict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[p.shape].append(p)
            for shape, parameters in shapes.items():
                self.step_shape(group, shape, parameters)

    def step_shape(self, group: dict, shape: torch.Size, parameters: list[nn.Parameter]) -> None:
        moved = []
        for p in parameters:
            state = self.state[p]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - group["momentum"])
            moved.append(p.grad.lerp(state["momentum"], group["momentum"]))
        updates = orthogonal(torch.stack(moved))
        scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
        for p, update in zip(parameters, updates):
            p.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-scale)


def make_optimizers(model: nn.Module, muon_lr: float,
                    adam_lr: float) -> list[torch.optim.Optimizer]:
    matrices, others = [], []
    for name, p in model.named_parameters():
        inside = "layers." in name or "blocks." in name or "merger" in name or "mtp.fc" in name
        wide = p.dim() == 2 and min(p.shape) >= 16
        (matrices if inside and wide else others).append(p)
    adam = torch.optim.AdamW(others, lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(matrices, muon_lr), adam]
