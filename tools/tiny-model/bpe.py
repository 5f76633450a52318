# SPDX-License-Identifier: Apache-2.0
"""Byte-level BPE: trained on the generated text, in the form of the family's tokenizer.

Splitting, alphabet and added tokens are those of Qwen3.5 (the rules are in docs/tokenizer.md of
this repository); only the merges are learned here.
"""
from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

from data.words import CONSONANTS, PLAIN_VOWELS

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
           r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTRACTION = re.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)")
# The other alternatives over a text in which every character is replaced by its class: L letter,
# M mark, N number, b blank, n line end, w other white space, S anything else.
RULE = re.compile(r"[bwMS]?[LM]+|N|b?S+n*|[bwn]*n+|[bwn]+(?![^bwn])|[bwn]+")
WHITE = frozenset([0x09, 0x0B, 0x0C, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
                  + list(range(0x2000, 0x200B)))
# (text, is it special): in the family's order behind the learned entries.
ADDED = [(f"<|{name}|>", True) for name in (
    "endoftext im_start im_end object_ref_start object_ref_end box_start box_end quad_start "
    "quad_end vision_start vision_end vision_pad image_pad video_pad").split()] + [
    (text, False) for text in (
        "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> "
        "<|repo_name|> <|file_sep|> <tool_response> </tool_response> <think> </think>").split()] + [
    (text, True) for text in (
        "<|audio_start|> <|audio_end|> <tts_pad> <tts_text_bos> <tts_text_eod> "
        "<tts_text_bos_single> <|audio_pad|>").split()]
LISTED = 26  # of them stand in tokenizer.json, all in tokenizer_config.json, as published


def character_class(character: str) -> str:
    code = ord(character)
    if code == 0x20:
        return "b"
    if code in (0x0A, 0x0D):
        return "n"
    if code in WHITE:
        return "w"
    kind = unicodedata.category(character)[0]
    return kind if kind in "LMN" else "S"


class Classes(dict):
    def __missing__(self, code: int) -> str:
        self[code] = character_class(chr(code))
        return self[code]


CLASSES = Classes()


def split_pieces(text: str) -> list[str]:
    classes, pieces, at = text.translate(CLASSES), [], 0
    while at < len(text):
        match = text[at] == "'" and CONTRACTION.match(text, at) or RULE.match(classes, at)
        assert match
        pieces.append(text[at:match.end()])
        at = match.end()
    return pieces


def byte_alphabet() -> list[str]:
    """The character that stands for each byte in vocabularies."""
    plain = set(range(0x21, 0x7F)) | set(range(0xA1, 0xAD)) | set(range(0xAE, 0x100))
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) if byte in plain else chr(0x100 + others.index(byte)) for byte in range(256)]


ALPHABET = byte_alphabet()


def spelled(piece: str) -> str:
    return "".join(ALPHABET[byte] for byte in piece.encode())


def added_pattern() -> re.Pattern[str]:
    words = sorted((text for text, _ in ADDED), key=len, reverse=True)
    return re.compile("(" + "|".join(map(re.escape, words)) + ")")


ADDED_PATTERN = added_pattern()


def syllables() -> list[tuple[str, str]]:
    """Merges that come before all others: a consonant and a vowel, so that a made-up word is cut
    in the same places wherever it stands and whether or not it is capitalised."""
    return [(consonant, vowel) for consonant in CONSONANTS + CONSONANTS.upper()
            for vowel in PLAIN_VOWELS]


def joins(small: set[str], pair: tuple[str, str]) -> bool:
    """Whether this would melt two syllables of what is likely a made-up word."""
    return pair[1] in small and (pair[0] in small or pair[0][1:] in small)


def train_merges(texts: list[str], count: int) -> list[tuple[str, str]]:
    """The syllables, then the most frequent pairs one by one; ties go to the smaller text."""
    pieces: Counter[str] = Counter()
    for text in texts:
        for part in ADDED_PATTERN.split(text)[::2]:
            pieces.update(split_pieces(part))
    words = [(list(spelled(piece)), number) for piece, number in sorted(pieces.items())]
    pairs: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for i, (parts, number) in enumerate(words):
        for pair in zip(parts, parts[1:]):
            pairs[pair] += number
            where[pair].add(i)
    merges: list[tuple[str, str]] = []
    first = syllables()
    small = {left + right for left, right in first}
    while len(merges) < count:
        best = first[len(merges)] if len(merges) < len(first) else min(
            (pair for pair in pairs if pairs[pair] * 40 > len(texts) or not joins(small, pair)),
            key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for i in where.pop(best, set()):
            parts, number = words[i]
            for pair in zip(parts, parts[1:]):
                pairs[pair] -= number
            joined = join(parts, best)
            parts[:] = joined
            for pair in zip(parts, parts[1:]):
                pairs[pair] += number
                where[pair].add(i)
        pairs.pop(best, None)
    return merges


def join(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined, at = [], 0
    while at < len(parts):
        if at + 1 < len(parts) and (parts[at], parts[at + 1]) == pair:
            joined.append(parts[at] + parts[at + 1])
            at += 2
        else:
            joined.append(parts[at])
            at += 1
    return joined


class Tokenizer:
    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.merges = merges
        self.base = ALPHABET + [left + right for left, right in merges]
        self.ids = {token: i for i, token in enumerate(self.base)}
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.added = {text: len(self.base) + i for i, (text, _) in enumerate(ADDED)}
        self.size = len(self.base) + len(ADDED)
        self.cache: dict[str, list[int]] = {}

    def encode_piece(self, piece: str) -> list[int]:
        if piece not in self.cache:
            parts = list(spelled(piece))
            while len(parts) > 1:
                best = min(zip(parts, parts[1:]),
                           key=lambda pair: self.ranks.get(pair, len(self.merges)))
                if best not in self.ranks:
                    break
                parts = join(parts, best)
            if len(self.cache) > 200_000:
                self.cache.clear()
            self.cache[piece] = [self.ids[part] for part in parts]
        return self.cache[piece]

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for i, part in enumerate(ADDED_PATTERN.split(text)):
            if i % 2:
                ids.append(self.added[part])
                continue
            for piece in split_pieces(unicodedata.normalize("NFC", part)):
                ids += self.encode_piece(piece)
        return ids

    def decode(self, ids: list[int]) -> str:
        names = {i: text for text, i in self.added.items()}
        back = {character: byte for byte, character in enumerate(ALPHABET)}
        data = b"".join(names[i].encode() if i in names else bytes(back[c] for c in self.base[i])
                        for i in ids)
        return data.decode(errors="replace")


def flags(i: int) -> dict:
    text, special = ADDED[i]
    return {"content": text, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": special}


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """tokenizer.json and tokenizer_config.json in the published form."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                  "use_regex": False}
    first = len(tokenizer.base)
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated",
             "invert": False}
    document = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": first + i, **flags(i)} for i in range(LISTED)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False, "vocab": tokenizer.ids,
                  "merges": [" ".join(pair) for pair in tokenizer.merges]}}
    settings = {"add_bos_token": False, "add_prefix_space": False,
                "added_tokens_decoder": {str(first + i): flags(i) for i in range(len(ADDED))},
                "bos_token": None, "clean_up_tokenization_spaces": False,
                "eos_token": "<|im_end|>", "model_max_length": 262144,
                "pad_token": "<|endoftext|>", "tokenizer_class": "Qwen2Tokenizer",
                "unk_token": None}
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (("tokenizer.json", document), ("tokenizer_config.json", settings)):
        text = json.dumps(value, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n")


def read_tokenizer(folder: Path) -> Tokenizer:
    merges = json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]
    return Tokenizer([tuple(merge.split(" ")) for merge in merges])
