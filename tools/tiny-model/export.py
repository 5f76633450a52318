#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a run's last checkpoint as a Hugging Face folder.

    export.py RUN FOLDER
"""
from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch

from bpe import read_tokenizer
from config import document_of
from data.chat import TEMPLATE
from data.pictures import SIDE
from safetensors_file import write_safetensors
from train import PRESETS, make_config

FLOAT32 = ("A_log", "linear_attn.norm.weight")  # as in the published checkpoints


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def export(run: Path, folder: Path) -> None:
    state = torch.load(run / "checkpoint.pt", map_location="cpu")
    weights = {name: value.float().numpy() for name, value in state["model"].items()}
    hidden = weights["model.language_model.norm.weight"].shape[0]
    preset = next(preset for preset in PRESETS.values() if preset.hidden == hidden)
    tokenizer = read_tokenizer(run)
    config = make_config(preset, tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    rounded = {name for name in weights if not name.endswith(FLOAT32)}
    write_safetensors(folder / "model.safetensors", weights, rounded)
    write_json(folder / "config.json", document_of(config, "bfloat16"))
    end, pad = tokenizer.added["<|im_end|>"], tokenizer.added["<|endoftext|>"]
    write_json(folder / "generation_config.json", {
        "do_sample": False, "eos_token_id": [end, pad], "pad_token_id": pad})
    # Pictures are brought to about the size that the tower was trained on.
    write_json(folder / "preprocessor_config.json", {
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "merge_size": 2, "patch_size": 16,
        "temporal_patch_size": 2, "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen3VLProcessor",
        "size": {"longest_edge": SIDE * SIDE, "shortest_edge": SIDE * SIDE}})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(run / name, folder / name)
    shutil.copyfile(TEMPLATE, folder / "chat_template.jinja")


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    export(Path(sys.argv[1]), Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
