#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares this PyTorch model with the reference data in tests/data/goldens.

Written apart from the C engine, it is a second witness for both. Prints the largest difference of
every kind of number beside the tolerance of tests/data/goldens (its README names the source).
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from model import Qwen35, load_folder, mixed_positions, text_positions
from safetensors_file import read_safetensors
from vision import cut_patches, patch_places, scaled

GOLDENS = Path(__file__).resolve().parents[2] / "tests/data/goldens"
TOLERANCES = {"logits": 5e-4, "inner": 3e-4, "state": 3e-4, "vision": 2e-5, "pixels": 1e-6,
              "l2": 3e-3, "sum": 2e-2, "logprob": 1e-3, "exact": 0.0}


class Report:
    def __init__(self, name: str) -> None:
        self.name = name
        self.worst: dict[str, float] = {}

    def compare(self, kind: str, mine: torch.Tensor | np.ndarray, wanted: np.ndarray) -> None:
        mine = np.asarray(mine.detach() if isinstance(mine, torch.Tensor) else mine, np.float64)
        difference = float(np.abs(mine.reshape(wanted.shape) - wanted).max())
        self.worst[kind] = float(np.maximum(self.worst.get(kind, 0.0), difference))  # keeps NaN

    def passed(self) -> bool:
        good = all(value <= TOLERANCES[kind] for kind, value in self.worst.items())
        line = ", ".join(f"{kind} {value:.1e} (<= {TOLERANCES[kind]:.0e})"
                         for kind, value in self.worst.items())
        print(f"{'ok  ' if good else 'FAIL'} {self.name}: {line}")
        return good


def greedy(model: Qwen35, ids: np.ndarray, count: int) -> np.ndarray:
    row = list(ids)
    for _ in range(count):
        x = model.embed(torch.tensor([row], dtype=torch.long))
        hidden = model.hidden(x, text_positions(1, len(row)))
        row.append(int(model.logits(hidden[:, -1]).argmax()))
    return np.array(row[len(ids):])


def check_text_case(model: Qwen35, golden: dict[str, np.ndarray], name: str,
                    report: Report) -> None:
    ids = golden[f"{name}/input_ids"]
    layers: list[torch.Tensor] = []
    traces: dict[int, dict[str, torch.Tensor]] = {}
    x = model.embed(torch.from_numpy(ids.astype(np.int64))[None])
    hidden = model.hidden(x, text_positions(1, len(ids)), layers, traces)
    logits = model.logits(hidden)[0]
    whole = f"{name}/logits" in golden
    report.compare("logits", logits if whole else logits[-8:],
                   golden[f"{name}/logits" if whole else f"{name}/logits_last8"])
    report.compare("l2", logits.double().norm(dim=-1), golden[f"{name}/logits_l2"])
    report.compare("sum", logits.double().sum(-1), golden[f"{name}/logits_sum"])
    if len(ids) > 1:
        chosen = logits.log_softmax(-1)[torch.arange(len(ids) - 1), ids[1:].astype(np.int64)]
        report.compare("logprob", chosen, golden[f"{name}/logprob_next"])
    if f"{name}/hidden" in golden:
        report.compare("inner", torch.cat(layers), golden[f"{name}/hidden"])
        report.compare("inner", hidden[0], golden[f"{name}/final_norm"])
    for key, wanted in golden.items():
        if key.startswith(f"{name}/internals/lin/") and key.split("/")[-1] in traces[0]:
            report.compare("inner", traces[0][key.split("/")[-1]][0], wanted)
        if key.startswith(f"{name}/internals/full/") and key.split("/")[-1] in traces[3]:
            report.compare("inner", traces[3][key.split("/")[-1]][0], wanted)
        if key.startswith(f"{name}/state/"):
            check_state(traces, key, wanted, report)
    report.compare("exact", greedy(model, ids, 32), golden[f"{name}/greedy_ids"])


def check_state(traces: dict[int, dict[str, torch.Tensor]], key: str, wanted: np.ndarray,
                report: Report) -> None:
    layer, what = key.split("/")[-2:]
    trace = traces[int(layer.removeprefix("layer"))]
    if what == "conv_state":
        report.compare("state", trace["in_proj_qkv"][0, -4:].T, wanted)
    else:
        mine = trace[{"k_cache": "k_rope"}.get(what, what)][0]
        report.compare("state", mine, wanted)


def check_text(folder: str) -> bool:
    model = load_folder(GOLDENS / folder)
    golden = read_safetensors(GOLDENS / folder / "goldens.safetensors")
    report = Report(folder)
    for case in json.loads((GOLDENS / folder / "goldens.json").read_text())["cases"]:
        check_text_case(model, golden, case["name"], report)
    return report.passed()


def check_mtp() -> bool:
    model = load_folder(GOLDENS / "tiny-mtp")
    golden = read_safetensors(GOLDENS / "tiny-mtp/goldens.safetensors")
    report = Report("tiny-mtp")
    for case in json.loads((GOLDENS / "tiny-mtp/goldens.json").read_text())["cases"]:
        name = case["name"]
        ids = torch.from_numpy(golden[f"{name}/input_ids"].astype(np.int64))[None]
        n = ids.shape[1]
        hidden = model.hidden(model.embed(ids), text_positions(1, n))
        report.compare("inner", hidden[0], golden[f"{name}/main_hidden"])
        trace: dict[str, torch.Tensor] = {}
        tokens = torch.from_numpy(golden[f"{name}/mtp_input_ids"].astype(np.int64))[None]
        y = model.mtp_hidden(model.embed(tokens), hidden, text_positions(1, n), trace)
        report.compare("inner", trace["mtp_fc"][0], golden[f"{name}/mtp_fc"])
        report.compare("inner", y[0], golden[f"{name}/mtp_hidden"])
        check_drafts(model, golden, name, (tokens, hidden, y), report)
    return report.passed()


def check_drafts(model: Qwen35, golden: dict[str, np.ndarray], name: str,
                 start: tuple[torch.Tensor, torch.Tensor, torch.Tensor], report: Report) -> None:
    """Each further draft feeds the block its own last state."""
    tokens, hidden, y = start
    drafts = []
    for step in range(4):
        logits = model.logits(y[:, -1])
        report.compare("logits", logits[0], golden[f"{name}/draft_logits"][step])
        report.compare("inner", y[0, -1], golden[f"{name}/draft_hidden"][step])
        drafts.append(int(logits.argmax()))
        tokens = torch.cat([tokens, torch.tensor([[drafts[-1]]])], 1)
        hidden = torch.cat([hidden, y[:, -1:]], 1)
        y = model.mtp_hidden(model.embed(tokens), hidden, text_positions(1, tokens.shape[1]))
    report.compare("exact", np.array(drafts), golden[f"{name}/draft_ids"])


def check_media(model: Qwen35, golden: dict[str, np.ndarray], name: str,
                report: Report) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    rgb = golden[f"media/{name}/rgb_u8"]
    t, h, w = (int(side) for side in golden[f"media/{name}/grid_thw"])
    patches = scaled(torch.from_numpy(cut_patches(rgb if rgb.ndim == 4 else rgb[None])))
    report.compare("pixels", patches, golden[f"media/{name}/pixel_values"])
    report.compare("exact", np.tile(patch_places(h, w), (t, 1)),
                   golden[f"media/{name}/vision/patch_position_hw"])
    trace: dict[str, torch.Tensor] = {}
    rows = model.model.visual(patches.reshape(t, h * w, 1536), (h, w), trace)
    base = f"media/{name}/vision"
    report.compare("vision", trace["patch_embed"], golden[f"{base}/patch_embed"])
    report.compare("vision", trace["pos_embed"].repeat(t, 1), golden[f"{base}/pos_embed"])
    report.compare("vision", trace["blocks"], golden[f"{base}/blocks"])
    report.compare("vision", rows, golden[f"{base}/features"])
    return rows.flatten(0, 1), [(h, w)] * t


def check_vision() -> bool:
    model = load_folder(GOLDENS / "tiny-vl")
    golden = read_safetensors(GOLDENS / "tiny-vl/goldens.safetensors")
    report = Report("tiny-vl")
    document = json.loads((GOLDENS / "tiny-vl/goldens.json").read_text())
    for case in document["cases"]:
        name = case["name"]
        media = [check_media(model, golden, which, report) for which in case["media"]]
        grids = [grid for _, part in media for grid in part]
        features = torch.cat([rows for rows, _ in media]) if media else None
        ids = golden[f"{name}/input_ids"].astype(np.int64)
        config = model.config
        positions = mixed_positions(ids, (config.image_token_id, config.video_token_id), grids)
        if f"{name}/position_ids" in golden:
            report.compare("exact", positions, golden[f"{name}/position_ids"])
        hidden = model.hidden(model.embed(torch.from_numpy(ids)[None], features),
                              torch.from_numpy(positions)[:, None])
        report.compare("logits", model.logits(hidden)[0], golden[f"{name}/logits"])
    return report.passed()


def main() -> int:
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    results = [check_text(name) for name in ("tiny-text", "tiny-text-bf16", "tiny-text-untied")]
    results += [check_mtp(), check_vision()]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
