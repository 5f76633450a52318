# SPDX-License-Identifier: Apache-2.0
"""One measurement of one engine at a time, each in a fresh process: edgewise, any program that takes the
options of llama-bench, and llama.cpp through npm's node-llama-cpp."""
import collections
import json
import os
import shlex
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))

# kind: "prefill" (size tokens into an empty context) or "decode" (size tokens after `depth` others)
Test = collections.namedtuple("Test", "kind size depth")


class EngineError(Exception):
    """One sentence for the user."""


class Runner:
    """Starts programs under an optional prefix such as 'taskset -c 0,1'."""

    def __init__(self, wrap, timeout):
        self.prefix, self.timeout = shlex.split(wrap), timeout

    def output(self, name, command):
        try:
            done = subprocess.run(self.prefix + command, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, errors="replace", timeout=self.timeout)
        except OSError as error:
            raise EngineError(f"{name} cannot be started: {error}") from None
        except subprocess.TimeoutExpired:
            raise EngineError(f"{name} took longer than {self.timeout} s: {shlex.join(command)}") from None
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
            raise EngineError(f"{name} ended with status {done.returncode}: {last}")
        return done.stdout

    def json(self, name, command, opening):
        """The JSON value that begins at the first line that starts with `opening`."""
        text = self.output(name, command)
        at = 0 if text.startswith(opening) else text.find("\n" + opening) + 1
        try:
            return json.JSONDecoder().raw_decode(text, at)[0]
        except ValueError:
            raise EngineError(f"{name} printed no JSON: {shlex.join(command)}") from None


def positive(name, value):
    if not isinstance(value, (int, float)) or not value > 0:
        raise EngineError(f"{name} gave no speed")
    return float(value)


class Edgewise:
    """Ours. `told` keeps the last answer, which has the bytes and operations of a token, and the limits."""

    def __init__(self, runner, path, arguments):
        self.runner, self.name, self.path, self.arguments, self.told = runner, "edgewise", path, arguments, {}

    def speed(self, model, test, threads, limits):
        part = ["-p", str(test.size), "-n", "0"] if test.kind == "prefill" else \
               ["-p", "0", "-n", str(test.size), "-d", str(test.depth)]
        command = [self.path, "bench", model, *part, "-r", "1", "-t", str(threads), "--json", *self.arguments]
        self.told = self.runner.json(self.name, command + ([] if limits else ["--no-limits"]), "{")
        return positive(self.name, self.told.get(test.kind, {}).get("tokens_per_second"))


class LlamaBench:
    """A program with llama-bench's options; a depth is -d in llama.cpp's, -gp in ik_llama.cpp's."""

    def __init__(self, runner, name, path, arguments):
        self.runner, self.name, self.path, self.arguments = runner, name, path, arguments
        self.help = None

    def depth_option(self, depth, n):
        if depth == 0:
            return ["-p", "0", "-n", str(n)]
        if self.help is None:
            self.help = self.runner.output(self.name, [self.path, "--help"])
        if "--n-depth" in self.help:
            return ["-p", "0", "-n", str(n), "-d", str(depth)]
        if "-gp <" in self.help:
            return ["-p", "0", "-n", "0", "-gp", f"{depth},{n}"]
        raise EngineError(f"{self.name} has no option for decoding at a depth (-d or -gp)")

    def speed(self, model, test, threads, limits):
        del limits
        part = ["-p", str(test.size), "-n", "0"] if test.kind == "prefill" else \
            self.depth_option(test.depth, test.size)
        command = [self.path, "-m", model, *part, "-r", "1", "-t", str(threads), "-o", "json", *self.arguments]
        rows = self.runner.json(self.name, command, "[")
        if not isinstance(rows, list) or len(rows) != 1:
            raise EngineError(f"{self.name} measured {len(rows)} things instead of one")
        return positive(self.name, rows[0].get("avg_ts"))


class NodePeer:
    """llama.cpp behind the Node binding, by bench/node-peer.mjs."""

    def __init__(self, runner, folder):
        self.runner, self.folder, self.name = runner, folder, "llama.cpp (Node)"

    def speed(self, model, test, threads, limits):
        del limits
        numbers = [test.size, 0, 0] if test.kind == "prefill" else [0, test.size, test.depth]
        command = ["node", os.path.join(HERE, "node-peer.mjs"), self.folder, model, str(threads),
                   *map(str, numbers)]
        return positive(self.name, self.runner.json(self.name, command, "{").get(test.kind))


def parse_peer(runner, text):
    """'[NAME=]PATH [ARGUMENTS]' -> LlamaBench"""
    words = shlex.split(text)
    if not words:
        raise EngineError("--peer wants the path of a program")
    name, equals, path = words[0].partition("=")
    if not equals:
        name, path = os.path.basename(words[0]), words[0]
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        raise EngineError(f"--peer: {path} is not a program")
    return LlamaBench(runner, name, path, words[1:])
