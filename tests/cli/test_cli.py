#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The edgewise program as a user or a script meets it.

  tests/cli/test_cli.py EDGEWISE SYNTH-MODEL [unittest arguments]
"""
import filecmp
import json
import math
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

EDGEWISE = SYNTH = WORK = None
# Set where the program is so slow that the longest checks are cut to what threads can show.
THREAD_SANITIZER = "EW_TEST_THREAD_SANITIZER" in os.environ
COMMANDS = ("run", "logits", "tokenize", "inspect", "convert", "quantize", "imatrix", "perplexity", "bench",
            "selftest", "doctor")


def environment(**extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith("EDGEWISE") and k != "NO_COLOR"}
    env.update(extra)
    return env


def edgewise(*arguments, stdin=b"", env=None, timeout=300):
    return subprocess.run([EDGEWISE, *map(str, arguments)], input=stdin, capture_output=True,
                          env=env or environment(), timeout=timeout)


def path(name):
    return os.path.join(WORK, name)


def read_npy(name):
    """(shape, floats) of a float32 file of format version 1.0."""
    with open(name, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    length = struct.unpack("<H", data[8:10])[0]
    assert (10 + length) % 64 == 0
    header = data[10:10 + length].decode()
    assert header.endswith("\n") and "'descr': '<f4'" in header and "'fortran_order': False" in header
    rows, columns = map(int, re.search(r"'shape': \((\d+), (\d+)\)", header).groups())
    body = data[10 + length:]
    assert len(body) == 4 * rows * columns
    return (rows, columns), body


def interrupt(process):
    """Sends SIGINT as soon as the program catches it, so when it is computing."""
    bit = 1 << (signal.SIGINT - 1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            if int(re.search(r"SigCgt:\s*([0-9a-f]+)", file.read()).group(1), 16) & bit:
                break
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)


def on_terminal(arguments, stop_at=None, **extra):
    """Runs the program with a terminal as its three streams; (status, what it showed). Ctrl-C is
    typed once when `stop_at` has been shown."""
    pid, master = pty.fork()
    if pid == 0:
        os.execve(EDGEWISE, [EDGEWISE, *arguments], environment(TERM="xterm", **extra))
    shown, stopped, deadline = b"", False, time.monotonic() + 120
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if stop_at is not None and not stopped and stop_at in shown:
            os.write(master, b"\x03")
            stopped = True
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(master)
    return status, shown.decode(errors="replace")


class Case(unittest.TestCase):
    def done(self, *arguments, **options):
        result = edgewise(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        self.assertEqual(result.stderr, b"")
        return result.stdout

    def done_json(self, *arguments, **options):
        out = self.done(*arguments, **options)
        self.assertEqual(out.count(b"\n"), 1)
        return json.loads(out)

    def one_line(self, result, status):
        error = result.stderr.decode()
        self.assertEqual(result.returncode, status, error)
        self.assertTrue(error.startswith("edgewise: ") and error.endswith("\n"), error)
        self.assertEqual(error.count("\n"), 1, error)
        return error

    def fails(self, *arguments, **options):
        return self.one_line(edgewise(*arguments, **options), 1)

    def misused(self, *arguments):
        result = edgewise(*arguments)
        self.assertEqual(result.stdout, b"")
        return self.one_line(result, 2)


class Usage(Case):
    def test_no_command(self):
        self.assertIn("--help", self.misused())

    def test_unknown_command(self):
        self.assertIn("did you mean 'inspect'", self.misused("inpsect"))
        self.assertNotIn("did you mean", self.misused("zzzzzzzz"))
        self.misused("help", "nothing-like-it")

    def test_unknown_option(self):
        self.assertIn("did you mean --threads", self.misused("bench", "--thread", "3"))
        self.assertIn("--no-such", self.misused("doctor", "--no-such"))
        self.misused("doctor", "-z")

    def test_values(self):
        for value in ("", "-1", "+1", " 1", "1x", "0x10", "257", "99999999999999999999", "1.5"):
            self.misused("run", "m", "-p", "x", "-t", value)
            self.misused("run", "m", "-p", "x", f"--threads={value}")
        for value in ("", "x", "nan", "inf", "-0.1", "1.01", "0.5 "):
            self.misused("run", "m", "-p", "x", "--top-p", value)
        self.misused("run", "m", "-p", "x", "--kv", "f")
        self.misused("run", "m", "-p", "x", "--kv", "f16|q8_0|q4_0|f32")
        self.misused("run", "m", "-p", "x", "--raw=yes")
        self.assertIn("needs a value", self.misused("run", "m", "-p"))
        self.misused("convert", "a", "b", "--type", "q9")

    def test_operands(self):
        self.assertIn("FILE is missing", self.misused("inspect"))
        self.misused("inspect", "a", "b")
        self.misused("convert", "a")
        self.misused("quantize", "a", "b")
        self.misused("quantize", "a", "b", "Q4_0", "d")
        self.misused("doctor", "a")
        self.misused("run", "m")
        self.misused("run", "m", "-p", "a", "-f", "b")
        self.misused("logits", "m", "--tokens", "1")
        self.misused("logits", "m", "--out", "x.npy")
        self.misused("logits", "m", "--tokens", "1", "--tokens-file", "f", "--out", "x.npy")
        self.misused("tokenize", "m", "--decode", "--ids")
        self.misused("convert", "a", "b", "--mmproj", "c", "--no-mmproj")
        self.misused("selftest", "m", "--quick", "--full")
        self.misused("imatrix", "m", "text")
        self.misused("imatrix", "m", "--out", "f")
        self.misused("perplexity", "m")
        self.misused("perplexity", "m", "text", "--kl-base", "f")
        self.misused("perplexity", "m", "text", "--kl-base", "f", "--kl-save", "g")

    def test_help(self):
        overview = self.done("--help").decode()
        self.assertEqual(overview, self.done("help").decode())
        self.assertIn("Examples:", overview)
        for command in COMMANDS:
            self.assertRegex(overview, rf"(?m)^  {command} ")
            text = self.done(command, "--help").decode()
            self.assertEqual(text, self.done("help", command).decode())
            self.assertEqual(text, self.done(command, "-h").decode())
            self.assertTrue(text.startswith(f"Usage: edgewise {command} "))
            self.assertRegex(text, rf"Examples:\n  .*edgewise {command}")
            self.assertIn("-t, --threads N", text)
            self.assertNotIn("\033", text)

    def test_help_stands_to_what_it_shows(self):
        """Every option that a help text lists is known to the parser."""
        for command in COMMANDS:
            names = re.findall(r"(?m)^  (?:-.,|   ) --([a-z-]+)", self.done(command, "--help").decode())
            self.assertGreater(len(names), 2)
            for name in set(names) - {"help"}:
                error = edgewise(command, f"--{name}=", "--help").stderr.decode()
                self.assertNotIn("there is no option", error)

    def test_version(self):
        lines = self.done("--version").decode().splitlines()
        self.assertRegex(lines[0], r"^edgewise \d+\.\d+\.\d+$")
        self.assertIn("scalar", lines[2])


class Failures(Case):
    def test_missing_file(self):
        for arguments in (["run", "-p", "x"], ["bench"], ["selftest"], ["tokenize"], ["inspect"],
                          ["logits", "--tokens", "1", "--out", path("never.npy")]):
            error = self.fails(arguments[0], path("missing.gguf"), *arguments[1:])
            self.assertIn("missing.gguf", error)
        self.fails("convert", path("missing"), path("never.gguf"))
        self.assertFalse(os.path.exists(path("never.npy")) or os.path.exists(path("never.gguf")))

    def test_not_a_model(self):
        with open(path("text.gguf"), "wb") as file:
            file.write(b"This is no model.\n" * 100)
        self.fails("run", path("text.gguf"), "-p", "x")
        self.fails("inspect", path("text.gguf"))

    def test_cut_model(self):
        with open(path("tiny.gguf"), "rb") as file:
            data = file.read()
        with open(path("cut.gguf"), "wb") as file:
            file.write(data[:len(data) // 2])
        self.fails("run", path("cut.gguf"), "-p", "x")

    def test_names_cannot_reach_the_terminal(self):
        error = self.fails("run", path("evil\033[2Jname\n.gguf"), "-p", "x")
        self.assertNotIn("\033", error)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([EDGEWISE, "doctor"], stdout=full, stderr=subprocess.PIPE,
                                    env=environment())
        self.one_line(result, 1)
        self.fails("logits", path("tiny.gguf"), "--tokens", "1", "--out", path("no/such/folder.npy"))

    def test_reader_that_goes_away(self):
        for ignored in (False, True):
            process = subprocess.Popen(
                [EDGEWISE, "run", path("tiny.gguf"), "--raw", "-p", "a", "--ignore-eos", "-n", "3000"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
                restore_signals=not ignored)
            process.stdout.read(1)
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
            process.stderr.close()
            self.assertEqual(process.wait(60), -signal.SIGPIPE)

    def test_image_is_refused(self):
        self.assertIn("--image", self.fails("run", path("tiny.gguf"), "-p", "x", "--image", "a.png"))


class Run(Case):
    def test_streams_what_json_tells(self):
        arguments = ["run", path("tiny.gguf"), "-p", "Hello there", "-n", "24", "--ignore-eos"]
        plain = self.done(*arguments).decode()
        told = self.done_json(*arguments, "--json")
        self.assertEqual(told["text"], plain)
        self.assertEqual(told["generated_tokens"], 24)
        self.assertEqual(len(told["tokens"]), 24)
        self.assertEqual(told["finish"], "length")
        self.assertGreater(told["decode_seconds"], 0)
        self.assertGreater(told["prefill_tokens_per_second"], 0)

    def test_raw_prompt_is_shorter_than_a_turn(self):
        arguments = ["run", path("tiny.gguf"), "-p", "Hello there", "-n", "1", "--json"]
        raw = self.done_json(*arguments, "--raw")
        ids = self.done("tokenize", path("tiny.gguf"), "--ids", stdin=b"Hello there").split()
        self.assertEqual(raw["prompt_tokens"], len(ids))
        self.assertGreater(self.done_json(*arguments)["prompt_tokens"], len(ids))

    def test_raw_is_the_greedy_choice_of_logits(self):
        ids = self.done("tokenize", path("tiny.gguf"), "--ids", stdin=b"Once upon a time").split()
        told = self.done_json("run", path("tiny.gguf"), "--raw", "-p", "Once upon a time", "-n", "3",
                              "--ignore-eos", "--json")
        tokens = ",".join(map(bytes.decode, ids))
        for token in told["tokens"]:
            self.done("logits", path("tiny.gguf"), "--tokens", tokens, "--out", path("step.npy"),
                      "--kv", "f16")
            (_, columns), body = read_npy(path("step.npy"))
            logits = struct.unpack(f"<{columns}f", body)
            self.assertEqual(token, logits.index(max(logits)))
            tokens += f",{token}"

    def test_same_seed_same_tokens(self):
        def sample(seed, threads):
            return self.done_json("run", path("tiny.gguf"), "--raw", "-p", "a", "-n", "32", "--temp",
                                  "1.5", "--top-k=200", "--top-p", "0.99", "--min-p=0.001", "--seed",
                                  seed, "-t", threads, "--json", "--ignore-eos")["tokens"]
        self.assertEqual(sample(7, 1), sample(7, 2))
        self.assertNotEqual(sample(7, 1), sample(8, 1))

    def test_prompt_from_file_and_standard_input(self):
        text = b"A prompt with \xc3\xa9 and\nlines"
        with open(path("prompt.txt"), "wb") as file:
            file.write(text)
        arguments = ["run", path("tiny.gguf"), "-n8", "--raw"]
        plain = self.done(*arguments, "-p", text.decode())
        self.assertEqual(plain, self.done(*arguments, "-f", path("prompt.txt")))
        self.assertEqual(plain, self.done(*arguments, "--file=-", stdin=text))
        self.fails(*arguments, "-f", path("no-prompt.txt"))
        self.fails(*arguments, "-p", "")

    def test_context_is_a_limit(self):
        told = self.done_json("run", path("tiny.gguf"), "--raw", "-p", "a b c", "--ctx", "20",
                              "--ignore-eos", "--json")
        self.assertEqual(told["finish"], "length")
        self.assertLessEqual(told["prompt_tokens"] + told["generated_tokens"], 21)
        self.fails("run", path("tiny.gguf"), "--raw", "-p", "word " * 50, "--ctx", "20")

    def test_a_long_prompt_in_pieces(self):
        told = self.done_json("run", path("tiny.gguf"), "--raw", "-p", "word and word " * 120, "-n",
                              "4", "--json")
        self.assertGreater(told["prompt_tokens"], 256)

    def test_kv_and_exact_are_taken(self):
        for options in (["--kv", "f32"], ["--kv=f16", "--exact"]):
            self.done("run", path("tiny.gguf"), "-p", "x", "-n", "2", *options)

    def test_statistics_on_request(self):
        result = edgewise("run", path("tiny.gguf"), "-p", "x", "-n", "3", "--stats", "--ignore-eos")
        self.assertRegex(result.stderr.decode(), r"^prompt: \d+ tokens, .*answer: 3 tokens, .*\n$")

    def test_model_without_a_name(self):
        env = environment(EDGEWISE_MODEL=path("tiny.gguf"))
        named = self.done("run", path("tiny.gguf"), "-p", "x", "-n", "4")
        self.assertEqual(named, self.done("run", "-p", "x", "-n", "4", env=env))
        self.assertIn("gone.gguf", self.fails("run", "-p", "x",
                                              env=environment(EDGEWISE_MODEL=path("gone.gguf"))))

    def test_model_beside_an_installed_program(self):
        for folder in ("prefix/bin", "prefix/share/edgewise"):
            os.makedirs(path(folder))
        shutil.copy(EDGEWISE, path("prefix/bin/edgewise"))
        shutil.copy(path("bare.gguf"), path("prefix/share/edgewise/tiny.gguf"))
        result = subprocess.run([path("prefix/bin/edgewise"), "bench", "--json", "-p", "1", "-n", "1",
                                 "-r", "1"], capture_output=True, env=environment(), check=True)
        self.assertTrue(json.loads(result.stdout)["model"].endswith("prefix/share/edgewise/tiny.gguf"))

    def test_interrupted_once(self):
        status, shown = on_terminal(["run", path("slow.gguf"), "--raw", "-p", "a", "--ignore-eos",
                                     "-n", "4000"], stop_at=b"e")
        self.assertEqual(status, 130, shown)
        self.assertIn("cancelled", shown)

    def test_interrupted_with_json(self):
        process = subprocess.Popen([EDGEWISE, "run", path("slow.gguf"), "--raw", "-p", "a",
                                    "--ignore-eos", "-n", "4000", "--json"], stdout=subprocess.PIPE,
                                   env=environment())
        interrupt(process)
        out = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 130)
        self.assertEqual(json.loads(out)["finish"], "cancelled")


class Terminal(Case):
    def test_run(self):
        arguments = ["run", path("tiny.gguf"), "-p", "x", "-n", "3", "--ignore-eos"]
        status, shown = on_terminal(arguments)
        self.assertEqual(status, 0)
        self.assertIn("answer: 3 tokens", shown)
        self.assertIn("\033[2m", shown)
        self.assertNotIn("\033", on_terminal(arguments, NO_COLOR="1")[1])

    def test_control_characters_stay_out(self):
        for seed in range(3):
            _, shown = on_terminal(["run", path("tiny.gguf"), "--raw", "-p", "a", "-n", "300", "--temp",
                                    "3", "--seed", str(seed), "--ignore-eos"], NO_COLOR="1")
            self.assertNotRegex(shown, "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

    def test_progress_after_a_second(self):
        status, shown = on_terminal(["bench", path("slow.gguf"), "-r", "1000"], stop_at=b" s left")
        self.assertEqual(status, 130)
        self.assertRegex(shown, r"measuring \[=* *\] +\d+%  [0-9.]+ tokens/s  \d+ s left")


class Logits(Case):
    TOKENS = ",".join(str(i * 37 % 500) for i in range(90))

    def numbers(self, name, *options, model="tiny.gguf"):
        self.done("logits", path(model), "--tokens", self.TOKENS, "--out", path(name), *options)
        return read_npy(path(name))

    def test_last_is_the_last_of_all(self):
        shape, last = self.numbers("last.npy")
        shape_all, rows = self.numbers("all.npy", "--all")
        self.assertEqual(shape[0], 1)
        self.assertEqual(shape_all, (90, shape[1]))
        self.assertEqual(rows[-4 * shape[1]:], last)
        self.assertNotEqual(rows[:4 * shape[1]], last)

    def test_chunks_and_threads_change_nothing(self):
        _, rows = self.numbers("all.npy", "--all")
        for options in (["--prefill-chunk", "1"], ["--prefill-chunk=7", "-t", "3"],
                        ["--prefill-chunk", "64", "-t1"]):
            self.assertEqual(rows, self.numbers("cut.npy", "--all", *options)[1])
        self.assertNotEqual(rows, self.numbers("f16.npy", "--all", "--kv", "f16")[1])
        self.assertNotEqual(rows, self.numbers("exact.npy", "--all", "--exact")[1])

    def test_tokens_from_a_file(self):
        _, last = self.numbers("last.npy")
        with open(path("ids.txt"), "w", encoding="ascii") as file:
            file.write(self.TOKENS.replace(",", " \n") + "\n")
        for source, stdin in ((path("ids.txt"), b""), ("-", self.TOKENS.encode())):
            self.done("logits", path("tiny.gguf"), "--tokens-file", source, "--out", path("file.npy"),
                      stdin=stdin)
            self.assertEqual(read_npy(path("file.npy"))[1], last)

    def test_model_without_a_tokenizer(self):
        shape, _ = self.numbers("bare.npy", model="bare.gguf")
        self.assertEqual(shape[0], 1)
        self.fails("run", path("bare.gguf"), "-p", "x")
        self.fails("tokenize", path("bare.gguf"), stdin=b"x")

    def test_bad_lists(self):
        for tokens in ("", ",", "1,x", "-1", "1,999999", "1.5", "99999999999999999999", "2147483648"):
            self.fails("logits", path("tiny.gguf"), "--tokens", tokens, "--out", path("bad.npy"))
        self.fails("logits", path("tiny.gguf"), "--tokens-file", "-", "--out", path("bad.npy"),
                   stdin=b"1 2\x003")
        self.assertFalse([name for name in os.listdir(WORK) if name.startswith("bad.npy")])

    def test_replaces_a_file_whole_and_a_device_not(self):
        with open(path("old.npy"), "wb") as file:
            file.write(b"x" * 1000000)
        self.assertEqual(self.numbers("old.npy")[0][0], 1)
        self.done("logits", path("tiny.gguf"), "--tokens", "1", "--out", "/dev/null")
        self.assertFalse(os.path.isfile("/dev/null"))
        self.assertFalse([name for name in os.listdir(WORK) if name.endswith(".part")])

    def test_interrupted(self):
        process = subprocess.Popen([EDGEWISE, "logits", path("slow.gguf"), "--tokens",
                                    ",".join(["5"] * 4000), "--out", path("stopped.npy"), "--all",
                                    "--prefill-chunk", "1"], stderr=subprocess.PIPE, env=environment())
        interrupt(process)
        error = process.communicate(timeout=60)[1]
        self.assertEqual((process.returncode, error), (130, b""))
        self.assertFalse([name for name in os.listdir(WORK) if name.startswith("stopped.npy")])


def log_softmax(row):
    top = max(row)
    total = math.log(sum(math.exp(x - top) for x in row)) + top
    return [x - total for x in row]


class Perplexity(Case):
    """Against the same figures computed here from the numbers of `logits`."""

    TEXT = "The quick brown fox jumps over the lazy dog. " * 20
    CTX = 32

    def setUp(self):
        with open(path("text.txt"), "w", encoding="ascii") as file:
            file.write(self.TEXT)

    def ids(self):
        told = self.done_json("tokenize", path("tiny.gguf"), "--json", stdin=self.TEXT.encode())
        return told["ids"]

    def distributions(self, kv, chunks):
        """[(distribution, next token)] at the scored positions."""
        ids, found = self.ids(), []
        for at in range(0, chunks * self.CTX, self.CTX):
            chunk = ids[at:at + self.CTX]
            self.done("logits", path("tiny.gguf"), "--tokens", ",".join(map(str, chunk)), "--all",
                      "--kv", kv, "--out", path("chunk.npy"))
            (rows, columns), data = read_npy(path("chunk.npy"))
            for j in range(self.CTX // 2, rows - 1):
                row = struct.unpack_from(f"<{columns}f", data, 4 * columns * j)
                found.append((log_softmax(row), chunk[j + 1]))
        return found

    def score(self, *options):
        return self.done_json("perplexity", path("tiny.gguf"), *options, "--json")

    def test_perplexity(self):
        told = self.score(path("text.txt"), "--ctx", self.CTX, "--chunks", 2)
        wanted = [-row[token] for row, token in self.distributions("f16", 2)]
        self.assertEqual(told["tokens"], len(wanted))
        mean = sum(wanted) / len(wanted)
        self.assertAlmostEqual(math.log(told["perplexity"]), mean, places=6)
        spread = sum((x - mean) ** 2 for x in wanted) / (len(wanted) - 1) / len(wanted)
        self.assertAlmostEqual(told["perplexity_error"] / told["perplexity"], spread ** 0.5,
                               places=6)

    def test_divergence(self):
        self.score(path("text.txt"), "-c", self.CTX, "--chunks", 2, "--kl-save", path("base.ewkl"))
        same = self.score("--kl-base", path("base.ewkl"))
        self.assertEqual(same["same_top"], 1)
        self.assertAlmostEqual(same["perplexity_ratio"], 1, places=6)
        self.assertLess(abs(same["kl_mean"]), 1e-6)
        told = self.score("--kl-base", path("base.ewkl"), "--kv", "q4_0")
        pairs = list(zip(self.distributions("f16", 2), self.distributions("q4_0", 2)))
        kl = [sum(math.exp(p) * (p - q) for p, q in zip(base, other))
              for (base, _), (other, _) in pairs]
        self.assertGreater(told["kl_mean"], 0)
        self.assertLess(abs(told["kl_mean"] - sum(kl) / len(kl)), 0.01 * told["kl_mean"] + 1e-6)
        self.assertLess(abs(told["kl_max"] - max(kl)), 0.02 * max(kl))
        agree = sum(base.index(max(base)) == other.index(max(other))
                    for (base, _), (other, _) in pairs)
        self.assertAlmostEqual(told["same_top"], agree / len(pairs))

    def test_what_cannot_be_done(self):
        self.assertIn("no whole chunk", self.fails("perplexity", path("tiny.gguf"),
                                                   path("text.txt"), "-c", 4096))
        self.fails("perplexity", path("tiny.gguf"), path("nothing.txt"))
        self.score(path("text.txt"), "-c", self.CTX, "--kl-save", path("whole.ewkl"))
        with open(path("whole.ewkl"), "rb") as file:
            whole = file.read()
        for n in (0, 7, 23, 30, len(whole) - 1):
            with open(path("cut.ewkl"), "wb") as file:
                file.write(whole[:n])
            self.fails("perplexity", path("tiny.gguf"), "--kl-base", path("cut.ewkl"))
        self.fails("perplexity", path("tiny.gguf"), path("text.txt"), "-c", self.CTX, "--kl-save",
                   path("no/such/folder.ewkl"))
        self.assertFalse([name for name in os.listdir(WORK) if name.endswith(".part")])


class Imatrix(Case):
    TEXT = "The quick brown fox jumps over the lazy dog. " * 20

    def collect(self, name, *options):
        with open(path("text.txt"), "w", encoding="ascii") as file:
            file.write(self.TEXT)
        return self.done_json("imatrix", path("tiny.gguf"), path("text.txt"), "-o", path(name),
                              "--ctx", 32, "--json", *options)

    def read(self, name):
        with open(path(name), "rb") as file:
            return file.read()

    def test_goes_on_and_merges(self):
        whole = self.collect("whole.im", "--again")
        self.assertGreater(whole["chunks"], 3)
        self.assertEqual((whole["chunk_size"], whole["dataset"]), (32, "text.txt"))
        self.assertEqual(self.collect("part.im", "--again", "--chunks", 2)["chunks"], 2)
        self.assertEqual(self.collect("part.im")["chunks"], whole["chunks"])
        self.assertEqual(self.read("part.im"), self.read("whole.im"))
        told = self.done_json("imatrix", "--merge", path("whole.im"), path("part.im"), "-o",
                              path("both.im"), "--json")
        self.assertEqual(told["chunks"], 2 * whole["chunks"])

    def test_what_cannot_be_done(self):
        self.collect("kept.im", "--again")
        kept = self.read("kept.im")
        error = self.fails("imatrix", path("tiny.gguf"), path("text.txt"), "-o", path("kept.im"),
                           "--ctx", 48)
        self.assertIn("--again", error)
        self.assertEqual(self.read("kept.im"), kept)
        self.collect("other.im", "--again", "--ctx", "48")
        self.fails("imatrix", "--merge", path("kept.im"), path("other.im"), "-o", path("both2.im"))
        self.fails("imatrix", "--merge", path("kept.im"), path("tiny.gguf"), "-o", path("both2.im"))
        self.fails("imatrix", path("tiny.gguf"), path("text.txt"), "-o", path("both2.im"), "--ctx",
                   60000)
        self.assertFalse(os.path.exists(path("both2.im")))


class Tokenize(Case):
    TEXT = "Hello <|im_end|> w\u00f6rld \U0001f600\n".encode()

    def test_there_and_back(self):
        for options in ([], ["--no-special"]):
            ids = self.done("tokenize", path("tiny.gguf"), "--ids", *options, stdin=self.TEXT)
            back = self.done("tokenize", path("tiny.gguf"), "--decode", stdin=ids)
            self.assertEqual(back, self.TEXT)

    def test_added_tokens(self):
        special = self.done("tokenize", path("tiny.gguf"), "--ids", stdin=self.TEXT).split()
        plain = self.done("tokenize", path("tiny.gguf"), "--ids", "--no-special",
                          stdin=self.TEXT).split()
        self.assertLess(len(special), len(plain))

    def test_pieces(self):
        lines = self.done("tokenize", path("tiny.gguf"), stdin=self.TEXT).decode().splitlines()
        ids = self.done("tokenize", path("tiny.gguf"), "--ids", stdin=self.TEXT).decode().split()
        self.assertEqual([line.split("\t")[0] for line in lines], ids)
        self.assertTrue(all(re.fullmatch(r'\d+\t".*"', line) for line in lines))
        self.assertIn('"<|im_end|>"', "".join(lines))

    def test_json_and_nothing(self):
        told = self.done_json("tokenize", path("tiny.gguf"), "--json", stdin=self.TEXT)
        self.assertEqual(told["count"], len(told["ids"]))
        self.assertEqual(self.done("tokenize", path("tiny.gguf"), "--ids"), b"")
        text = self.done_json("tokenize", path("tiny.gguf"), "--decode", "--json",
                              stdin=" ".join(map(str, told["ids"])).encode())["text"]
        self.assertEqual(text.encode(), self.TEXT)
        self.fails("tokenize", path("tiny.gguf"), "--decode", stdin=b"1 two 3")


class Inspect(Case):
    def test_text(self):
        short = self.done("inspect", path("tiny.gguf")).decode()
        self.assertIn("general.architecture", short)
        self.assertIn("qwen35", short)
        self.assertRegex(short, r"(?m)^  Q8_0 +\d+ +\d+ .* 8\.50$")
        self.assertIn("none: it loads", short)
        self.assertNotIn("token_embd.weight", short)
        self.assertIn("token_embd.weight", self.done("inspect", path("tiny.gguf"), "--tensors").decode())

    def test_json(self):
        told = self.done_json("inspect", path("tiny.gguf"), "--json", "--check-values")
        self.assertEqual(told["file_bytes"], os.path.getsize(path("tiny.gguf")))
        self.assertEqual(told["problems"], [])
        self.assertEqual(sum(t["bytes"] for t in told["tensors"]), sum(t["bytes"] for t in told["types"]))
        self.assertEqual({t["type"] for t in told["tensors"]}, {t["type"] for t in told["types"]})
        keys = {m["key"]: m["value"] for m in told["metadata"]}
        self.assertEqual(keys["general.architecture"], "qwen35")

    def test_folder(self):
        told = self.done_json("inspect", path("folder"), "--json")
        self.assertIn("folder", told["container"])
        self.assertGreater(len(told["tensors"]), 10)

    def test_problems(self):
        with open(path("tiny.gguf"), "rb") as file:
            data = file.read()
        with open(path("other.gguf"), "wb") as file:  # another architecture of the same length
            file.write(data.replace(b"qwen35", b"gemma9"))
        told = self.done_json("inspect", path("other.gguf"), "--json")
        self.assertGreater(len(told["problems"]), 0)
        result = edgewise("inspect", path("other.gguf"), "--strict")
        self.one_line(result, 1)
        self.assertIn(b"  - ", result.stdout)


class Quantize(Case):
    """Rows of the model "wide" are whole blocks of 256, those of the folder's are not."""
    # general.file_type; types that must occur in the file of "wide"; how far its logits may be off,
    # twice what was measured: a model of random weights magnifies errors, and unrelated ones give 2
    MIXES = {"Q8_0": (7, {"Q8_0"}, 0.02), "Q6_K": (18, {"Q6_K"}, 0.14),
             "Q5_K_M": (17, {"Q5_K", "Q6_K"}, 0.16), "Q4_K_M": (15, {"Q4_K", "Q6_K"}, 0.7),
             "Q4_0": (2, {"Q4_0", "Q6_K"}, 1.2), "Q5_1": (9, {"Q5_1"}, 0.16),
             "IQ4_NL": (25, {"IQ4_NL"}, 0.9), "IQ4_XS": (30, {"IQ4_XS"}, 0.8),
             "Q3_K_M": (12, {"Q3_K", "Q5_K"}, 1.0), "Q2_K": (10, {"Q2_K", "Q3_K"}, 1.5),
             "F16": (1, {"F16"}, 2e-5), "F32": (0, {"F32"}, 0)}

    def logits(self, model):
        self.done("logits", model, "--tokens", "3,1,4,1,5,9,2,6", "--out", path("q.npy"), "--all")
        body = read_npy(path("q.npy"))[1]
        return struct.unpack(f"<{len(body) // 4}f", body)

    def test_every_mix_loads_and_runs(self):
        exact = self.logits(path("wide.gguf"))
        power = sum(x * x for x in exact)
        for mix, (number, types, bound) in self.MIXES.items():
            out = path(f"{mix}.gguf")
            told = self.done_json("quantize", path("wide.gguf"), out, mix.lower(), "--json")
            self.assertEqual(told["bytes"], os.path.getsize(out))
            found = self.done_json("inspect", out, "--json", "--check-values")
            self.assertEqual(found["problems"], [])
            self.assertLessEqual(types, {t["type"] for t in found["tensors"]})
            keys = {m["key"]: m["value"] for m in found["metadata"]}
            self.assertEqual((keys["general.file_type"], keys["general.quantization_version"]),
                             (str(number), "2"))
            error = sum((a - b) ** 2 for a, b in zip(self.logits(out), exact)) / power
            self.assertLessEqual(error, bound, mix)

    def test_the_same_file_with_any_number_of_threads(self):
        for threads in (1, 2, 3):
            self.done("quantize", path("wide.gguf"), path(f"t{threads}.gguf"), "Q4_K_M", "-t", threads)
        self.assertTrue(filecmp.cmp(path("t1.gguf"), path("t2.gguf"), shallow=False))
        self.assertTrue(filecmp.cmp(path("t1.gguf"), path("t3.gguf"), shallow=False))

    def test_short_rows_and_quantised_sources(self):
        self.done("quantize", path("tiny.gguf"), path("short.gguf"), "Q4_K_M")
        for tensor in self.done_json("inspect", path("short.gguf"), "--json")["tensors"]:
            if tensor["shape"][0] % 256 != 0:
                self.assertIn(tensor["type"], ("F32", "Q5_0", "Q8_0"), tensor["name"])
        self.done("quantize", path("short.gguf"), path("twice.gguf"), "IQ4_NL")
        self.done("run", path("twice.gguf"), "-p", "a", "-n", "2")

    def test_importance_matrix(self):
        with open(path("text.txt"), "w", encoding="ascii") as file:
            file.write("The quick brown fox jumps over the lazy dog. " * 20)
        for model in ("wide", "tiny"):
            self.done("imatrix", path(f"{model}.gguf"), path("text.txt"), "-o", path(f"{model}.im"),
                      "--ctx", 32, "--again", "--json")
        self.done("quantize", path("wide.gguf"), path("even.gguf"), "Q4_0")
        self.done("quantize", path("wide.gguf"), path("weighted.gguf"), "Q4_0", "--imatrix",
                  path("wide.im"))
        self.assertFalse(filecmp.cmp(path("even.gguf"), path("weighted.gguf"), shallow=False))
        found = self.done_json("inspect", path("weighted.gguf"), "--json", "--check-values")
        keys = {m["key"]: m["value"] for m in found["metadata"]}
        self.assertEqual(keys["quantize.imatrix.dataset"], "text.txt")
        self.done("perplexity", path("wide.gguf"), path("text.txt"), "-c", 32, "--kl-save",
                  path("wide.base"))
        kl = [self.done_json("perplexity", path(f"{name}.gguf"), "--kl-base", path("wide.base"),
                             "--json")["kl_mean"] for name in ("even", "weighted")]
        self.assertLess(kl[1], kl[0])
        self.fails("quantize", path("wide.gguf"), path("never.gguf"), "Q4_0", "--imatrix",
                   path("tiny.im"))
        self.fails("quantize", path("wide.gguf"), path("never.gguf"), "Q4_0", "--imatrix",
                   path("tiny.gguf"))
        self.assertFalse(os.path.exists(path("never.gguf")))

    def test_refusals(self):
        for arguments in ((path("wide.gguf"), path("never.gguf"), "Q9"),
                          (path("folder"), path("never.gguf"), "Q8_0"),
                          (path("missing"), path("never.gguf"), "Q8_0"),
                          (path("wide.gguf"), path("wide.gguf"), "Q8_0"),
                          (path("wide.gguf"), path("no/such/place.gguf"), "Q8_0")):
            self.fails("quantize", *arguments)
        self.assertFalse(os.path.exists(path("never.gguf")))

    def test_weights_that_are_not_finite_are_named(self):
        tensors = self.done_json("inspect", path("wide.gguf"), "--json")["tensors"]
        with open(path("wide.gguf"), "rb") as file:
            data = bytearray(file.read())
        name = next(t["name"] for t in tensors if t["name"].endswith("ffn_down.weight"))
        info = data.index(struct.pack("<Q", len(name)) + name.encode()) + 8 + len(name)
        dims = struct.unpack_from("<I", data, info)[0]  # then so many u64, the type, the offset
        offset = struct.unpack_from("<Q", data, info + 4 + 8 * dims + 4)[0]
        begin = len(data) - sum((t["bytes"] + 31) // 32 * 32 for t in tensors)
        struct.pack_into("<f", data, begin + offset, math.nan)
        with open(path("nan.gguf"), "wb") as file:
            file.write(data)
        told = self.fails("quantize", path("nan.gguf"), path("never.gguf"), "Q4_0")
        self.assertIn("NaN", told)
        self.assertIn(name, told)
        self.assertFalse(os.path.exists(path("never.gguf")))


class Convert(Case):
    def test_folder_to_gguf(self):
        for kind in ("f32", "q8_0"):
            out = path(f"converted-{kind}.gguf")
            told = self.done_json("convert", path("folder"), out, "--type", kind, "--json")
            self.assertEqual(told["bytes"], os.path.getsize(out))
            self.assertEqual(self.done_json("inspect", out, "--json")["problems"], [])
        self.assertEqual(self.done("convert", path("folder"), path("silent.gguf")), b"")

    def test_the_same_model(self):
        self.done("convert", path("folder"), path("same.gguf"), "--type=f32")
        for model, name in (("folder", "folder.npy"), ("same.gguf", "same.npy")):
            self.done("logits", path(model), "--tokens", "3,1,4,1,5,9,2,6", "--out", path(name), "--all")
        self.assertEqual(read_npy(path("folder.npy")), read_npy(path("same.npy")))

    def test_its_name_is_the_folders_or_the_one_given(self):
        for out, name, options in (("unnamed.gguf", b"folder", ()),
                                   ("named.gguf", b"A small model", ("--name", "A small model"))):
            self.done("convert", path("folder"), path(out), *options)
            with open(path(out), "rb") as file:
                key = b"general.name" + struct.pack("<IQ", 8, len(name)) + name
                self.assertTrue(key in file.read(), name)

    def test_nothing_is_left_of_a_failure(self):
        self.fails("convert", path("folder"), path("no/such/place.gguf"))
        self.fails("convert", WORK, path("nothing.gguf"))
        self.assertFalse([name for name in os.listdir(WORK) if name.startswith("nothing.gguf")])


class Bench(Case):
    def test_json(self):
        told = self.done_json("bench", path("tiny.gguf"), "-p", "64", "-n", "8", "-d", "20", "-r", "2",
                              "-t", "2", "--json", "--kv", "f32")
        for part, tokens in (("prefill", 64), ("decode", 8)):
            speed = told[part]
            self.assertEqual(speed["tokens"], tokens)
            self.assertLessEqual(speed["min"], speed["tokens_per_second"])
            self.assertLessEqual(speed["tokens_per_second"], speed["max"])
            self.assertGreater(speed["min"], 0)
        self.assertEqual((told["depth"], told["threads"], told["kv"]), (20, 2, "f32"))
        self.assertEqual(told["model"], path("tiny.gguf"))
        for key in ("bytes_per_token", "peak_rss_bytes", "load_seconds", "first_token_seconds"):
            self.assertGreater(told[key], 0)
        expected = told["bytes_per_token"] * told["decode"]["tokens_per_second"] * 1e-9
        self.assertAlmostEqual(told["decode"]["gigabytes_per_second"], expected, delta=expected * 1e-6)
        self.assertEqual(len(told["prefill"]["samples"]), 2)
        self.assertEqual(told["prefill"]["samples"][-1], told["prefill"]["max"])

    def test_limits(self):
        arguments = ["bench", path("tiny.gguf"), "-p", "64", "-n", "8", "-r", "1", "--json"]
        told = self.done_json(*arguments)
        limits, prefill, decode = told["limits"], told["prefill"], told["decode"]
        arithmetic = limits[prefill["arithmetic"] + "_gigaops_per_second"]
        done = told["operations_per_prompt_token"] * prefill["median"] * 1e-9
        self.assertAlmostEqual(prefill["gigaops_per_second"], done, delta=done * 1e-6)
        self.assertAlmostEqual(prefill["share_of_arithmetic"], done / arithmetic, delta=1e-3 * done / arithmetic)
        self.assertLess(prefill["share_of_arithmetic"], 1)
        self.assertGreater(decode["moved_bytes_per_token"], told["bytes_per_token"])
        moved = decode["moved_bytes_per_token"] * decode["median"] * 1e-9
        self.assertAlmostEqual(decode["share_of_bandwidth"], moved / limits["read_gigabytes_per_second"],
                               delta=1e-3 * moved)
        without = self.done_json(*arguments, "--no-limits")
        self.assertNotIn("limits", without)
        self.assertNotIn("share_of_bandwidth", without["decode"])

    def test_several_at_once(self):
        arguments = ["bench", path("tiny.gguf"), "-p", "0", "-n", "8", "-d", "20", "-r", "2", "--no-limits"]
        told = self.done_json(*arguments, "--parallel", "3", "--json")
        together, one = told["parallel"], told["decode"]["samples"]
        self.assertEqual((together["sequences"], together["tokens"], len(together["samples"])), (3, 8, 2))
        self.assertLessEqual(together["min"] / one[-1], together["times_one"])
        self.assertGreaterEqual(together["max"] / one[0], together["times_one"])
        self.assertRegex(self.done(*arguments, "--parallel", "3").decode(), r"(?m)^  3 at once +8 .* times one \(")
        self.assertNotIn("parallel", self.done_json(*arguments, "--json"))
        self.misused(*arguments, "--parallel", "65")

    def test_table(self):
        text = self.done("bench", path("tiny.gguf"), "-p", "16", "-n", "4", "-r", "1").decode()
        self.assertRegex(text, r"(?m)^  prefill +16 ")
        self.assertRegex(text, r"(?m)^  decode +4 .*GB/s.*% of the limit")
        self.assertRegex(text, r"(?m)^limits of this machine: memory .* GB/s, int8 ")

    def test_halves(self):
        told = self.done_json("bench", path("bare.gguf"), "-p", "0", "-n", "4", "--json")
        self.assertEqual(told["prefill"]["tokens_per_second"], 0)
        told = self.done_json("bench", path("bare.gguf"), "-n", "0", "-p", "4", "--json")
        self.assertEqual(told["decode"]["tokens_per_second"], 0)


class ShippedModel(Case):
    """The trained model of the repository, in both its forms, asked with words it never met."""

    MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models")

    def answer(self, model, prompt):
        return self.done("run", os.path.join(self.MODELS, model), "-p", prompt, "-n", "64").decode()

    def test_it_recalls_what_it_was_told(self):
        for model in ("tiny.gguf", "tiny"):
            for name in ("Rufi", "Melo", "Tasi"):
                told = f"My name is Toma. My dog is called {name}. What is my dog's name?"
                self.assertEqual(self.answer(model, told), f"Your dog is called {name}.")

    def test_it_answers_from_the_right_passage(self):
        passages = ("Use the passages:\nThe king of Waza is Toro [1].\nThe door of Nola is blue [2].\n"
                    "The people of Kimu eat rice [3].\nThe lake of Rado is called Mini [4].\n"
                    "Sabo was built in the year 1204 [5].\n")
        for question, wanted in (("What colour is the door of Nola?", "The door of Nola is blue [2]."),
                                 ("Who is the ruler of Mogi?", "not in the passages"),
                                 ("Who is the king of Waza?", "The king of Waza is Toro [1].")):
            self.assertIn(wanted, self.answer("tiny.gguf", passages + question))

    def test_it_writes_the_object_that_was_asked_for(self):
        text = self.answer("tiny.gguf", "Give me JSON with name Bela, age 12 and colour red.")
        self.assertEqual(json.loads(text), {"name": "Bela", "age": 12, "colour": "red"})

    def test_it_tells_a_story_about_what_was_named(self):
        text = self.answer("tiny.gguf", "Tell me a short story about a fox called Miro in Talo "
                                        "with a red kite.")
        for word in ("fox", "Miro", "Talo", "red kite"):
            self.assertIn(word, text)


class Selftest(Case):
    def test_quick(self):
        text = self.done("selftest", path("tiny.gguf"), "--quick").decode()
        self.assertGreater(len(re.findall("(?m)^PASS  ", text)), 20)
        self.assertIn("checks passed", text.splitlines()[-1])

    @unittest.skipIf(THREAD_SANITIZER, "minutes; the next test is its size")
    def test_all_checks_over_two_pages(self):
        told = self.done_json("selftest", path("bare.gguf"), "--tokens", "530", "--json", timeout=800)
        self.assertTrue(told["passed"])
        self.assertEqual(told["failed"], 0)
        pairs = ({(kv, exact) for kv in ("f16", "f32") for exact in (False, True)}
                 | {("q8_0", False), ("q4_0", False)})
        self.assertEqual(len(told["checks"]), len(pairs) * 17)
        self.assertTrue(all(check["passed"] for check in told["checks"]))
        self.assertEqual({(c["kv"], c["exact"]) for c in told["checks"]}, pairs)

    @unittest.skipUnless(THREAD_SANITIZER, "a part of the test before")
    def test_essential_checks_over_a_page(self):
        told = self.done_json("selftest", path("bare.gguf"), "--quick", "--tokens", "270", "--json")
        self.assertTrue(told["passed"])
        self.assertGreater(len(told["checks"]), 20)
        self.assertTrue(all(check["passed"] for check in told["checks"]))

    def test_a_model_that_ignores_its_input_fails(self):
        """The control: logits that are always the same must not pass for exact ones."""
        with open(path("bare.gguf"), "rb") as file:
            data = bytearray(file.read())
        last = self.last_norm(data)
        data[last[0]:last[0] + last[1]] = bytes(last[1])
        with open(path("constant.gguf"), "wb") as file:
            file.write(data)
        result = edgewise("selftest", path("constant.gguf"), "--quick")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"do not depend on the tokens", result.stderr)
        self.assertIn(b"FAIL", result.stdout)

    @staticmethod
    def last_norm(data):
        """(position, bytes) of output_norm.weight, whose zeros make all logits zero."""
        name = b"output_norm.weight"
        at = data.index(struct.pack("<Q", len(name)) + name) + 8 + len(name)
        n_dims, n, kind, offset = struct.unpack_from("<IQIQ", data, at)
        assert (n_dims, kind) == (1, 0)
        told = json.loads(edgewise("inspect", path("bare.gguf"), "--json").stdout)
        padded = sum((t["bytes"] + 31) // 32 * 32 for t in told["tensors"])
        start = len(data) - padded  # the data section ends the file
        return start + offset, 4 * n


class Doctor(Case):
    def test_json(self):
        told = self.done_json("doctor", "--json")
        self.assertIn("scalar", told["isas"])
        self.assertIn(told["isa"], told["isas"])
        self.assertGreater(told["threads"], 0)
        self.assertGreater(told["memory_bytes"], 1 << 28)

    def test_text(self):
        self.assertIn("(best)", self.done("doctor").decode())

    def test_environment(self):
        env = environment(EDGEWISE_MODEL="/no/such/model.gguf", EDGEWISE_ISA="altivec")
        problems = " ".join(self.done_json("doctor", "--json", env=env)["problems"])
        self.assertIn("EDGEWISE_MODEL", problems)
        self.assertIn("EDGEWISE_ISA", problems)


def make_models():
    for arguments in (["tiny", path("tiny.gguf")],
                      ["tiny", "--vocab", "none", "--seed", "2", path("bare.gguf")],
                      ["tiny", "hidden_size=512", "intermediate_size=2048", path("slow.gguf")],
                      ["tiny", "hidden_size=256", "intermediate_size=512", "--type", "f32",
                       path("wide.gguf")],
                      ["tiny", "--hf", path("folder")]):
        subprocess.run([SYNTH, *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    EDGEWISE, SYNTH = map(os.path.abspath, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as WORK:
        make_models()
        unittest.main(argv=sys.argv[:1] + sys.argv[3:])
