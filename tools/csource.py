# SPDX-License-Identifier: Apache-2.0
"""The C files of the tree, and their text without comments: shared by the check-* programs."""
import os
import re

FOLDERS = ("include", "src", "apps", "bindings", "bench", "tests", "tools")
ENDINGS = (".c", ".h", ".inc")

_COMMENT_OR_LITERAL = re.compile(
    r'//(?:\\\n|[^\n])*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def c_files(root, folders=FOLDERS, endings=ENDINGS):
    """Paths relative to root, '/' between parts, in a fixed order; tests/data is not source."""
    found = []
    for folder in folders:
        for where, below, names in os.walk(os.path.join(root, folder)):
            below[:] = sorted(d for d in below if not d.startswith(".") and d not in ("data", "node_modules"))
            for name in sorted(names):
                if name.endswith(endings) and not name.startswith("."):
                    path = os.path.relpath(os.path.join(where, name), root)
                    found.append(path.replace(os.sep, "/"))
    return found


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments(text, keep_strings=False):
    """The text with comments (and the content of literals) blanked; line numbers stay true."""
    def blank(match):
        piece = match.group(0)
        if piece.startswith("/"):
            return re.sub(r"[^\n]", " ", piece)
        return piece if keep_strings else piece[0] + " " * (len(piece) - 2) + piece[-1]
    return _COMMENT_OR_LITERAL.sub(blank, text)
