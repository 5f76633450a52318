#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/compare with engines made of scripts, whose speeds are known."""
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

OURS = """
speeds = {"prefill": 100 + 100 * turn, "decode": 50}
told = {kind: {"tokens_per_second": value} for kind, value in speeds.items()}
told["prefill"]["arithmetic"] = "int8"
told["decode"]["moved_bytes_per_token"] = 500_000_000 + 1000 * int(after("-d", 0))
told["operations_per_prompt_token"] = 1_000_000_000
if "--no-limits" not in sys.argv:
    told["limits"] = {"read_gigabytes_per_second": 50.0, "int8_gigaops_per_second": 1000.0}
print(json.dumps(told))
"""
PEER = """
if "--help" in sys.argv:
    sys.exit(print("  -gp <pp,tg>   (default: )"))
speed = 50 + 100 * turn if int(after("-p", 0)) else 40 if "-gp" not in sys.argv else 20
print("a line of the loader")
print(json.dumps([{"avg_ts": speed}], indent=1))
"""
HEAD = """#!{python}
import json, os, sys
def after(name, otherwise):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else otherwise
log = {log!r}
turn = sum(line.startswith({name!r}) for line in open(log)) % 2 if os.path.exists(log) else 0
if "--help" not in sys.argv:
    open(log, "a").write(" ".join([{name!r}, *sys.argv[1:]]) + "\\n")
"""


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.log, self.model = self.path("log"), self.path("some.gguf")
        with open(self.model, "wb") as file:
            file.write(bytes(100))
        self.ours, self.peer = self.program("ours", OURS), self.program("peer", PEER)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def program(self, name, body):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(HEAD.format(python=sys.executable, log=self.log, name=name) + body)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def run_it(self, *arguments):
        return subprocess.run([os.path.join(ROOT, "bench", "compare"), *arguments], capture_output=True,
                              text=True, timeout=60)

    def done(self, *arguments):
        result = self.run_it(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def fails(self, *arguments, status=1):
        result = self.run_it(*arguments)
        self.assertEqual((result.returncode, result.stdout), (status, ""))
        self.assertTrue(result.stderr.splitlines()[-1].startswith("bench/compare: "), result.stderr)
        return result.stderr

    def compare(self, *more):
        return self.done(self.model, "--edgewise", self.ours, "--peer", "other=" + self.peer, "-p", "64", "-d", "0,128",
                         "-n", "8", "-r", "2", "-t", "1", *more)

    def test_figures(self):
        self.compare("--json", self.path("figures.json"))
        with open(self.path("figures.json"), encoding="utf-8") as file:
            told = json.load(file)
        self.assertEqual(told["engines"], ["edgewise", "other"])
        self.assertEqual(told["limits"], {"read": 50.0, "int8": 1000.0})
        prefill, shallow, deep = told["cells"]
        self.assertEqual(prefill["speeds"], {"edgewise": [100, 200], "other": [50, 150]})
        self.assertEqual(shallow["speeds"], {"edgewise": [50, 50], "other": [40, 40]})
        self.assertEqual(deep["speeds"], {"edgewise": [50, 50], "other": [20, 20]})
        self.assertEqual((shallow["bytes"], deep["bytes"]), (500_000_000, 500_128_000))

    def test_engines_take_turns(self):
        self.compare()
        with open(self.log, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["ours", "peer"] * 6)
        self.assertEqual(sum("--no-limits" not in line for line in lines if line.startswith("ours")), 3)
        self.assertIn("-p 0 -n 0 -gp 128,8 -r 1 -t 1", lines[-1])

    def test_table(self):
        table = self.compare()
        # prefill: medians 150 and 100; ratios 2 and 1.33; 150 G of 1000 GOP/s; 0.5 GB x 50 of 50 GB/s
        self.assertRegex(table, r"some +prefill 64 +150\.0 \(100\.0 to 200\) +15% +100\.0 \(50\.0 to 150\.0\) +10% "
                                r"+1\.67 \(1\.33 to 2\.00\)\n")
        self.assertRegex(table, r"some +decode at 0 +50\.0 .* 50% +40\.0 .* 40% +1\.25 ")
        self.assertIn("Limits, as measured in between: memory 50.0 GB/s, int8 1000 GOP/s.", table)

    def test_from_file(self):
        first = self.compare("--json", self.path("figures.json"), "--markdown")
        self.assertEqual(self.done("--from", self.path("figures.json"), "--markdown"), first)
        self.assertIn("| some | decode at 128 | 50.0 (50.0 to 50.0) | 50% | 20.0 ", first)

    def test_chart(self):
        self.compare("--svg", self.path("chart.svg"))
        words = [element.text for element in xml.parse(self.path("chart.svg")).iter() if element.text]
        self.assertIn("20.0 \u00b7 ours 2.50x", words)
        self.assertIn("decode at 128", words)

    def test_arguments_reach_the_engines(self):
        self.done(self.model, "--edgewise", self.ours, "--edgewise-args=--kv f32", "--peer", f"{self.peer} -fa 1",
                  "-p", "5", "-d", "", "-r", "1", "-t", "3", "--wrap", "env")
        with open(self.log, encoding="utf-8") as file:
            ours, peer = file.read().splitlines()
        self.assertIn("-t 3 --json --kv f32", ours)
        self.assertIn("-t 3 -o json -fa 1", peer)

    def test_plain_sentences(self):
        self.assertIn("gone.gguf is not a file", self.fails(self.path("gone.gguf")))
        self.assertIn("is not a program", self.fails(self.model, "--peer", self.path("no-such")))
        self.assertIn("cannot be started", self.fails(self.model, "--edgewise", self.path("no-such")))
        broken = self.program("broken", "sys.exit('broken: out of luck')")
        self.assertIn("edgewise ended with status 1: broken: out of luck", self.fails(self.model, "--edgewise", broken))
        silent = self.program("silent", "print('{not json')")
        self.assertIn("printed no JSON", self.fails(self.model, "--edgewise", silent))
        still = self.program("still", "print('{}')")
        self.assertIn("edgewise gave no speed", self.fails(self.model, "--edgewise", still))
        plain = self.program("plain", "print('[{\"avg_ts\": 1}]' if '--help' not in sys.argv else 'no such thing')")
        self.assertIn("no option for decoding at a depth",
                      self.fails(self.model, "--edgewise", self.ours, "--peer", plain, "-p", "", "-d", "7"))
        self.assertIn("holds no figures", self.fails("--from", self.model))

    def test_usage(self):
        for arguments in ((), (self.model, "-p", "x"), (self.model, "-r", "0"), (self.model, "-p", "", "-d", ""),
                          (self.model, "--peer", self.peer, "--peer", self.peer)):
            result = self.run_it(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)


if __name__ == "__main__":
    unittest.main()
