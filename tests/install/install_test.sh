#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install_test.sh BUILD CC VERSION: installs the build into a temporary prefix, moves that prefix,
# and uses it as a stranger would: through pkg-config (shared and static) and find_package.
set -eu

build=$1
cc=$2
version=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
prefix=$work/moved
mv "$work/first" "$prefix"

fail() {
    echo "install_test: $1" >&2
    exit 1
}
find_one() { # name: its path under the prefix
    found=$(find "$prefix" -name "$1")
    [ -n "$found" ] || fail "$1 was not installed"
    echo "$found"
}

libdir=$(dirname "$(find_one edgewise.pc)")/..
for file in edgewise.1 EdgewiseConfig.cmake EdgewiseConfigVersion.cmake libedgewise.a status.h \
    tiny.gguf mmproj-tiny.gguf; do
    find_one $file >/dev/null
done
soname=libedgewise.so.${version%%.*}
[ -L "$libdir/libedgewise.so" ] && [ -L "$libdir/$soname" ] || fail "the links to the library lack"
[ -f "$libdir/libedgewise.so.$version" ] || fail "libedgewise.so.$version lacks"
readelf -d "$libdir/libedgewise.so" | grep -q "SONAME.*\[$soname\]" || fail "the soname is not $soname"
[ -z "$(find "$prefix" -name '*.h' -path '*/base/*')" ] || fail "an internal header was installed"
"$prefix/bin/edgewise" --version | grep -q "$version" || fail "the program does not say its version"

mkdir "$work/user"
cat >"$work/user/five.c" <<'C'
#include <edgewise/status.h>
#include <stdio.h>
int main(void) {
    return printf("%s%s\n", ew_status_name(EW_FORMAT), ew_last_error()) > 0 ? 0 : 1;
}
C
expect_runs() { # program, what it is
    [ "$(LD_LIBRARY_PATH=$libdir "$1")" = FORMAT ] || fail "the program linked with $2 does not run"
    echo "install_test: $2: fine"
}

export PKG_CONFIG_PATH="$libdir/pkgconfig"
[ "$(pkg-config --modversion edgewise)" = "$version" ] || fail "pkg-config knows another version"
# shellcheck disable=SC2046  # flags are words
"$cc" -o "$work/user/shared" "$work/user/five.c" $(pkg-config --cflags --libs edgewise)
expect_runs "$work/user/shared" 'pkg-config, shared'
readelf -d "$work/user/shared" | grep -q "NEEDED.*$soname" || fail "it does not need $soname"
# shellcheck disable=SC2046
"$cc" -static -o "$work/user/static" "$work/user/five.c" \
    $(pkg-config --static --cflags --libs edgewise)
expect_runs "$work/user/static" 'pkg-config, static'

cat >"$work/user/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(user LANGUAGES C)
find_package(Edgewise 0.1 REQUIRED)
foreach(kind shared static)
  add_executable(with_${kind} five.c)
  target_link_libraries(with_${kind} PRIVATE edgewise::${kind})
endforeach()
CMAKE
cmake -S "$work/user" -B "$work/user/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_COMPILER="$cc" >"$work/log" 2>&1 || { cat "$work/log"; fail 'find_package failed'; }
cmake --build "$work/user/build" >"$work/log" 2>&1 || { cat "$work/log"; fail 'the user build failed'; }
for kind in shared static; do
    expect_runs "$work/user/build/with_$kind" "find_package, $kind"
done
