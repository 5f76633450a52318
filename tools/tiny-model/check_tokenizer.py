#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whether the C engine and bpe.py give a text the same ids.

    check_tokenizer.py FOLDER [--build DIR]      FOLDER: an exported model
"""
from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bpe import read_tokenizer
from data.chat import render
from data.mix import draw
from data.words import Source

ROOT = Path(__file__).resolve().parents[2]
ODD = ["", " ", "\n", "a  b", "  \n \n x", "It's 12½ o'clock, WE'LL see", "naïve façade über Ⅷ",
       "e\u0301 and \u0915\u094d\u0937", "日本語かな 한국어", "\u00a0x\u3000y\u200bz", "a\tb\r\nc\r\r\n",
       "<|im_end|><|im_start|>x<think>\n\n</think>", "<|im_en", "!?...\n\n\n", "🙂👨‍👩‍👧 emoji",
       "don'T 'S 'x", "x" * 300, "\u0000\u0001\u001f", "tab\t\tend  "]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    arguments = parser.parse_args()
    tokenizer = read_tokenizer(arguments.folder)
    source = Source(99, training=False)
    texts = ODD + [render(draw(source, 1.0)) for _ in range(200)]
    texts.append("".join(texts))
    wrong = 0
    for text in texts:
        command = [str(arguments.build / "edgewise"), "tokenize", str(arguments.folder), "--ids"]
        output = subprocess.run(command, input=text.encode(), check=True,
                                stdout=subprocess.PIPE).stdout
        if [int(word) for word in output.split()] != tokenizer.encode(text):
            wrong += 1
            print(f"differs: {text[:80]!r}")
    print(f"{len(texts) - wrong} of {len(texts)} texts have the same ids")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
