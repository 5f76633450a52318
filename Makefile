# The front door: CMake and Ninja do the work, this names the usual walks through the house.
# `make help` lists them. Useful variables: CC, BUILD, MODEL, PREFIX, DESTDIR, JOBS, CMAKE_ARGS.
ifeq ($(origin CC),default)
CC := gcc
endif
export CC

BUILD ?= build
MODEL ?=
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 600
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
CMAKE_ARGS ?=

configure = cmake -S . -B $(1) -G Ninja $(CMAKE_ARGS)
build = ninja -C $(1) -j $(JOBS) $(2)
test = ctest --test-dir $(1) -j $(JOBS) --output-on-failure --no-tests=error

.PHONY: all help setup run check bench bench-guard lint format sanitize tsan clang fuzz check-arm \
        tokenizer-check tiny-model install clean
.DEFAULT_GOAL := all

all: setup ## build build/edgewise and the library (the default)
	@$(call configure,$(BUILD)) --log-level=WARNING
	@$(call build,$(BUILD),edgewise_cli edgewise_static edgewise_shared)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
	    while IFS='|' read -r name words; do printf '  make %-16s %s\n' "$$name" "$$words"; done

setup:
	@tools/setup build

run: all ## talk to MODEL (default: the one in the repository); without a terminal, a short script
	@tools/demo $(BUILD)/edgewise $(MODEL)

check: ## install what tests need, build, and run every test
	@tools/setup build check
	@$(call configure,$(BUILD)) --log-level=WARNING
	@$(call build,$(BUILD))
	@tools/check-layers
	@tools/check-length
	@$(call test,$(BUILD))

bench: all ## measure the kernels and MODEL on this machine
	@$(call build,$(BUILD))
	@bench/run $(BUILD) $(MODEL)

bench-guard: all ## compare counts of instructions with bench/guard.txt (needs valgrind; GUARD=--record keeps them)
	@tools/setup build guard
	@$(call build,$(BUILD),edgewise_cli synth-model count-instructions)
	@bench/guard $(BUILD) $(GUARD)

lint: ## formatting, static analysis, clang build, layers, lengths, banned calls, headers, man page
	@tools/setup build check lint
	@tools/lint

format: ## rewrite the C files in the house format
	@tools/setup lint
	@tools/lint --format

sanitize: ## every test under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/setup build check
	@$(call configure,build-sanitize) -DEW_SANITIZE=address,undefined
	@$(call build,build-sanitize)
	@$(call test,build-sanitize)

tsan: ## every test under ThreadSanitizer
	@tools/setup build check
	@$(call configure,build-tsan) -DEW_SANITIZE=thread
	@$(call build,build-tsan)
	@$$(setarch -R true 2>/dev/null && echo setarch -R) $(call test,build-tsan)

clang: ## build with clang 14 and run every test
	@tools/setup build check lint
	@CC=clang-14 $(call configure,build-clang)
	@$(call build,build-clang)
	@$(call test,build-clang)

fuzz: ## run each fuzzer for FUZZ_SECONDS (600)
	@tools/setup build check fuzz
	@BUILD=build-fuzz tests/fuzz/run.sh $(FUZZ_SECONDS)

check-arm: ## cross-compile for 64-bit Arm and run the kernel checks under qemu
	@tools/setup build check arm
	@tests/kernels/check-arm.sh build-arm

tokenizer-check: all ## compare the tokenizer with another implementation, from the npm registry
	@tools/setup node
	@BUILD=$(BUILD) tests/tokenizer/check.sh

tiny-model: all ## train the model in the box, going on where it stopped: DEVICE=cpu|cuda, MINUTES=n
	@tools/setup train
	@BUILD=$(BUILD) tools/tiny-model/build

install: all ## install program, libraries, headers, packages and manual page under PREFIX
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## remove the build folders
	rm -rf $(BUILD) build-sanitize build-tsan build-clang build-lint build-fuzz build-arm
