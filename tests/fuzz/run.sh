#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds all fuzz targets with clang and runs each for SECONDS; fails when one finds something.
#   tests/fuzz/run.sh SECONDS [TARGET...]
# Environment: CLANG (clang-14, else clang), BUILD (build-fuzz). Inputs that reach new code are kept in
# $BUILD/corpus/TARGET, findings in $BUILD/findings.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: tests/fuzz/run.sh SECONDS [TARGET...]" >&2
    exit 2
fi
seconds=$1
shift
cd "$(dirname "$0")/../.."
build=${BUILD:-build-fuzz}
clang=${CLANG:-$(command -v clang-14 || command -v clang || true)}
if [ -z "$clang" ]; then
    echo "fuzz: clang is needed" >&2
    exit 1
fi

generator=
if command -v ninja >/dev/null; then
    generator='-G Ninja'
fi
# shellcheck disable=SC2086 # the generator is two words or none
cmake -S . -B "$build" $generator -DCMAKE_C_COMPILER="$clang" -DEW_BUILD_FUZZERS=ON >/dev/null
cmake --build "$build" --target fuzzers

mkdir -p "$build/findings"
if [ $# -eq 0 ]; then
    # shellcheck disable=SC2046 # one target per word
    set -- $(tr ';' ' ' <"$build/tests/fuzz/targets.txt")
fi
failed=
for target in "$@"; do
    echo "== $target, $seconds s"
    mkdir -p "$build/corpus/$target"
    if ! "$build/tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -verbosity=1 -artifact_prefix="$build/findings/$target-" \
        "$build/corpus/$target" "tests/fuzz/corpus/$target" 2>"$build/$target.log"; then
        failed="$failed $target"
        tail -n 60 "$build/$target.log" >&2
    fi
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' "$build/$target.log" || true
    grep -E 'cov: ' "$build/$target.log" | tail -n 1
done
if [ -n "$failed" ]; then
    echo "fuzz: findings in$failed, see $build/findings" >&2
    exit 1
fi
