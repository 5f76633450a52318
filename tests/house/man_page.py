#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""man_page.py EDGEWISE MAN: the manual page describes every command and option that the program's
own help lists, and none that it does not."""
import re
import subprocess
import sys


def from_page(path):
    """command -> names of its long options, from the .It lines below each '.Ss command'."""
    with open(path, encoding="utf-8") as file:
        sections = re.split(r"^\.Ss ", file.read().split("\n.Sh ENVIRONMENT")[0], flags=re.MULTILINE)
    return {section.split("\n", 1)[0]: set(re.findall(r"^\.It (?:.*? )??Fl -([a-z][a-z0-9-]*)", section,
                                                      re.MULTILINE))
            for section in sections[1:]}


def help_of(program, *words):
    return subprocess.run([program, "help", *words], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def from_program(program):
    listed = help_of(program).split("Commands:")[1].split("Options:")[0]
    commands = [name for name in re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE) if name != "help"]
    return {name: set(re.findall(r"^  (?:-\S,|   ) --([a-z][a-z0-9-]*)",
                                 help_of(program, name).split("Options:")[1], re.MULTILINE)) - {"help"}
            for name in commands}


def main(program, path):
    said, done = from_page(path), from_program(program)
    problems = [f"{name}: not in the manual page" for name in sorted(done.keys() - said.keys())]
    problems += [f"{name}: not a command of the program" for name in sorted(said.keys() - done.keys())]
    for name in sorted(said.keys() & done.keys()):
        problems += [f"{name} --{o}: not in the manual page" for o in sorted(done[name] - said[name])]
        problems += [f"{name} --{o}: not an option of the program" for o in sorted(said[name] - done[name])]
    if not done or not any(done.values()):
        problems.append("the program's help lists no command with options")
    print("\n".join(problems) if problems else f"{len(done)} commands are described")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
