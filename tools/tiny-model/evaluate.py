#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Asks the C engine held-out questions and prints what it got right.

    evaluate.py MODEL [--mmproj FILE] [--items N] [--build DIR] [--show N]

MODEL is an exported folder or a .gguf file; the tower of the latter is --mmproj, by default
mmproj-NAME.gguf beside it.
Greedy; words, numbers and combinations of phrases are ones that training never draws. An answer
counts only when it also ends its turn.
"""
from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batches import with_pictures
from bpe import Tokenizer, read_tokenizer
from data.calls import call_item
from data.chat import render_prompt
from data.passages import object_item, passages_item
from data.pictures import counted, digits, one_shape
from data.sums import sum_item
from data.talk import recall, small_talk
from data.words import Item, Source
from gguf_tokenizer import tokenizer_of_gguf

ROOT = Path(__file__).resolve().parents[2]
SEED = 4242
MOST = 160  # tokens of an answer


@dataclass
class Row:
    """A line of the table."""

    name: str
    wanted: str
    draw: Callable[[Source], Item]
    thinking: bool = False


ROWS = [
    Row("(a) recall of facts told earlier", ">= 95 %", recall),
    Row("(b) two-step sums, thinking", ">= 90 %", lambda s: sum_item(s, True), True),
    Row("(b) the same without thinking", "below it", lambda s: sum_item(s, False)),
    Row("(c) right tool, right arguments", ">= 90 %", lambda s: call_item(s, False)),
    Row("(c) its result in the reply", "", lambda s: call_item(s, True)),
    Row("(d) answer from 5 passages, cited", ">= 90 %", lambda s: passages_item(s, True)),
    Row("(d) not in the passages", ">= 90 %", lambda s: passages_item(s, False)),
    Row("(e) pictures: colour, shape, place", ">= 90 %", one_shape),
    Row("(e) pictures: count to 5", ">= 90 %", counted),
    Row("(e) pictures: printed digits", ">= 90 %", digits),
    Row("(f) small talk that ends its turn", "", small_talk),
    Row("(g) requested JSON object", "", object_item)]


def parse_call(text: str) -> dict[str, Any] | None:
    """The only call of an answer; values as text."""
    whole = re.fullmatch(r"\s*<tool_call>\n<function=([^>\n]+)>\n(.*)</function>\n</tool_call>",
                         text, re.S)
    if not whole:
        return None
    found = re.findall(r"<parameter=([^>\n]+)>\n(.*?)\n</parameter>\n", whole[2], re.S)
    return {"name": whole[1], "arguments": dict(found)}


def right(check: dict[str, Any], text: str) -> bool:
    text = text.split("</think>")[-1].strip()
    if "exact" in check:
        return text == check["exact"]
    if "contains" in check:
        return all(word in text for word in check["contains"])
    if "call" in check:
        wanted = check["call"]
        arguments = {key: str(value) for key, value in wanted["arguments"].items()}
        return parse_call(text) == {"name": wanted["name"], "arguments": arguments}
    try:
        return json.loads(text) == check["json"]
    except ValueError:
        return False


class Engine:
    """tiny-answer, with the ids of a tokenizer."""

    def __init__(self, program: Path, model: Path, mmproj: Path | None,
                 tokenizer: Tokenizer) -> None:
        ids = tokenizer.added
        self.tokenizer = tokenizer
        self.sees = mmproj is not None or model.is_dir()
        self.command = [str(program), str(model), str(ids["<|im_end|>"]),
                        str(ids["<|image_pad|>"])] + ([str(mmproj)] if mmproj else [])

    def answer(self, items: list[Item], thinking: bool) -> list[tuple[str, bool, int, int]]:
        """Text, whether the turn ended, proposals and accepted ones of the MTP block."""
        lines, answers = [], []
        with tempfile.TemporaryDirectory() as folder:
            for i, item in enumerate(items):
                picture = "-"
                if item.pictures:
                    picture = f"{folder}/{i}.rgb"
                    Path(picture).write_bytes(item.pictures[0].tobytes())
                ids = self.tokenizer.encode(with_pictures(render_prompt(item, thinking)))
                lines.append(f"{MOST} {picture} {' '.join(map(str, ids))}\n")
            output = subprocess.run(self.command, input="".join(lines), text=True, check=True,
                                    stdout=subprocess.PIPE).stdout
        for line in output.splitlines():
            proposed, accepted, end, *made = line.split()
            text = self.tokenizer.decode([int(i) for i in made])
            answers.append((text, end == ".", int(proposed), int(accepted)))
        return answers


def evaluate(engine: Engine, count: int, show: int) -> dict[str, Any]:
    """Prints the table; gives name -> share."""
    results: dict[str, Any] = {}
    proposed = accepted = 0
    print(f"| held-out items, {count} each | wanted | measured |\n| --- | --- | --- |")
    for number, row in enumerate(ROWS):
        if row.name.startswith("(e)") and not engine.sees:
            print(f"| {row.name} | {row.wanted} | no vision tower |")
            continue
        source = Source(SEED + number, training=False)
        items = [row.draw(source) for _ in range(count)]
        answers = engine.answer(items, row.thinking)
        good = [ended and right(item.check, text)
                for item, (text, ended, _, _) in zip(items, answers)]
        proposed += sum(answer[2] for answer in answers)
        accepted += sum(answer[3] for answer in answers)
        results[row.name] = sum(good) / count
        print(f"| {row.name} | {row.wanted} | {100 * results[row.name]:.0f} % |", flush=True)
        for item, answer in list(zip(items, answers))[:show]:
            print(f"    wanted {item.check}\n    got    {answer[0]!r} {answer[1]}")
    results["mtp"] = accepted / max(proposed, 1)
    print(f"| (h) MTP proposals accepted | >= 70 % | {100 * results['mtp']:.0f} % "
          f"of {proposed} |")
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description="what the tiny model gets right")
    parser.add_argument("model", type=Path)
    parser.add_argument("--mmproj", type=Path)
    parser.add_argument("--items", type=int, default=200, help="questions of each kind")
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--show", type=int, default=0, help="print so many answers of each kind")
    arguments = parser.parse_args()
    model, mmproj = arguments.model, arguments.mmproj
    tokenizer = tokenizer_of_gguf(model) if model.is_file() else read_tokenizer(model)
    beside = model.with_name(f"mmproj-{model.name}")
    if mmproj is None and model.is_file() and beside.exists():
        mmproj = beside
    program = arguments.build / "tools/tiny-model/tiny-answer"
    if not program.exists():
        print(f"evaluate: build it first: ninja -C {arguments.build} tiny_answer", file=sys.stderr)
        return 1
    evaluate(Engine(program, model, mmproj, tokenizer), arguments.items, arguments.show)
    return 0


if __name__ == "__main__":
    sys.exit(main())
