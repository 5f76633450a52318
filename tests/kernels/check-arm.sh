#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds kernel_check for 64-bit Arm and runs it under qemu, once on a processor with dot products
# and once on one without. Usage: check-arm.sh [BUILD_DIR] [kernel_check options]
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
qemu-aarch64 -cpu max "$build/kernel_check" "$@"
qemu-aarch64 -cpu cortex-a53 "$build/kernel_check" "$@"
