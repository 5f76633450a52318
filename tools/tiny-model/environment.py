# SPDX-License-Identifier: Apache-2.0
"""Settings that OpenBLAS and the C library read only when a process starts.

Debian 12's OpenBLAS takes processors newer than itself for the oldest kind (SSE2), and has threads of
its own whatever torch is told; the C library gives large blocks back to the kernel at each free.
Measured on a two-core Sapphire Rapids, tokens trained in a second: 1,570 without, 3,100 with.
"""
from __future__ import annotations

import os
import sys
from pathlib import Path

MARK = "EW_TINY_MODEL_TUNED"


def core_type() -> str | None:
    """The kernels of OpenBLAS for this processor, where its own choice may be a poor one."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    except (OSError, IndexError):
        return None
    if "avx512bw" in flags and "avx512vl" in flags:
        return "SKYLAKEX"
    return "HASWELL" if "avx2" in flags and "fma" in flags else None


def restart_tuned(threads: int) -> None:
    """Starts the program again with the settings, once; those already set stay."""
    if MARK in os.environ:
        return
    settings = {MARK: "1", "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads),
                "MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000",
                "MALLOC_TOP_PAD_": "268435456"}
    core = core_type()
    if core is not None:
        settings["OPENBLAS_CORETYPE"] = core
    os.execve(sys.executable, [sys.executable, *sys.argv], {**settings, **os.environ})
