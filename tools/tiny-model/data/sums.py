# SPDX-License-Identifier: Apache-2.0
"""Two-step arithmetic on small numbers, with the steps in the thinking block or without."""
from __future__ import annotations

from data.words import THINGS, Item, Source, assistant, user


def numbers(source: Source) -> tuple[int, str, int, str, int]:
    """a op b op c of this split, all steps from 0 to 27."""
    while True:
        a, b, c = (source.number(1, 9) for _ in range(3))
        first, second = source.pick(["+", "-"]), source.pick(["+", "-"])
        middle = a + b if first == "+" else a - b
        last = middle + c if second == "+" else middle - c
        if middle >= 0 and last >= 0 and source.allowed(f"{a}{first}{b}{second}{c}"):
            return a, first, b, second, c


def in_signs(source: Source, parts: tuple[int, str, int, str, int]) -> str:
    a, first, b, second, c = parts
    ask = source.phrase("(What is|How much is|Calculate|Work out|Compute|Find|Please find) ")
    end = "?" if ask[0] in "WH" and not ask.startswith("Work") else "."
    return f"{ask}{a} {first} {b} {second} {c}{end}"


def in_words(source: Source, parts: tuple[int, str, int, str, int]) -> str:
    a, first, b, second, c = parts
    who, thing = source.name(), source.pick(THINGS + ["apple", "plum", "egg", "nut"]) + "s"
    more = "(gets {n} more|finds {n} more|buys {n} more|is given {n} more)"
    less = "(gives away {n}|loses {n}|sells {n}|breaks {n})"
    steps = [source.phrase(more if sign == "+" else less).format(n=n)
             for sign, n in ((first, b), (second, c))]
    ask = source.phrase("(How many {t} does {w} have now|How many {t} are left for {w})(?| then?)")
    return (f"{who} has {a} {thing}. {who} {steps[0]} and then {steps[1]}. "
            + ask.format(t=thing, w=who))


def sum_item(source: Source, thinking: bool | None = None) -> Item:
    parts = numbers(source)
    a, first, b, second, c = parts
    middle = a + b if first == "+" else a - b
    last = middle + c if second == "+" else middle - c
    thinking = source.chance(0.7) if thinking is None else thinking
    question = in_signs(source, parts) if source.chance(0.6) else in_words(source, parts)
    reasoning = f"{a} {first} {b} = {middle}\n{middle} {second} {c} = {last}" if thinking else ""
    return Item("sum", [user(question), assistant(f"The answer is {last}.", reasoning)],
                thinking=thinking, check={"exact": f"The answer is {last}."})


def single(source: Source) -> tuple[str, str]:
    """An addition or subtraction, and the same with its result."""
    a, b = source.number(0, 18), source.number(0, 9)
    sign = "+" if a < b or source.chance(0.5) else "-"
    return f"{a} {sign} {b}", f"{a} {sign} {b} = {a + b if sign == '+' else a - b}"


def one_step(source: Source) -> Item:
    """Single additions and subtractions, to learn the tables: a turn each, or a list in one turn,
    which costs fewer tokens."""
    sums = [single(source) for _ in range(source.number(2, 5))]
    if source.chance(0.6):
        sums += [single(source) for _ in range(source.number(1, 5))]
        return Item("table", [user(", ".join(question for question, _ in sums)),
                              assistant("\n".join(text for _, text in sums))])
    messages = []
    for question, text in sums:
        messages += [user(question), assistant(text)]
    return Item("table", messages)
