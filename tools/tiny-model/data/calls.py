# SPDX-License-Identifier: Apache-2.0
"""Choosing one of several offered tools with the right arguments, then using its result."""
from __future__ import annotations

import json
from typing import Any

from data.words import Item, Source, assistant, user

# verb of the tool's name, ways to ask; {t} is what the tool deals in, {a} and {b} its arguments
VERBS: list[tuple[str, str, str]] = [
    ("get", "(Get|Please get|Give me|I need|I want|Show me) the {t} (of|for) {a}",
     "(What is|What's) the {t} of {a}"),
    ("find", "(Find|Please find|Look for|Search for|Can you find) the {t} (of|for) {a}",
     "(Where is|Can you find) the {t} of {a}"),
    ("count", "(Count|Please count|I want to count|Can you count) the {t} (of|for) {a}",
     "(How much|How many) {t} does {a} have"),
    ("check", "(Check|Please check|Look at|Test|Can you check) the {t} (of|for) {a}",
     "(How is|Is there) the {t} of {a}"),
    ("send", "(Send|Please send|I want to send|Can you send) the {t} (to|over to) {a}",
     "(Will you send|Can you send) the {t} to {a}"),
    ("book", "(Book|Please book|I want to book|Can you book) the {t} (for|in) {a}",
     "(Will you book|Can you book) the {t} for {a}"),
]
KEYS = ["city", "name", "place", "person", "item", "key", "topic", "target"]
EXTRA = ["size", "count", "day", "level", "limit", "page"]
REAL = ["weather", "time", "price", "news", "ticket", "song", "mail", "room", "train", "map"]


PREPOSITIONS = {"send": "to", "book": "for"}  # in descriptions; the others deal with "of"


def make_tool(source: Source, verb: str, noun: str) -> dict[str, Any]:
    """A function schema with a text parameter and, at times, a number; its description tells both,
    as that of a well-written tool does."""
    key = source.pick(KEYS) if source.chance(0.85) else source.made_up()
    properties: dict[str, Any] = {key: {"type": "string"}}
    description = f"{verb.capitalize()} the {noun} {PREPOSITIONS.get(verb, 'of')} {key}"
    if source.chance(0.4):
        extra = source.pick(EXTRA) if source.chance(0.85) else source.made_up()
        if extra != key:
            properties[extra] = {"type": "integer"}
            description += f" with {extra}"
    return {"type": "function", "function": {
        "name": f"{verb}_{noun}", "description": description,
        "parameters": {"type": "object", "properties": properties,
                       "required": list(properties)}}}


def noun_of(source: Source) -> str:
    return source.pick(REAL) if source.training and source.chance(0.25) else source.made_up()


def call_item(source: Source, follow: bool | None = None) -> Item:
    """The call, or with `follow` the call, its result and the reply."""
    count = source.number(2, 3)
    verbs = [source.pick(VERBS) for _ in range(count)]
    nouns = source.distinct(count, lambda: noun_of(source))
    tools = [make_tool(source, verb[0], noun) for verb, noun in zip(verbs, nouns)]
    chosen = source.number(0, count - 1)
    function, noun, verb = tools[chosen]["function"], nouns[chosen], verbs[chosen]
    arguments: dict[str, Any] = {}
    pattern, end = (verb[1], ".") if source.chance(0.7) else (verb[2], "?")
    subject = source.name()
    text = source.phrase(pattern).format(t=noun, a=subject)
    for key, schema in function["parameters"]["properties"].items():
        arguments[key] = subject if schema["type"] == "string" else source.number(1, 99)
        if schema["type"] == "integer":
            text += source.phrase(f"( with|, with|, using) {key} {arguments[key]}")
    called = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
    message = {"role": "assistant", "content": "", "tool_calls": [called]}
    messages = [user(text + end), message]
    if not (source.chance(0.6) if follow is None else follow):
        return Item("call", messages, tools, check={"call": called["function"]},
                    hint=f"The right tool is {function['name']}.")
    result = source.made_up() if source.chance(0.5) else str(source.number(1, 999))
    form = source.pick([json.dumps({noun: result}), f"{noun}: {result}", result])
    answer = f"The {noun} of {subject} is {result}."
    messages += [{"role": "tool", "content": form}, assistant(answer)]
    return Item("result", messages, tools, check={"exact": answer},
                hint=f"The result is {result}.")
