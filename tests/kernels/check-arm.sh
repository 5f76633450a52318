#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds kernel_check for 64-bit Arm and runs it under qemu: once on a processor with everything,
# once on one with dot products and no matrix products, once on one without either. Each must choose
# the set that is its best. Usage: check-arm.sh [BUILD_DIR] [kernel_check options]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/arm}
[ $# -gt 0 ] && shift
for tool in aarch64-linux-gnu-gcc qemu-aarch64 cmake ninja; do
    command -v $tool >/dev/null || { echo "check-arm: $tool is not installed" >&2; exit 1; }
done
cmake -S "$root/tests/kernels/standalone" -B "$build" -G Ninja \
    -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64-linux-gnu.cmake" >/dev/null
ninja -C "$build" kernel_check

# check CPU SETS [options]: the processor has these sets; the kernels of each are right
check() {
    cpu=$1 expected=$2
    shift 2
    sets=$(qemu-aarch64 -cpu "$cpu" "$build/kernel_check" --list | sed -n 's/^isa //p' | xargs)
    [ "$sets" = "$expected" ] || { echo "check-arm: $cpu: '$sets', not '$expected'" >&2; exit 1; }
    qemu-aarch64 -cpu "$cpu" "$build/kernel_check" "$@"
}
check max "scalar neon neon_dotprod neon_i8mm" "$@"
check neoverse-n1 "scalar neon neon_dotprod" "$@"
check cortex-a53 "scalar neon" "$@"
