#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""exported_symbols.py LIBRARY: the shared library shows exactly what the public headers declare with
EW_API, every name ew_[a-z]..., and nothing else."""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tools"))
import csource  # noqa: E402

DECLARATION = re.compile(r"\bEW_API\b[^;{}()]*?\b(\w+)\s*(?:\(|;|\[)")


def declared():
    names = set()
    for path in csource.c_files(ROOT, folders=("include",)):
        text = csource.without_comments(csource.read(ROOT, path))
        text = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", "", text, flags=re.MULTILINE)
        names.update(DECLARATION.findall(text))
    return names


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    return {line.split()[-1].split("@")[0] for line in output.splitlines() if line.strip()}


def main(library):
    inside, outside = exported(library), declared()
    problems = [f"exported, but not a public name: {name}" for name in sorted(inside)
                if not re.match(r"ew_[a-z]", name)]
    problems += [f"exported, but in no public header: {name}" for name in sorted(inside - outside)]
    problems += [f"in a public header, but not exported: {name}" for name in sorted(outside - inside)]
    if not inside or not outside:
        problems.append("nothing to compare")
    print("\n".join(problems) if problems else f"{len(inside)} symbols, all of them public")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
