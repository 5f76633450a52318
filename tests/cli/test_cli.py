#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The edgewise program as a user or a script meets it: usage, failures, and the commands that compute.
Those that make and measure checkpoint files are in test_files.py.

  tests/cli/test_cli.py EDGEWISE SYNTH-MODEL [unittest arguments]
"""
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import unittest

import harness
from harness import Case, edgewise, environment, interrupt, on_terminal, path, read_npy

# Set where the program is so slow that the longest checks are cut to what threads can show.
THREAD_SANITIZER = "EW_TEST_THREAD_SANITIZER" in os.environ
COMMANDS = ("run", "logits", "tokenize", "inspect", "convert", "quantize", "imatrix", "perplexity", "bench",
            "selftest", "doctor")


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
            result = subprocess.run([harness.EDGEWISE, "doctor"], stdout=full, stderr=subprocess.PIPE,
                                    env=environment())
        self.one_line(result, 1)
        self.fails("logits", path("tiny.gguf"), "--tokens", "1", "--out", path("no/such/folder.npy"))

    def test_reader_that_goes_away(self):
        for ignored in (False, True):
            process = subprocess.Popen(
                [harness.EDGEWISE, "run", path("tiny.gguf"), "--raw", "-p", "a", "--ignore-eos", "-n", "3000"],
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
        shutil.copy(harness.EDGEWISE, path("prefix/bin/edgewise"))
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
        process = subprocess.Popen([harness.EDGEWISE, "run", path("slow.gguf"), "--raw", "-p", "a",
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
        self.assertFalse([name for name in os.listdir(harness.WORK) if name.startswith("bad.npy")])

    def test_replaces_a_file_whole_and_a_device_not(self):
        with open(path("old.npy"), "wb") as file:
            file.write(b"x" * 1000000)
        self.assertEqual(self.numbers("old.npy")[0][0], 1)
        self.done("logits", path("tiny.gguf"), "--tokens", "1", "--out", "/dev/null")
        self.assertFalse(os.path.isfile("/dev/null"))
        self.assertFalse([name for name in os.listdir(harness.WORK) if name.endswith(".part")])

    def test_interrupted(self):
        process = subprocess.Popen([harness.EDGEWISE, "logits", path("slow.gguf"), "--tokens",
                                    ",".join(["5"] * 4000), "--out", path("stopped.npy"), "--all",
                                    "--prefill-chunk", "1"], stderr=subprocess.PIPE, env=environment())
        interrupt(process)
        error = process.communicate(timeout=60)[1]
        self.assertEqual((process.returncode, error), (130, b""))
        self.assertFalse([name for name in os.listdir(harness.WORK) if name.startswith("stopped.npy")])


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


if __name__ == "__main__":
    harness.main(__doc__)
