# SPDX-License-Identifier: Apache-2.0
"""Answers from the right one of five passages with its number, and absent answers; JSON objects."""
from __future__ import annotations

import json
from typing import Any

from data.words import ANIMALS, COLOURS, FOODS, Item, Source, assistant, user

# How the sentence begins, ways to ask for its end, what that is; {e} is the entity, {k} the word
# chosen from the group. The value stands last and the answer says the sentence again, so that what
# follows "of Waza is" there is what follows it here: that a small model learns soon.
RELATIONS: list[tuple[str, str, str]] = [
    ("The (king|ruler|head) of {e} is", "(Who is|Who's|Tell me who is) the {k} of {e}", "name"),
    ("The (river|lake|hill) of {e} is called",
     "(What is|What's|Tell me) the name of the {k} of {e}", "name"),
    ("The people of {e} (eat|like|sell|make)", "What do the people of {e} {k}", "food"),
    ("The (flag|door|tower|bridge) of {e} is", "(What|Which) colour is the {k} of {e}", "colour"),
    ("The number of (houses|boats|trees|shops|birds) in {e} is",
     "How many {k} (are there|are) in {e}", "number"),
    ("{e} was (built|founded|burned) in the year", "In which year was {e} {k}", "year"),
    ("The (pet|guard|friend) of {e} is a", "Which animal is the {k} of {e}", "animal"),
]
ABSENT = "... that is not in the passages."


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
    """How a sentence about the entity begins, a question for its end, that end."""
    statement, question, what = source.pick(RELATIONS)
    before, choices, after = _split_group(statement)
    keyword = source.pick(choices)
    subject = (before + keyword + after).format(e=entity)
    return subject, source.phrase(question).format(e=entity, k=keyword), draw_value(source, what)


def _split_group(pattern: str) -> tuple[str, list[str], str]:
    before, rest = pattern.split("(", 1)
    inside, after = rest.split(")", 1)
    return before, inside.split("|"), after


def passages_item(source: Source, present: bool | None = None, count: int = 5) -> Item:
    entities = source.distinct(count + 1, lambda: source.made_up().capitalize())
    facts = [fact(source, entity) for entity in entities]
    shown = facts[:count]
    lines = "\n".join(f"{subject} {value} [{i + 1}]."
                      for i, (subject, _, value) in enumerate(shown))
    present = source.chance(0.75) if present is None else present
    which = source.number(0, count - 1)
    if present:
        subject, question, value = shown[which]
        answer = f"{subject} {value} [{which + 1}]."
    else:
        subject, question, _ = facts[count]
        if source.chance(0.5):  # a known entity, asked for something that is not told
            swapped = subject.replace(entities[count], entities[which])
            if swapped not in [told for told, _, _ in shown]:
                subject = swapped
                question = question.replace(entities[count], entities[which])
        answer = subject + ABSENT
    ask = source.phrase("(Answer from the passages|Use the passages|Read the passages)"
                        "(:|.| below.)\n")
    return Item("passages" if present else "absent",
                [user(f"{ask}{lines}\n{question}?"), assistant(answer)],
                check={"exact": answer},
                hint=f"I look for: {subject}.")


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
