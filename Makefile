# What each target does stands in README.md and CONTRIBUTING.md; `make` alone lists them.

# Daemons that tests start would compile each module anew.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TESTS ?= tests
PYTEST := $(BIN)/python -m pytest $(if $(LONG),--long)
# Who talks to servers waits for them now and then: two more than there are processors, and the longest files first.
CORES := $(shell nproc 2>/dev/null || echo 2)
FUZZ := .cache/fuzz
FUZZ_SECONDS ?= 1200
# pytest's exit code for "there was none": TESTS may name a file of one kind only.
NONE := 5

.DEFAULT_GOAL := help
.PHONY: help setup fmt check audit test fuzz bench budgets bench-peers soak demo lock clean

help:
	@echo "make demo    an embedded fleet with planted faults, no broker needed"
	@echo "make test    the tests, with the real servers they need (SKIP_SERVERS=1 does without; LONG=1: the longest too)"
	@echo "make setup   the environment alone"
	@echo "make check   lint, types, layers, what stages cost"
	@echo "make fmt     format the code"
	@echo "make fuzz    throws bytes at the decoder and requests at the API, each for FUZZ_SECONDS (1200)"
	@echo "make audit   asks for known weaknesses of the locked dependencies (needs a network)"
	@echo "make bench   the benchmarks, as ratios from one run"
	@echo "make bench-peers  events a second and memory beside other tools, each in an environment that is built once"
	@echo "make soak    kills a daemon, and three replicas, 200 times under load, held against a ledger (KILLS=200)"
	@echo "make lock    resolve the dependencies anew"

setup: $(READY)

# What is never imported need not be compiled: that was half of the time.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# A machine without a C compiler gets one from the lock, so that the kernels are compiled everywhere.
$(READY): pyproject.toml hatch_build.py $(wildcard requirements/*.txt) $(wildcard monitor/kernels/*.[ch])
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --no-compile --require-hashes -r requirements/dev.txt
	command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || \
		$(PIP) --require-hashes -r requirements/compiler.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

fmt: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports
	$(BIN)/python scripts/audit.py
	$(BIN)/python bench/stages.py --within bench/budgets.toml --sizes "100 models"

# Both have an environment of their own: neither is needed to run or to test the program.
$(FUZZ)/.ready: requirements/fuzz.txt
	test -x $(FUZZ)/bin/python || $(PYTHON) -m venv $(FUZZ)
	$(FUZZ)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	touch $@

audit: $(FUZZ)/.ready
	$(FUZZ)/bin/pip-audit --require-hashes --disable-pip -r requirements/runtime.txt -r requirements/dev.txt

fuzz: $(READY) $(FUZZ)/.ready
	scripts/servers.sh
	mkdir -p .cache/fuzzed
	PYTHONPATH=. $(FUZZ)/bin/python tests/fuzz/fuzz_decoder.py .cache/fuzzed tests/fuzz/corpus -max_len=2048 \
		-max_total_time=$(FUZZ_SECONDS) -artifact_prefix=.cache/fuzzed/
	cd tests && PYTHONPATH=.:.. ../$(BIN)/python fuzz/fuzz_api.py ../$(FUZZ)/bin/schemathesis --seconds $(FUZZ_SECONDS)

test: $(READY)
	test -n "$(SKIP_SERVERS)" || scripts/servers.sh
	$(MAKE) --no-print-directory check
	$(PYTEST) -n $$(($(CORES) + 2)) --dist loadfile --no-loadscope-reorder -m servers $(TESTS); served=$$?; \
	$(PYTEST) -n $(CORES) --dist worksteal -m "not servers" $(TESTS); rest=$$?; \
	for code in $$served $$rest; do test $$code -eq 0 || test $$code -eq $(NONE) || exit 1; done

bench: $(READY)
	test -n "$(SKIP_SERVERS)" || scripts/servers.sh
	$(BIN)/python bench/decode.py
	$(BIN)/python bench/stages.py
	$(BIN)/python bench/memory.py
	$(BIN)/python bench/throughput.py --json

budgets: $(READY)
	$(BIN)/python bench/stages.py --within bench/budgets.toml

bench-peers: $(READY)
	$(BIN)/python bench/rates_of_peers.py

soak: $(READY)
	scripts/servers.sh
	cd tests && PYTHONPATH=.:.. ../$(BIN)/python -m faults.harness --kills $(or $(KILLS),200)
	cd tests && PYTHONPATH=.:.. ../$(BIN)/python -m faults.harness --kills $(or $(KILLS),200) --replicas 3 --seconds 1800

demo: $(READY)
	$(BIN)/modelwatch demo

lock: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet pyproject.toml --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --extra registry --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -o requirements/registry.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --extra registry --group dev --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -o requirements/dev.txt
	printf 'atheris\nnumpy\npip-audit\nschemathesis\n' | $(BIN)/uv pip compile --quiet - --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -o requirements/fuzz.txt
	echo ziglang | $(BIN)/uv pip compile --quiet - --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -o requirements/compiler.txt

clean:
	rm -rf .venv .cache build dist
