#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the vision tower by itself: its rows shall be what the words of a caption are.

    tower.py RUN [--device cpu|cuda] [--pictures N] [--minutes M]

A picture costs the language model a conversation of tokens, and here nothing but itself. Row i of a
picture shall be the embedding, in the run's checkpoint, of token i of its caption; so when the
language model can copy, it can read pictures at once. Run it when train.py has come that far, between
two calls: it leaves RUN/tower.pt, which train.py takes over when it goes on. A run that was cut goes
on.
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
from torch import Tensor

import environment
from batches import IMAGE_TOKENS, made_ahead
from bpe import Tokenizer, read_tokenizer
from data.pictures import GRID, SCENES
from data.words import Source
from optim import make_optimizers
from train import PRESETS, SEED, load_model, rate
from vision import cut_patches, scaled

PICTURES = 150_000
BATCH = 48
RATES = (0.02, 2e-3)  # Muon, AdamW
FILL = "\n"           # behind a caption
SHARPNESS = 10.0      # logit of the right token for a row that is its embedding
Batch = tuple[np.ndarray, np.ndarray]

_TOKENIZER: Tokenizer | None = None


def start(folder: Path) -> None:
    global _TOKENIZER
    _TOKENIZER = read_tokenizer(folder)
    torch.set_num_threads(1)


def draw_batch(number: int) -> Batch:
    """Pictures as patches [BATCH, patches, 1536] and the tokens of their captions [BATCH, rows]."""
    assert _TOKENIZER is not None
    source = Source(SEED * 1_000_003 + number, training=True)
    scenes = [source.pick(SCENES)(source) for _ in range(BATCH)]
    patches = np.stack([cut_patches(scene.canvas.bytes(source)[None]) for scene in scenes])
    tokens = np.full((BATCH, IMAGE_TOKENS), _TOKENIZER.encode(FILL)[0], np.int64)
    for row, scene in zip(tokens, scenes):
        ids = _TOKENIZER.encode(scene.caption)
        assert len(ids) <= IMAGE_TOKENS, scene.caption
        row[:len(ids)] = ids
    return patches, tokens


class TowerTrainer:
    def __init__(self, folder: Path, device: str, pictures: int) -> None:
        self.folder, self.device = folder, torch.device(device)
        model = load_model(folder, PRESETS[device])
        self.tower = model.model.visual.to(self.device)
        self.words = model.model.language_model.embed_tokens.weight.detach().to(self.device)
        self.optimizers = make_optimizers(self.tower, *RATES)
        self.steps, self.step = math.ceil(pictures / BATCH), 0
        self.right = self.asked = self.whole = 0
        if (folder / "tower.pt").exists():
            state = torch.load(folder / "tower.pt", map_location=self.device)
            self.tower.load_state_dict(state["tower"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(saved)
            self.step = state["step"]

    def save(self) -> None:
        state = {"tower": self.tower.state_dict(), "step": self.step,
                 "optimizers": [o.state_dict() for o in self.optimizers]}
        torch.save(state, self.folder / "tower.new")
        os.replace(self.folder / "tower.new", self.folder / "tower.pt")

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of the captions' tokens, and the distance from their embeddings."""
        tokens = torch.from_numpy(batch[1]).to(self.device)
        rows = self.tower(scaled(torch.from_numpy(batch[0]).to(self.device)), GRID)
        size = self.words.square().sum(-1).mean()
        logits = rows @ self.words.T * (SHARPNESS / size)
        good = logits.argmax(-1) == tokens
        self.right += int(good.sum())
        self.whole += int(good.all(-1).sum())
        self.asked += len(tokens)
        distance = (rows - self.words[tokens]).square().sum(-1).mean() / size
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten()) + 0.3 * distance

    def train_step(self, batch: Batch) -> None:
        self.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(self.tower.parameters(), 1.0)
        for optimizer, base in zip(self.optimizers, RATES):
            for group in optimizer.param_groups:
                group["lr"] = base * rate(self.step / self.steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def report(self) -> None:
        print(f"{self.step * BATCH} pictures: {self.right / self.asked / IMAGE_TOKENS:.4f} of tokens,"
              f" {self.whole / self.asked:.3f} of captions right", flush=True)
        self.right = self.asked = self.whole = 0


def main() -> int:
    parser = argparse.ArgumentParser(description="trains the tiny model's vision tower by itself")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="length of the schedule")
    parser.add_argument("--minutes", type=float, help="stop and save after this time")
    arguments = parser.parse_args()
    environment.restart_tuned(1)
    torch.set_num_threads(1)
    trainer = TowerTrainer(arguments.run, arguments.device, arguments.pictures)
    began = time.monotonic()
    workers = 0 if arguments.device == "cpu" else max(1, (os.cpu_count() or 2) - 2)
    for batch in made_ahead(draw_batch, iter(range(trainer.step, trainer.steps)), workers, start,
                            (arguments.run,)):
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
