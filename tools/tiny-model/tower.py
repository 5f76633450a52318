#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the vision tower by itself, before the language model learns to look through it.

    tower.py RUN [--device cpu|cuda] [--pictures N] [--minutes M]

A picture costs a conversation of tokens there and nothing but itself here: what is in it (LABELS) is
asked of the mean of its rows, normalised as the first layer does, by a linear map for each label.
Leaves RUN/tower.pt, which train.py begins with. A run that was cut goes on.
"""
from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import environment
from batches import made_ahead
from config import Config
from data.pictures import GRID, LABELS, SCENES
from data.words import Source
from optim import make_optimizers
from train import PRESETS, SEED, make_config, prepare_tokenizer, rate
from vision import Tower, cut_patches, scaled

PICTURES = 200_000
BATCH = 48
RATES = (0.02, 2e-3)  # Muon, AdamW
Batch = tuple[np.ndarray, dict[str, np.ndarray]]


class Labelled(nn.Module):
    """The tower and a linear map for each label; an answer of -1 is not asked."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.visual = Tower(config.vision)
        wide = config.hidden_size
        self.heads = nn.ModuleDict({name: nn.Linear(wide, n) for name, n in LABELS.items()})

    def forward(self, patches: Tensor) -> dict[str, Tensor]:
        rows = self.visual(scaled(patches), GRID)
        rows = rows * torch.rsqrt(rows.square().mean(-1, keepdim=True) + 1e-6)
        mean = rows.mean(1)
        return {name: head(mean) for name, head in self.heads.items()}


def draw_batch(number: int) -> Batch:
    """Pictures as patches [BATCH, patches, 1536] and the answers [BATCH] for each label."""
    source = Source(SEED * 1_000_003 + number, training=True)
    scenes = [source.pick(SCENES)(source) for _ in range(BATCH)]
    patches = np.stack([cut_patches(scene.canvas.bytes(source)[None]) for scene in scenes])
    return patches, {name: np.array([scene.labels.get(name, -1) for scene in scenes])
                     for name in LABELS}


class TowerTrainer:
    def __init__(self, folder: Path, device: str, pictures: int) -> None:
        self.folder, self.device = folder, torch.device(device)
        torch.manual_seed(SEED)
        self.subject = Labelled(make_config(PRESETS[device], prepare_tokenizer(folder)))
        self.subject.to(self.device)
        self.optimizers = make_optimizers(self.subject, *RATES)
        self.steps, self.step = math.ceil(pictures / BATCH), 0
        self.reset_meters()
        if (folder / "tower.pt").exists():
            state = torch.load(folder / "tower.pt", map_location=self.device)
            self.subject.load_state_dict(state["subject"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(saved)
            self.step = state["step"]

    def reset_meters(self) -> None:
        self.right = dict.fromkeys(LABELS, 0)
        self.asked = dict.fromkeys(LABELS, 0)

    def save(self) -> None:
        state = {"subject": self.subject.state_dict(), "step": self.step,
                 "optimizers": [o.state_dict() for o in self.optimizers]}
        torch.save(state, self.folder / "tower.new")
        os.replace(self.folder / "tower.new", self.folder / "tower.pt")

    def loss(self, batch: Batch) -> Tensor:
        total = torch.zeros((), device=self.device)
        patches, answers = batch
        for name, logits in self.subject(torch.from_numpy(patches).to(self.device)).items():
            wanted = torch.from_numpy(answers[name]).to(self.device)
            asked = wanted >= 0
            if asked.any():
                total = total + F.cross_entropy(logits[asked], wanted[asked])
                self.right[name] += int((logits[asked].argmax(-1) == wanted[asked]).sum())
                self.asked[name] += int(asked.sum())
        return total

    def train_step(self, batch: Batch) -> None:
        self.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(self.subject.parameters(), 1.0)
        for optimizer, base in zip(self.optimizers, RATES):
            for group in optimizer.param_groups:
                group["lr"] = base * rate(self.step / self.steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def report(self) -> None:
        shares = {name: round(self.right[name] / max(n, 1), 3) for name, n in self.asked.items()
                  if not name.startswith("cell")}
        cells = [name for name in LABELS if name.startswith("cell")]
        shares["cells"] = round(sum(self.right[c] for c in cells)
                                / max(1, sum(self.asked[c] for c in cells)), 3)
        print(self.step * BATCH, shares, flush=True)
        self.reset_meters()


def main() -> int:
    parser = argparse.ArgumentParser(description="trains the tiny model's vision tower by itself")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="length of the schedule")
    parser.add_argument("--minutes", type=float, help="stop and save after this time")
    arguments = parser.parse_args()
    environment.restart_tuned(1)
    torch.set_num_threads(1)
    arguments.run.mkdir(parents=True, exist_ok=True)
    trainer = TowerTrainer(arguments.run, arguments.device, arguments.pictures)
    began = time.monotonic()
    workers = 0 if arguments.device == "cpu" else max(1, (os.cpu_count() or 2) - 2)
    for batch in made_ahead(draw_batch, iter(range(trainer.step, trainer.steps)), workers,
                            torch.set_num_threads, (1,)):
        trainer.train_step(batch)
        if trainer.step % 100 == 0 or trainer.step == trainer.steps:
            trainer.report()
        if trainer.step % 500 == 0:
            trainer.save()
        if arguments.minutes and time.monotonic() - began > 60 * arguments.minutes:
            break
    trainer.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
