#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what training rests on: the split, where the loss counts, and that a cut run goes on
exactly as if it had not been cut."""
from __future__ import annotations

import argparse
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import train
from batches import Shape, answer_weights, stream, with_pictures
from bpe import Tokenizer
from data.chat import render
from data.mix import KINDS
from data.sums import numbers
from data.words import Source, held_out


def check_split() -> str:
    """No held-out word or sum is drawn for training, and no other for evaluation."""
    for training in (True, False):
        source = Source(1, training)
        for _ in range(2000):
            a, first, b, second, c = numbers(source)
            for text in (source.made_up(), source.code(), f"{a}{first}{b}{second}{c}"):
                assert held_out(text, 10) != training, text
    seen: dict[bool, set[str]] = {}
    for training in (True, False):
        source = Source(2, training)
        seen[training] = {source.phrase("(Give|Show|Tell) me (the|this|that) (x|y|z)")
                          for _ in range(2000)}
    assert seen[True] and seen[False] and not seen[True] & seen[False]
    return "held-out words, numbers, sums and phrasings stay apart"


def check_weights(tokenizer: Tokenizer) -> str:
    """Full weight lies exactly on what the assistant writes and on the end of its turn."""
    count = 0
    for kind, make in KINDS.items():
        source = Source(3, True)
        for _ in range(20):
            text = with_pictures(render(make(source)))
            ids = tokenizer.encode(text)
            weights = answer_weights(ids, tokenizer, source)
            marked = tokenizer.decode([i for i, w in zip(ids, weights) if w == 1])
            turns = re.findall(r"<\|im_start\|>assistant\n(?:<think>\n(?:\n</think>\n\n)?)?"
                               r"(.*?<\|im_end\|>)", text, re.S)
            assert marked == "".join(turns), (kind, marked, turns)
            count += len(turns)
    return f"the loss counts on the assistant's words in {count} turns"


def trainer(folder: Path) -> train.Trainer:
    return train.Trainer(argparse.Namespace(run=str(folder), device="cpu", steps=12))


def advance(subject: train.Trainer, until: int) -> None:
    for batches in stream(subject.folder, train.SEED, subject.step, subject.steps,
                          subject.steps, subject.preset.shape, 0):
        if subject.step == until:
            break
        subject.train_step(batches)


def check_resume(folder: Path) -> str:
    """Six steps at once, and four (in the middle of a window), a new process's state, two."""
    small = replace(train.PRESETS["cpu"], shape=Shape(256, 512, 16, 3), mtp_from=0.0)
    train.PRESETS["cpu"] = small
    whole = trainer(folder)
    advance(whole, 6)
    part = trainer(folder)
    advance(part, 4)
    part.save()
    rest = trainer(folder)
    assert rest.step == 4
    advance(rest, 6)
    for (name, one), other in zip(whole.model.named_parameters(), rest.model.parameters()):
        assert torch.equal(one, other), name
    return "a run that was cut goes on to the same weights, bit for bit"


def main() -> int:
    torch.set_num_threads(1)
    np.seterr(all="raise")
    train.CORPUS, train.VOCABULARY = 300, 700
    print("ok  ", check_split())
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = train.prepare_tokenizer(Path(folder))
        print("ok  ", check_weights(tokenizer))
        print("ok  ", check_resume(Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
