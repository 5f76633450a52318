#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tools/setup against a machine made of stubs: every command it may call is a file in a folder that
# is the whole PATH, apt-get records its arguments, and pkg-config knows the modules listed in a file.
set -eu

setup=$(cd "$(dirname "$0")/../.." && pwd)/tools/setup
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
shell=$(command -v sh)
failed=0

stub() { # name, body
    printf '#!%s\n%s\n' "$shell" "$2" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}

# A machine with the commands named, user id $1, and an apt-get that provides what it is asked for.
machine() { # uid command...
    rm -rf "$work/bin"
    mkdir "$work/bin"
    : >"$work/log"
    : >"$work/modules"
    uid=$1
    shift
    stub id "echo $uid"
    for tool in env chmod basename; do
        ln -s "$(command -v $tool)" "$work/bin/$tool"
    done
    for command in "$@"; do
        stub "$command" 'exit 0'
    done
    stub pkg-config "while read -r m; do [ \"\$m\" = \"\$2\" ] && exit 0; done <'$work/modules'; exit 1"
}

with_apt() { # is the installation to help?
    stub apt-get "
echo \"apt-get \$* [\$DEBIAN_FRONTEND]\" >>'$work/log'
[ '$1' = helps ] || exit 0
for word in \"\$@\"; do
    case \$word in
    ninja-build) echo '#!$shell' >'$work/bin/ninja'; chmod +x '$work/bin/ninja' ;;
    cmake) echo '#!$shell' >'$work/bin/cmake'; chmod +x '$work/bin/cmake' ;;
    libjansson-dev) echo jansson >>'$work/modules' ;;
    libutf8proc-dev) echo libutf8proc >>'$work/modules' ;;
    libcmocka-dev) echo cmocka >>'$work/modules' ;;
    esac
done"
}

run() { # argument...: sets $status, $said
    status=0
    said=$(CC=gcc PATH="$work/bin" "$shell" "$setup" "$@" 2>&1 </dev/null) || status=$?
}

expect() { # what, condition...
    what=$1
    shift
    if ! "$@"; then
        failed=1
        printf 'FAILED: %s\n  status %s, said: %s\n  log: %s\n' "$what" "$status" "$said" "$(cat "$work/log")"
    fi
}

logged() { grep -q -e "$1" "$work/log"; }
quiet() { [ ! -s "$work/log" ]; }
told() { case $said in *"$1"*) true ;; *) false ;; esac }

machine 0 make gcc cmake ninja
with_apt helps
printf 'jansson\nlibutf8proc\ncmocka\n' >"$work/modules"
run build
expect 'all there: succeeds' [ "$status" -eq 0 ]
expect 'all there: says nothing' [ -z "$said" ]
expect 'all there: calls nothing' quiet

machine 0 make gcc
with_apt helps
run build
expect 'root: succeeds' [ "$status" -eq 0 ]
expect 'root: updates first' logged '^apt-get .*update \[noninteractive\]$'
expect 'root: installs exactly what is missing' \
    logged ' install -y --no-install-recommends cmake ninja-build libjansson-dev libutf8proc-dev libcmocka-dev \['
run build
expect 'second run: says nothing' [ -z "$said" ]

machine 1000 make gcc cmake ninja
with_apt helps
stub sudo "echo \"sudo \$*\" >>'$work/log'; [ \"\$1\" = -n ] && shift; exec \"\$@\""
run
expect 'user: succeeds' [ "$status" -eq 0 ]
expect 'user: asks sudo without a question' logged '^sudo -n env .* install '
expect 'user: apt-get ran' logged '^apt-get .* install .*libjansson-dev'

machine 1000 make gcc cmake ninja
with_apt helps
run build
expect 'user without sudo: fails' [ "$status" -eq 1 ]
expect 'user without sudo: names the packages' told 'libjansson-dev libutf8proc-dev'

machine 0 make gcc cmake
run build
expect 'no apt-get: fails' [ "$status" -eq 1 ]
expect 'no apt-get: names the packages' told 'ninja-build libjansson-dev libutf8proc-dev'

machine 0 make gcc cmake
with_apt helps
status=0
said=$(EW_SETUP=off CC=gcc PATH="$work/bin" "$shell" "$setup" build 2>&1) || status=$?
expect 'EW_SETUP=off: fails' [ "$status" -eq 1 ]
expect 'EW_SETUP=off: calls nothing' quiet

machine 0 make gcc
with_apt fails-silently
run build
expect 'useless installation: fails' [ "$status" -eq 1 ]
expect 'useless installation: says what is still missing' told 'still missing after the installation: cmake'

machine 0
run nonsense
expect 'unknown group: usage' [ "$status" -eq 2 ]

[ "$failed" -eq 0 ] && echo 'setup: all cases as expected'
exit "$failed"
