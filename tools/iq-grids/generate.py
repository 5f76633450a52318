#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/quant/iq_grids.c from a JSON file of the lattices.

usage: generate.py GRIDS.json > src/quant/iq_grids.c   (then clang-format)

The JSON holds {"tables": {name: {"levels": [...], "grid": ["02100...", ...]}}}: one string of digits
per lattice point, digit k meaning magnitude levels[k], first digit = first element. Its source is
ggml-common.h of ggml-org/ggml at d99724f: read the tables iq2xxs_grid, iq2xs_grid, iq2s_grid (bytes
of a u64, lowest first) and iq3xxs_grid, iq3s_grid (bytes of a u32) and number the levels.
"""
import json
import sys

HEAD = """// SPDX-License-Identifier: Apache-2.0
/* The lattices of the IQ2 and IQ3 types: constants of the file format, from ggml-common.h of
 * ggml-org/ggml at d99724f (MIT). Written by tools/iq-grids/generate.py.
 *
 * A point is written as octal digits, one per element, first element first; the macros turn digit k
 * into magnitude number k of the lattice at compile time. */
#include "quant/blocks.h"

/* Digit of element i of n, counted from the left. */
#define DIGIT(point, i, n) ((point) >> (3 * ((n) - 1 - (i))) & 7)

/* Magnitudes 8, 25, 43 */
#define LEVEL_IQ2(point, i) ((uint8_t)(8 + 17 * DIGIT(point, i, 8) + DIGIT(point, i, 8) / 2))
/* Magnitudes 4, 12, 20, 28, 36, 44, 52, 62 */
#define LEVEL_IQ3_XXS(point, i) ((uint8_t)(4 + 8 * DIGIT(point, i, 4) + DIGIT(point, i, 4) / 7 * 2))
/* Magnitudes 1, 3, 5, ..., 15 */
#define LEVEL_IQ3_S(point, i) ((uint8_t)(1 + 2 * DIGIT(point, i, 4)))

#define POINT_8(level, p)                                                                          \\
    {level(p, 0), level(p, 1), level(p, 2), level(p, 3), level(p, 4), level(p, 5), level(p, 6),    \\
     level(p, 7)}
#define POINT_4(level, p)                                                                          \\
    { level(p, 0), level(p, 1), level(p, 2), level(p, 3) }

#define A(digits) POINT_8(LEVEL_IQ2, 0##digits)
#define B(digits) POINT_4(LEVEL_IQ3_XXS, 0##digits)
#define C(digits) POINT_4(LEVEL_IQ3_S, 0##digits)
"""

TABLES = [  # name, macro, elements, the levels that the macro reproduces
    ("iq2xxs_grid", "A", 8, [8, 25, 43]),
    ("iq2xs_grid", "A", 8, [8, 25, 43]),
    ("iq2s_grid", "A", 8, [8, 25, 43]),
    ("iq3xxs_grid", "B", 4, [4, 12, 20, 28, 36, 44, 52, 62]),
    ("iq3s_grid", "C", 4, [1, 3, 5, 7, 9, 11, 13, 15]),
]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        tables = json.load(file)["tables"]
    print(HEAD)
    print("// clang-format off")
    for name, macro, elements, levels in TABLES:
        table = tables[name]
        points = table["grid"]
        if table["levels"] != levels or any(len(p) != elements for p in points):
            sys.exit(f"{name}: unexpected levels or length")
        print(f"const uint8_t ew__{name}[{len(points)}][{elements}] = {{")
        cells = [f"{macro}({p})," for p in points]
        per_line = 96 // (len(cells[0]) + 1)
        for i in range(0, len(cells), per_line):
            print("    " + " ".join(cells[i : i + per_line]))
        print("};\n")
    print("// clang-format on")


if __name__ == "__main__":
    main()
