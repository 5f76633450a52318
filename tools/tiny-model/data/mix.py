# SPDX-License-Identifier: Apache-2.0
"""What is trained on when: copying first, then everything."""
from __future__ import annotations

from typing import Callable

from data.calls import call_item
from data.passages import object_item, passages_item
from data.pictures import picture_item
from data.sums import one_step, sum_item
from data.talk import drill, recall, repeat, small_talk, story
from data.words import Item, Source

KINDS: dict[str, Callable[[Source], Item]] = {
    "repeat": repeat, "drill": drill, "recall": recall, "chat": small_talk, "story": story,
    "table": one_step, "sum": sum_item, "json": object_item, "passages": passages_item,
    "call": call_item, "picture": picture_item}
# Shares of conversations at the start, then from a fifth of the way to the end; linear between.
START = {"repeat": 25, "drill": 40, "recall": 15, "chat": 5, "story": 2, "table": 8, "json": 5,
         "picture": 20}
FINAL = {"repeat": 5, "drill": 8, "recall": 12, "chat": 3, "story": 2, "table": 8, "sum": 10,
         "json": 11, "passages": 18, "call": 12, "picture": 25}
RAMP = 0.08
THINKING = 0.12  # of the conversations other than sums
SYSTEM = 0.12    # of those without tools begin with one of these
SYSTEMS = ["You are a helpful assistant.", "You are a helpful assistant. Be brief.",
           "Answer the user's questions.", "You are a friendly tiny model."]


def shares(progress: float) -> dict[str, float]:
    """progress from 0 to 1 -> weight of each kind."""
    along = min(progress / RAMP, 1.0)
    return {kind: (1 - along) * START.get(kind, 0) + along * FINAL[kind] for kind in KINDS}


def draw(source: Source, progress: float) -> Item:
    weights = shares(progress)
    kind = source.random.choices(list(weights), list(weights.values()))[0]
    item = KINDS[kind](source)
    if item.hint and not item.thinking and source.chance(THINKING):
        item.thinking = True
        item.messages[-1]["reasoning_content"] = item.hint
    if source.training and not item.tools and source.chance(SYSTEM):
        item.messages.insert(0, {"role": "system", "content": source.pick(SYSTEMS)})
    return item
