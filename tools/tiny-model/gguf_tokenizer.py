# SPDX-License-Identifier: Apache-2.0
"""The tokenizer inside a GGUF file, so that a shipped model can be asked without its folder."""
from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from bpe import ADDED, Tokenizer

# GGUF value types: struct code by number; 8 is text, 9 an array.
CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def number(file: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]


def value(file: BinaryIO, kind: int) -> Any:
    if kind == 8:
        return file.read(number(file, "Q")).decode()
    if kind == 9:
        inner, count = number(file, "I"), number(file, "Q")
        return [value(file, inner) for _ in range(count)]
    return number(file, CODES[kind])


def read_metadata(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path} is not a GGUF file")
        number(file, "I"), number(file, "Q")  # version, tensors
        count = number(file, "Q")
        return {value(file, 8): value(file, number(file, "I")) for _ in range(count)}


def tokenizer_of_gguf(path: Path) -> Tokenizer:
    """Refuses a file whose tokens are not those that its merges make."""
    metadata = read_metadata(path)
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(merges)
    expected = tokenizer.base + [text for text, _ in ADDED]
    if metadata["tokenizer.ggml.tokens"][:len(expected)] != expected:
        raise ValueError(f"{path} has another vocabulary than bpe.py would give it")
    return tokenizer
