#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands on checkpoint files: inspect, convert, quantize, and what they cost: imatrix, perplexity.

  tests/cli/test_files.py EDGEWISE SYNTH-MODEL [unittest arguments]
"""
import filecmp
import math
import os
import struct

import harness
from harness import Case, edgewise, path, read_npy


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
        self.assertFalse([name for name in os.listdir(harness.WORK) if name.endswith(".part")])


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
        self.fails("convert", harness.WORK, path("nothing.gguf"))
        self.assertFalse([name for name in os.listdir(harness.WORK) if name.startswith("nothing.gguf")])


if __name__ == "__main__":
    harness.main(__doc__)
