# SPDX-License-Identifier: Apache-2.0
"""Pictures of 128 x 128 pixels with shapes and printed digits, and questions about them."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.words import Item, Source, assistant, user

SIDE = 128
GRID = (SIDE // 16, SIDE // 16)  # patches
PAINTS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (40, 80, 220),
          "yellow": (240, 210, 40), "black": (20, 20, 20), "purple": (150, 50, 180)}
GROUNDS = [(255, 255, 255), (240, 240, 230), (225, 235, 245), (200, 200, 200)]
SHAPES = ["circle", "square", "triangle"]
PLACES = {"top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0), "bottom right": (1, 1)}
# Segments of a seven-segment digit: top, upper left, upper right, middle, lower left, lower right,
# bottom.
SEGMENTS = ["1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010",
            "1111111", "1111011"]


PIXELS = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + 0.5  # centres


class Canvas:
    def __init__(self, source: Source) -> None:
        ground = np.array(source.pick(GROUNDS), np.float32)
        self.rgb = np.tile(ground, (SIDE, SIDE, 1))
        self.y, self.x = PIXELS

    def fill(self, inside: np.ndarray, paint: tuple[int, int, int]) -> None:
        self.rgb[inside] = paint

    def shape(self, name: str, paint: tuple[int, int, int], at: tuple[float, float],
              radius: float) -> None:
        y, x = self.y - at[0], self.x - at[1]
        if name == "circle":
            inside = x * x + y * y < radius * radius
        elif name == "square":
            inside = np.maximum(abs(x), abs(y)) < radius * 0.88
        else:
            inside = (y < radius * 0.8) & (y > 2 * abs(x) - radius)
        self.fill(inside, paint)

    def digit(self, value: int, paint: tuple[int, int, int], at: tuple[float, float],
              size: float) -> None:
        """Seven bars around (y, x), 2 size high and size wide."""
        thick, half = size * 0.16, size / 2
        bars = [(-size, 0, True), (-half, -half, False), (-half, half, False), (0, 0, True),
                (half, -half, False), (half, half, False), (size, 0, True)]
        for lit, (dy, dx, flat) in zip(SEGMENTS[value], bars):
            if lit == "1":
                y, x = abs(self.y - at[0] - dy), abs(self.x - at[1] - dx)
                long, wide = (x, y) if flat else (y, x)
                self.fill((long < half + thick) & (wide < thick), paint)

    def bytes(self, source: Source) -> np.ndarray:
        generator = np.random.default_rng(source.number(0, 2 ** 31))
        noise = generator.integers(-7, 8, self.rgb.shape, np.int8)
        return np.clip(self.rgb + noise, 0, 255).astype(np.uint8)


Fact = tuple[str, str]  # a pattern of questions and the answer


@dataclass
class Scene:
    """A picture, what can be asked about it, and all of that in at most 16 tokens."""

    canvas: Canvas
    facts: list[Fact]
    caption: str


def ask(scene: Scene, source: Source) -> Item:
    """A question about the picture; in training mostly several, since a picture costs more than a
    turn and each answer is one more reason to see it."""
    facts = scene.facts
    most = len(facts) if source.training and source.chance(0.8) else 1
    messages = []
    for question, answer in source.random.sample(facts, source.number(1, most)):
        text = source.phrase(question)
        messages += [user(text if messages else
                          [{"type": "image"}, {"type": "text", "text": text}]), assistant(answer)]
    return Item("picture", messages, pictures=[scene.canvas.bytes(source)], check={"exact": answer})


def one_shape_scene(source: Source) -> Scene:
    """One shape somewhere: which, in which colour, or where."""
    canvas, name, colour = Canvas(source), source.pick(SHAPES), source.pick(list(PAINTS))
    place = source.pick(list(PLACES))
    row, column = PLACES[place]
    jitter = [source.number(-8, 8) for _ in range(2)]
    canvas.shape(name, PAINTS[colour], (32 + 64 * row + jitter[0], 32 + 64 * column + jitter[1]),
                 source.number(14, 22))
    facts = [
        ("(What|Which) colour (is the shape|is it|do you see)?", colour.capitalize() + "."),
        ("(What shape|Which shape) (is it|do you see|is in the picture|is this)?",
         f"A {name}."),
        ("(Where|In which corner) is (the shape|it)( in the picture|)?", f"At the {place}."),
        ("(What do you see|What is in the picture|What is this|Describe the picture)?",
         f"A {colour} {name} at the {place}.")]
    return Scene(canvas, facts, f"A {colour} {name} at the {place}.")


COUNTED_CELLS = [("top left", (0, 0)), ("middle", (1, 1)), ("bottom right", (2, 2)),
                 ("top right", (0, 2))]


def counted_scene(source: Source) -> Scene:
    """One to five equal shapes."""
    canvas, name, colour = Canvas(source), source.pick(SHAPES), source.pick(list(PAINTS))
    count = source.number(1, 5)
    cells = source.random.sample([(r, c) for r in range(3) for c in range(3)], count)
    for row, column in cells:
        at = (22 + 42 * row + source.number(-5, 5), 22 + 42 * column + source.number(-5, 5))
        canvas.shape(name, PAINTS[colour], at, source.number(11, 15))
    facts = [("(How many|Count the|Tell me how many) "
              f"({name}s|shapes)( are there| do you see|)?",
              f"{count} {name}{'s' if count > 1 else ''}.")]
    told = ["Yes" if cell in cells else "No" for _, cell in COUNTED_CELLS]
    if source.training:
        facts += [("(What|Which) colour are they?", colour.capitalize() + ".")]
        facts += [(f"(Is there|Do you see) (a|one) {name} (at|in) the {where}?", answer + ".")
                  for (where, _), answer in zip(COUNTED_CELLS, told)]
    return Scene(canvas, facts, f"{facts[0][1]} {colour}. {'.'.join(told)}.")


def digits_scene(source: Source) -> Scene:
    """One or two printed digits."""
    canvas, colour = Canvas(source), source.pick(list(PAINTS))
    values = [source.number(0, 9) for _ in range(source.number(1, 2))]
    start = 64 - 26 * (len(values) - 1)
    row = 64 + source.number(-12, 12)
    for i, value in enumerate(values):
        canvas.digit(value, PAINTS[colour], (row, start + 52 * i + source.number(-4, 4)),
                     source.number(22, 30))
    facts = [("(Which|What) (number|digits) (is it|do you see|is written|is in the picture)?",
              "".join(map(str, values)))]
    if source.training:
        facts += [("(Which|What) is the (first|leftmost) digit?", str(values[0])),
                  ("(Which|What) is the (last|rightmost) digit?", str(values[-1])),
                  ("How many digits are there?", str(len(values))),
                  ("(What|Which) colour is it?", colour.capitalize() + ".")]
    number = "".join(map(str, values))
    return Scene(canvas, facts, f"{number} {colour} {len(values)}")


SCENES = [one_shape_scene, counted_scene, digits_scene]


def one_shape(source: Source) -> Item:
    return ask(one_shape_scene(source), source)


def counted(source: Source) -> Item:
    return ask(counted_scene(source), source)


def digits(source: Source) -> Item:
    return ask(digits_scene(source), source)


def picture_item(source: Source) -> Item:
    return ask(source.pick(SCENES)(source), source)
