# SPDX-License-Identifier: Apache-2.0
"""Files of named arrays: 8 bytes of header length, a JSON header, the bytes."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np

DTYPES = {"F32": np.dtype("<f4"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8"),
          "U8": np.dtype("u1"), "BF16": np.dtype("<u2")}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """All arrays; BF16 widened to float32."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + length])
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        array = np.frombuffer(raw[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = array
    return arrays


def to_bf16(array: np.ndarray) -> np.ndarray:
    """float32 -> the upper halves, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path: Path, arrays: dict[str, np.ndarray], bf16: set[str]) -> None:
    """Writes float32 arrays; those named in `bf16` as BF16."""
    header: dict = {"__metadata__": {"format": "pt"}}
    parts, at = [], 0
    for name in sorted(arrays):
        array = arrays[name]
        data = (to_bf16(array) if name in bf16 else np.asarray(array, "<f4")).tobytes()
        header[name] = {"dtype": "BF16" if name in bf16 else "F32", "shape": list(array.shape),
                        "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))
