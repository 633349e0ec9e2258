# The only door: every way to build, check, run and measure Reactor is a target here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt
TESTS ?=
PROOF ?=
SOAK ?=
# -rs: a test that is skipped says why.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile -rs

.DEFAULT_GOAL := help
.PHONY: help setup run format lint types layers test test-all bench proof soak binary deb clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/dev.stamp  ## make .venv with everything to run, test and build

run: $(VENV)/run.stamp  ## start the daemon on the flows in flows/
	@exec $(BIN)/reactor run --flows flows --state state

format: $(VENV)/dev.stamp  ## put the code into its one form
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

lint: $(VENV)/dev.stamp  ## check style, form and docstrings
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/dev.stamp  ## check the types
	$(BIN)/mypy reactor tests $(wildcard packaging/bench)

layers: $(VENV)/dev.stamp  ## check who imports whom
	$(BIN)/lint-imports

test: $(VENV)/dev.stamp  ## run the tests (TESTS=path or options for some of them)
	@tests/brokers/install.sh
	$(PYTEST) $(TESTS)

test-all: lint types layers test  ## run every check and every test

bench: $(VENV)/run.stamp  ## measure, each row beside its reference
	$(BIN)/python packaging/bench

proof: $(VENV)/dev.stamp  ## prove that nothing is lost, an hour long (PROOF=names for some of it)
	$(BIN)/python -m tests.proof $(PROOF)

soak: $(VENV)/dev.stamp  ## run a million events and watch the memory (SOAK="--events 100000")
	$(BIN)/python -m tests.proof.soak $(SOAK)

binary:  ## build dist/reactor and dist/reactor-dir
	packaging/build_binary.sh

deb:  ## build dist/reactor_VERSION_ARCH.deb
	packaging/build_deb.sh

clean:  ## remove what was built; flows, state and secrets stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find reactor tests packaging -name __pycache__ -prune -exec rm -rf {} +

# What `make run` needs is little, so that a fresh machine serves soon; the rest comes on top.
$(VENV)/run.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Reactor needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "no virtual environments here: apt install python3-venv" >&2; exit 1; }
	$(PIP) -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	@command -v objdump >/dev/null || test "$$(id -u)" != 0 || { apt-get -qq update && apt-get -qqy install binutils; }
	@command -v cc >/dev/null || test "$$(id -u)" != 0 || { apt-get -qq update && apt-get -qqy install gcc libc6-dev; }
	$(PIP) -e '.[dev,build]'
	@touch $@
