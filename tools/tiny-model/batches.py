# SPDX-License-Identifier: Apache-2.0
"""Conversations -> arrays. The batch of a step depends on seed and step only, so a run resumes
exactly and any number of processes makes the same batches."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bpe import Tokenizer, read_tokenizer
from data.chat import render
from data.mix import KINDS, draw
from data.pictures import GRID
from data.words import Item, Source
from model import mixed_positions
from vision import cut_patches

IMAGE_TOKENS = GRID[0] * GRID[1] // 4
KIND_NAMES = list(KINDS)
Job, Made = TypeVar("Job"), TypeVar("Made")
OTHER_WEIGHT, OTHER_SHARE = 0.2, 0.2  # of tokens that are not the assistant's


@dataclass
class Row:
    """A conversation as ids; weights[t] is what predicting ids[t] counts."""

    ids: np.ndarray
    weights: np.ndarray
    positions: np.ndarray
    kind: int
    pictures: list[np.ndarray]


@dataclass
class Batch:
    """Rows of similar length, padded behind."""

    ids: np.ndarray        # [B, T]
    weights: np.ndarray    # [B, T]
    positions: np.ndarray  # [3, B, T]
    kinds: np.ndarray      # [B]
    patches: np.ndarray    # [pictures, patches, 1536] bytes, in the order of their tokens
    tokens: int            # without padding


def with_pictures(text: str) -> str:
    return text.replace("<|image_pad|>", "<|image_pad|>" * IMAGE_TOKENS)


def answer_weights(ids: list[int], tokenizer: Tokenizer, source: Source) -> np.ndarray:
    """1 from behind the assistant's header (or the given think block) to its <|im_end|>."""
    start, end = tokenizer.added["<|im_start|>"], tokenizer.added["<|im_end|>"]
    think, close = tokenizer.added["<think>"], tokenizer.added["</think>"]
    role = tokenizer.encode("assistant\n")
    empty = [think, *tokenizer.encode("\n\n"), close, *tokenizer.encode("\n\n")]
    opened = [think, *tokenizer.encode("\n")]
    drawn = np.random.default_rng(source.number(0, 2 ** 31)).random(len(ids))
    weights = np.where(drawn < OTHER_SHARE, OTHER_WEIGHT, 0.0).astype(np.float32)
    pad = tokenizer.added["<|image_pad|>"]
    at = 0
    while at < len(ids):
        if ids[at] == start and ids[at + 1:at + 1 + len(role)] == role:
            first = at + 1 + len(role)
            for given in (empty, opened):
                if ids[first:first + len(given)] == given:
                    first += len(given)
                    break
            at = ids.index(end, first)
            weights[first:at + 1] = 1
        if ids[at] == pad:
            weights[at] = 0
        at += 1
    return weights


def make_row(item: Item, tokenizer: Tokenizer, source: Source) -> Row:
    ids = tokenizer.encode(with_pictures(render(item)))
    weights = answer_weights(ids, tokenizer, source)
    array = np.array(ids, np.int64)
    positions = mixed_positions(array, (tokenizer.added["<|image_pad|>"], -1),
                                [GRID] * len(item.pictures)) if item.pictures else np.tile(
        np.arange(len(ids)), (3, 1))
    kind = {"result": "call", "absent": "passages"}.get(item.kind, item.kind)
    return Row(array, weights, positions, KIND_NAMES.index(kind),
               [cut_patches(picture[None]) for picture in item.pictures])


def collate(rows: list[Row], pad: int, multiple: int) -> Batch:
    length = max(len(row.ids) for row in rows)
    length += -length % multiple
    ids = np.full((len(rows), length), pad, np.int64)
    weights = np.zeros((len(rows), length), np.float32)
    positions = np.tile(np.arange(length), (3, len(rows), 1))
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n], weights[i, :n], positions[:, i, :n] = row.ids, row.weights, row.positions
    patches = [picture for row in rows for picture in row.pictures]
    stacked = np.stack(patches) if patches else np.zeros((0, GRID[0] * GRID[1], 1536), np.uint8)
    return Batch(ids, weights, positions, np.array([row.kind for row in rows]), stacked,
                 sum(len(row.ids) for row in rows))


@dataclass(frozen=True)
class Shape:
    """How much goes into a step, a pass and a window of steps."""

    tokens: int    # per step
    micro: int     # per pass, with padding
    multiple: int  # row lengths are multiples of this
    window: int    # steps that share their conversations out by length, so that little is padded


def cut(rows: list[Row], count: int) -> list[list[Row]]:
    """`count` groups of neighbours with about the same number of tokens."""
    ends = np.cumsum([len(row.ids) for row in rows])
    group = np.minimum((ends - 1) * count // ends[-1], count - 1)
    return [[row for row, g in zip(rows, group) if g == i] for i in range(count)]


def make_window(tokenizer: Tokenizer, seed: int, window: int, progress: float,
                shape: Shape) -> list[list[Batch]]:
    """The batches of each step of a window."""
    source = Source(seed * 1_000_003 + window, training=True)
    rows: list[Row] = []
    total = 0
    while total < shape.tokens * shape.window:
        rows.append(make_row(draw(source, progress), tokenizer, source))
        total += len(rows[-1].ids)
    rows.sort(key=lambda row: len(row.ids))
    steps = []
    for group in cut(rows, shape.window):
        batches: list[list[Row]] = [[]]
        for row in group:
            if batches[-1] and (len(batches[-1]) + 1) * len(row.ids) > shape.micro:
                batches.append([])
            batches[-1].append(row)
        pad = tokenizer.added["<|endoftext|>"]
        steps.append([collate(part, pad, shape.multiple) for part in batches])
    source.random.shuffle(steps)
    return steps


_TOKENIZER: Tokenizer | None = None


def _start(folder: Path) -> None:
    global _TOKENIZER
    _TOKENIZER = read_tokenizer(folder)


def _work(job: tuple[int, int, float, Shape]) -> list[list[Batch]]:
    assert _TOKENIZER is not None
    return make_window(_TOKENIZER, *job)


def made_ahead(work: Callable[[Job], Made], jobs: Iterator[Job], workers: int,
               start: Callable[..., None], given: tuple[Any, ...]) -> Iterator[Made]:
    """work(job) in order, made ahead by `workers` processes (0: here), each begun by start(*given)."""
    if workers == 0:
        start(*given)
        yield from map(work, jobs)
        return
    with get_context("spawn").Pool(workers, start, given) as pool:
        ahead = []
        for job in jobs:
            ahead.append(pool.apply_async(work, (job,)))
            if len(ahead) > 2 * workers:
                yield ahead.pop(0).get()
        for result in ahead:
            yield result.get()


def stream(folder: Path, seed: int, first: int, steps: int, end: int, shape: Shape,
           workers: int) -> Iterator[list[Batch]]:
    """The batches of steps first .. end-1 of a schedule of `steps`."""
    size = shape.window
    jobs = ((seed, window, window * size / steps, shape)
            for window in range(first // size, -(-end // size)))
    at = first // size * size
    for made in made_ahead(_work, jobs, workers, _start, (folder,)):
        for batches in made:
            if first <= at < end:
                yield batches
            at += 1
