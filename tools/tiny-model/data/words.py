# SPDX-License-Identifier: Apache-2.0
"""Words, numbers and phrasings, each for training or held out, never both.

What is held out is decided by a checksum of the thing itself, so that it does not depend on seeds:
a tenth of the made-up words and of the sums, an eighth of the combinations of phrase parts.
"""
from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

CONSONANTS, PLAIN_VOWELS = "bdfgjklmnprstvwz", "aeiou"
ONSETS = """b br c ch cl d dr f fl g gl gr h j k kl kr l m n p pl pr qu r s sk sl sn st t th tr v w
z""".split()
VOWELS = "a e i o u ai ea ee oa oo".split()
CODAS = ["", "", "", "", "l", "m", "n", "r", "s", "t", "x", "ck", "nd", "rk", "sh", "lm"]
FIRST_NAMES = """Ada Alex Amir Anna Ben Carla Clara Dan Elif Emil Emma Eva Felix Finn Greta Hana
Hugo Ida Ines Ivan Jack Jana Jon Julia Kai Karl Lara Lena Leo Lily Lina Lucas Maja Marco Maria Max
Mia Mila Nina Noah Nora Olga Omar Oscar Paul Petra Rosa Ruth Sam Sara Sofia Tara Theo Tim Tom Uma
Vera Viktor Yara Zoe""".split()
COLOURS = "red green blue yellow black white orange purple pink brown grey".split()
FOODS = """bread rice soup cheese apples pears plums cake pasta beans nuts honey salad fish eggs
tea milk olives corn potatoes""".split()
ANIMALS = "dog cat bird horse fox frog goat duck mouse rabbit owl bear fish hen cow".split()
THINGS = """book lamp cup chair box key map coin bell rope boat kite drum hat ring clock brush
basket blanket bottle""".split()


PLAIN = 0.85  # of made-up words


def held_out(text: str, share: int) -> bool:
    """Whether this text is one of the 1 / share that training never sees."""
    return zlib.crc32(text.encode()) % share == 0


@dataclass
class Item:
    """A conversation. With `check` it is an evaluation item: the last message is the answer."""

    kind: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    thinking: bool = False
    pictures: list[Any] = field(default_factory=list)
    check: dict[str, Any] = field(default_factory=dict)
    hint: str = ""  # what the thinking block says when thinking is on


class Source:
    """Draws words and phrasings of one split from a seeded generator."""

    def __init__(self, seed: int, training: bool) -> None:
        self.random = random.Random(seed)
        self.training = training

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, options: list[Any]) -> Any:
        return self.random.choice(options)

    def allowed(self, text: str, share: int = 10) -> bool:
        return held_out(text, share) != self.training

    def syllable(self) -> str:
        return self.pick(ONSETS) + self.pick(VOWELS) + self.pick(CODAS)

    def made_up(self, plain: float = PLAIN) -> str:
        """A pronounceable word of this split: with the probability `plain` two or three plain
        syllables ("zoru"), which are a token each, else anything ("plaishnock")."""
        while True:
            if self.chance(plain if self.training else PLAIN):
                word = "".join(self.pick(CONSONANTS) + self.pick(PLAIN_VOWELS)
                               for _ in range(self.number(2, 3)))
            else:
                word = "".join(self.syllable() for _ in range(self.number(1, 3)))
            if 3 <= len(word) <= 10 and self.allowed(word):
                return word

    def name(self) -> str:
        """A proper name: mostly made up; held-out names are always made up."""
        if self.training and self.chance(0.2):
            return self.pick(FIRST_NAMES)
        return self.made_up().capitalize()

    def distinct(self, count: int, draw: Any) -> list[Any]:
        found: list[Any] = []
        while len(found) < count:
            candidate = draw()
            if candidate not in found:
                found.append(candidate)
        return found

    def number(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def code(self) -> str:
        """A number of two to four digits of this split."""
        while True:
            text = str(self.number(10, 9999))
            if self.allowed(text):
                return text

    def phrase(self, pattern: str) -> str:
        """One combination of a pattern such as "(Hi|Hello), (I am|my name is) {name}(.|!)".

        Groups do not nest. Patterns with fewer than 8 combinations have no held-out ones.
        """
        parts = re.split(r"\(([^()]*)\)", pattern)
        options = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
        total = 1
        for choices in options:
            total *= len(choices)
        for _ in range(200):
            text = "".join(self.pick(choices) for choices in options)
            if total < 8 or self.allowed(text, 8):
                return text
        return text


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str, reasoning: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": text, "reasoning_content": reasoning}


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
