#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the tiny model; a run that was cut goes on from its last checkpoint.

    train.py RUN [--device cpu|cuda] [--steps N] [--until STEP] [--minutes M] [--threads N]

RUN is a folder of its own: tokenizer, tower.pt (from tower.py), log.csv, checkpoint.pt. --steps is
the length of the whole schedule (on going on: a new length, which moves the decay of the learning
rate); --until and --minutes stop earlier and save.
"""
from __future__ import annotations

import argparse
import csv
import math
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import environment
from batches import KIND_NAMES, Batch, Shape, stream
from bpe import ADDED, Tokenizer, read_tokenizer, train_merges, write_tokenizer
from config import Config, VisionConfig
from data.chat import render
from data.mix import draw
from data.words import Source
from model import Qwen35, initialise
from optim import make_optimizers
from vision import scaled

SEED = 20261121
VOCABULARY = 2048
CORPUS = 6000  # conversations that the tokenizer is trained on


@dataclass
class Preset:
    """What fits the machine."""

    hidden: int
    inner: int
    heads: int       # of 32 dims, in gated attention
    delta_heads: int  # of 64 dims, in DeltaNet layers
    vision: tuple[int, int, int]  # width, heads, depth
    steps: int
    shape: Shape
    chunk: int       # of the delta rule
    muon_lr: float
    adam_lr: float
    mtp_from: float  # progress at which the MTP block starts to be trained
    mtp_every: int


PRESETS = {
    "cpu": Preset(128, 256, 4, 2, (96, 3, 2), 5000, Shape(1024, 640, 8, 8), 32, 0.02, 4e-3,
                  0.6, 2),
    "cuda": Preset(256, 512, 8, 4, (160, 5, 4), 6000, Shape(131072, 32768, 64, 1), 64, 0.01, 2e-3,
                   0.1, 1)}


def make_config(preset: Preset, tokenizer: Tokenizer) -> Config:
    ids = tokenizer.added
    width, heads, depth = preset.vision
    vision = VisionConfig(depth, width, heads, 2 * width, preset.hidden)
    return Config(
        vocab_size=tokenizer.size, hidden_size=preset.hidden, intermediate_size=preset.inner,
        num_attention_heads=preset.heads, num_key_value_heads=preset.heads // 2,
        linear_num_key_heads=preset.delta_heads, linear_num_value_heads=preset.delta_heads,
        linear_key_head_dim=64, linear_value_head_dim=64,
        mtp_num_hidden_layers=1, eos_token_id=ids["<|im_end|>"],
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
        vision=vision)


def prepare_tokenizer(folder: Path) -> Tokenizer:
    if not (folder / "tokenizer.json").exists():
        source = Source(SEED, training=True)
        texts = [render(draw(source, (i % 100) / 100)) for i in range(CORPUS)]
        merges = train_merges(texts, VOCABULARY - 256 - len(ADDED))
        write_tokenizer(Tokenizer(merges), folder)
    return read_tokenizer(folder)


def rate(progress: float) -> float:
    """Warm-up, constant, then down to nothing over the last 30 %; a factor of the learning rate."""
    if progress < 0.01:
        return progress / 0.01
    return min(1.0, max(0.0, (1 - progress) / 0.3))


def load_model(folder: Path, preset: Preset) -> Qwen35:
    """The run's model, from its checkpoint or as it begins."""
    model = Qwen35(make_config(preset, prepare_tokenizer(folder)))
    initialise(model, SEED)
    if (folder / "checkpoint.pt").exists():
        state = torch.load(folder / "checkpoint.pt", map_location="cpu")
        model.load_state_dict(state["model"])
    return model


class Trainer:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.folder = Path(arguments.run)
        self.device = torch.device(arguments.device)
        self.preset = PRESETS[arguments.device]
        self.steps = arguments.steps or self.preset.steps
        self.tokenizer = prepare_tokenizer(self.folder)
        self.model = load_model(self.folder, self.preset)
        self.model.set_chunk(self.preset.chunk)
        self.model.to(self.device)
        self.optimizers = make_optimizers(self.model, self.preset.muon_lr, self.preset.adam_lr)
        self.base_rates = [self.preset.muon_lr, self.preset.adam_lr]
        self.step = 0
        self.seen = 0
        self.has_tower = False
        self.reset_meters()
        if (self.folder / "checkpoint.pt").exists():
            self.resume()
            self.steps = arguments.steps or self.steps
        self.take_tower()

    def take_tower(self) -> None:
        """The tower as tower.py left it, once; from then on it stays as it is. Muon makes all steps
        equally large, and what noise remains in the tower's gradients would walk it away."""
        tower = self.model.model.visual
        if not self.has_tower and (self.folder / "tower.pt").exists():
            tower.load_state_dict(torch.load(self.folder / "tower.pt", map_location="cpu")["tower"])
            self.has_tower = True
        if self.has_tower:
            tower.requires_grad_(False)

    def reset_meters(self) -> None:
        self.loss_sum = torch.zeros(len(KIND_NAMES), device=self.device)
        self.count = torch.zeros(len(KIND_NAMES), device=self.device)
        self.right = torch.zeros(len(KIND_NAMES), device=self.device)
        self.mtp_meter = torch.zeros(3, device=self.device)

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "step": self.step, "seen": self.seen,
                 "steps": self.steps, "has_tower": self.has_tower,
                 "optimizers": [o.state_dict() for o in self.optimizers]}
        torch.save(state, self.folder / "checkpoint.new")
        os.replace(self.folder / "checkpoint.new", self.folder / "checkpoint.pt")

    def resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", map_location=self.device)
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.step, self.seen, self.steps = state["step"], state["seen"], state["steps"]
        self.has_tower = state.get("has_tower", False)
        print(f"going on at step {self.step} of {self.steps}", flush=True)

    def losses(self, batch: Batch, mtp: bool) -> tuple[Tensor, Tensor]:
        """Sum of weighted losses of a batch, and of its MTP block."""
        ids = torch.from_numpy(batch.ids).to(self.device)
        weights = torch.from_numpy(batch.weights).to(self.device)
        positions = torch.from_numpy(batch.positions).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16,
                            enabled=self.device.type == "cuda"):
            features = None
            if len(batch.patches):
                patches = scaled(torch.from_numpy(batch.patches).to(self.device))
                side = int(math.isqrt(patches.shape[1]))
                features = self.model.model.visual(patches, (side, side)).flatten(0, 1)
            embedded = self.model.embed(ids, features)
            hidden = self.model.hidden(embedded, positions)
            loss = self.head_loss(hidden, ids, weights, 1, batch)
            extra = hidden.new_zeros(())
            if mtp:
                y = self.model.mtp_hidden(embedded[:, 1:], hidden[:, :-1], positions[:, :, :-1])
                extra = self.head_loss(y, ids, weights * (weights == 1), 2, None)
        return loss, extra

    def head_loss(self, hidden: Tensor, ids: Tensor, weights: Tensor, ahead: int,
                  batch: Batch | None) -> Tensor:
        """Cross-entropy of the tokens `ahead` of each state, where they count."""
        length = min(hidden.shape[1], ids.shape[1] - ahead)
        weights = weights[:, ahead:ahead + length]
        rows, columns = (weights > 0).nonzero(as_tuple=True)
        logits = self.model.logits(hidden[rows, columns]).float()
        wanted, weight = ids[rows, columns + ahead], weights[rows, columns]
        each = F.cross_entropy(logits, wanted, reduction="none")
        with torch.no_grad():
            answer = (weight == 1).float()
            right = (logits.argmax(-1) == wanted).float() * answer
            if batch is None:
                self.mtp_meter += torch.stack([(each * answer).sum(), right.sum(), answer.sum()])
            else:
                kinds = torch.from_numpy(batch.kinds).to(self.device)[rows]
                self.loss_sum.index_add_(0, kinds, each * answer)
                self.right.index_add_(0, kinds, right)
                self.count.index_add_(0, kinds, answer)
        return (each * weight).sum()

    def train_step(self, batches: list[Batch]) -> None:
        progress = self.step / self.steps
        mtp = progress >= self.preset.mtp_from and self.step % self.preset.mtp_every == 0
        total = sum(float(batch.weights[:, 1:].sum()) for batch in batches)
        for batch in batches:
            loss, extra = self.losses(batch, mtp)
            ((loss + 0.3 * extra) / total).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, base in zip(self.optimizers, self.base_rates):
            for group in optimizer.param_groups:
                group["lr"] = base * rate(progress)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.seen += sum(batch.tokens for batch in batches)

    def report(self, seconds: float, tokens: int) -> None:
        count = self.count.clamp(min=1).tolist()
        row = {"step": self.step, "tokens": self.seen, "tokens_per_second": round(tokens / seconds),
               "loss": round(float(self.loss_sum.sum() / self.count.sum().clamp(min=1)), 4)}
        for kind, right, n in zip(KIND_NAMES, self.right.tolist(), count):
            row[kind] = round(right / n, 4)  # share of the assistant's tokens that come first
        _, right, n = self.mtp_meter.tolist()
        row["mtp"] = round(right / max(n, 1), 4)
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)
        self.reset_meters()


def run(trainer: Trainer, arguments: argparse.Namespace) -> None:
    preset = trainer.preset
    stop: list[int] = []  # a signal that asks for an end: the step is finished and saved
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda which, _: stop.append(which))
    workers = arguments.workers if arguments.workers is not None else (
        0 if arguments.device == "cpu" else max(1, (os.cpu_count() or 2) - 2))
    began = saved = reported = time.monotonic()
    tokens = trainer.seen
    end = min(trainer.steps, arguments.until or trainer.steps)
    for batches in stream(trainer.folder, SEED, trainer.step, trainer.steps, end,
                          preset.shape, workers):
        trainer.train_step(batches)
        now = time.monotonic()
        if trainer.step % 50 == 0 or trainer.step == trainer.steps:
            trainer.report(now - reported, trainer.seen - tokens)
            reported, tokens = now, trainer.seen
        if now - saved > 180:
            trainer.save()
            saved = now
        if stop or (arguments.minutes and now - began > 60 * arguments.minutes):
            break
    trainer.save()
    if stop:
        sys.exit(128 + stop[0])


def main() -> int:
    parser = argparse.ArgumentParser(description="trains the tiny model")
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--steps", type=int, help="length of the schedule")
    parser.add_argument("--until", type=int, help="stop and save at this step")
    parser.add_argument("--minutes", type=float, help="stop and save after this time")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU's arithmetic")
    parser.add_argument("--workers", type=int, help="processes that make batches")
    arguments = parser.parse_args()
    environment.restart_tuned(arguments.threads)
    torch.set_num_threads(arguments.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    Path(arguments.run).mkdir(parents=True, exist_ok=True)
    run(Trainer(arguments), arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
