# SPDX-License-Identifier: Apache-2.0
"""Answers from the right one of five passages with its number, and absent answers; JSON objects."""
from __future__ import annotations

import json
from typing import Any

from data.words import ANIMALS, COLOURS, FOODS, Item, Source, assistant, user

# statement, ways to ask, short answer; {e} is the entity, {v} the value
RELATIONS: list[tuple[str, str, str, str]] = [
    ("The (king|ruler|head) of {e} is {v}", "(Who is|Who's|Tell me who is) the {k} of {e}",
     "{v}", "name"),
    ("The (river|lake|hill) of {e} is called {v}",
     "(What is|What's|Tell me) the name of the {k} of {e}", "{v}", "name"),
    ("The people of {e} (eat|like|sell|make) {v}", "What do the people of {e} {k}", "{v}", "food"),
    ("The (flag|door|tower|bridge) of {e} is {v}", "(What|Which) colour is the {k} of {e}",
     "{v}", "colour"),
    ("There are {v} (houses|boats|trees|shops|birds) in {e}",
     "How many {k} (are there|are) in {e}", "{v}", "number"),
    ("{e} was (built|founded|burned) in the year {v}", "In which year was {e} {k}", "{v}", "year"),
    ("In {e} they keep a {v} as a (pet|guard|friend)",
     "Which animal (do they keep|is kept) in {e} as a {k}", "{v}", "animal"),
]
ABSENT = "That is not in the passages."


def draw_value(source: Source, what: str) -> str:
    if what == "name":
        return source.name()
    if what == "number":
        return str(source.number(2, 99))
    if what == "year":
        return source.pick(["1", ""]) + str(source.number(100, 999))
    options = {"food": FOODS, "colour": COLOURS, "animal": ANIMALS}[what]
    return source.pick(options)


def fact(source: Source, entity: str) -> tuple[str, str, str]:
    """A sentence about the entity, a question that it answers, the answer."""
    statement, question, answer, what = source.pick(RELATIONS)
    before, choices, after = _split_group(statement)
    keyword = source.pick(choices)
    value = draw_value(source, what)
    sentence = (before + keyword + after).format(e=entity, v=value)
    return sentence, source.phrase(question).format(e=entity, k=keyword), answer.format(v=value)


def _split_group(pattern: str) -> tuple[str, list[str], str]:
    before, rest = pattern.split("(", 1)
    inside, after = rest.split(")", 1)
    return before, inside.split("|"), after


def passages_item(source: Source, present: bool | None = None, count: int = 5) -> Item:
    entities = source.distinct(count + 1, lambda: source.made_up().capitalize())
    facts = [fact(source, entity) for entity in entities]
    shown = facts[:count]
    lines = "\n".join(f"[{i + 1}] {sentence}." for i, (sentence, _, _) in enumerate(shown))
    present = source.chance(0.75) if present is None else present
    which = source.number(0, count - 1)
    if present:
        question, answer = shown[which][1], f"{shown[which][2]} [{which + 1}]"
    else:
        answer = ABSENT
        question = facts[count][1]
        if source.chance(0.5):  # a known entity, asked for something that is not told
            question = question.replace(entities[count], entities[which])
            told = {asked for _, asked, _ in shown}
            if question in told or _same_relation(facts[count][0], shown[which][0], entities,
                                                  which, count):
                question = facts[count][1]
    ask = source.phrase("(Answer from the passages|Use the passages|Read the passages)"
                        "(:|.| below.)\n")
    return Item("passages" if present else "absent",
                [user(f"{ask}{lines}\n{question}?"), assistant(answer)],
                check={"exact": answer},
                hint=f"[{which + 1}] {shown[which][0]}." if present else "No passage says it.")


def _same_relation(one: str, other: str, entities: list[str], which: int, count: int) -> bool:
    """Whether two sentences tell the same kind of thing, apart from entity and value."""
    def bare(sentence: str) -> list[str]:
        return [word for word in sentence.split() if word.islower() and len(word) > 2][:2]
    return bare(one.replace(entities[count], "")) == bare(other.replace(entities[which], ""))


FIELDS: list[tuple[str, str]] = [("name", "name"), ("city", "name"), ("colour", "colour"),
                                 ("food", "food"), ("animal", "animal"), ("age", "number"),
                                 ("count", "number"), ("size", "number")]


def object_item(source: Source) -> Item:
    """A JSON object of the fields that the user lists."""
    chosen = source.random.sample(FIELDS, source.number(1, 4))
    pairs: dict[str, Any] = {}
    for key, what in chosen:
        key = key if source.chance(0.6) else source.made_up()
        value = draw_value(source, what)
        pairs[key] = int(value) if what == "number" else value
    listed = [f"{key} {value}" for key, value in pairs.items()]
    text = listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " and " + listed[-1]
    ask = source.phrase("(Give me|Write|Make|Return|I need|Please write) (a JSON object|JSON|"
                        "an object in JSON) (with|for|that has) ")
    return Item("json", [user(f"{ask}{text}."), assistant(json.dumps(pairs))],
                check={"json": pairs},
                hint=f"The fields are {', '.join(pairs)}.")
