# SPDX-License-Identifier: Apache-2.0
"""Conversations -> text through the family's own template, and where the model answers in it."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2

from data.words import Item

TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def _to_json(value: Any, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _raise(message: str) -> None:
    raise ValueError(message)


def load_template() -> jinja2.Template:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    return environment.from_string(TEMPLATE.read_text())


_TEMPLATE = load_template()


def render(item: Item) -> str:
    """The whole conversation, for training."""
    return _TEMPLATE.render(messages=item.messages, tools=item.tools)


def render_prompt(item: Item, thinking: bool | None = None) -> str:
    """Everything before the last answer, ready for it."""
    return _TEMPLATE.render(messages=item.messages[:-1], tools=item.tools,
                            add_generation_prompt=True,
                            enable_thinking=item.thinking if thinking is None else thinking)
