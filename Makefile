# `make demo` and `make test` need nothing but Python 3.11 (or newer) and a package index.

PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
PYTEST_ARGS ?=
BENCH_ARGS ?=
BENCH_PIP_ARGS ?=
UPGRADE ?=

VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
PIP := $(BIN)/python -m pip --disable-pip-version-check
UV := build/lock/bin/uv
COMPILE := $(UV) pip compile setup.cfg --quiet --python-version 3.11 --python-platform linux $(UPGRADE) \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types bench lock clean

help:
	@echo 'make demo    install into $(VENV) and run the whole way from images to report, into out/demo'
	@echo 'make test    run the tests (PYTEST_ARGS="-k gini" for some of them)'
	@echo 'make lint    check style          make format  mend style'
	@echo 'make types   check types          make clean   remove $(VENV) and caches, keep out/'
	@echo 'make bench   time ours beside its peers, into docs/benchmarks.md (BENCH_ARGS="--only ig-mnist" for some)'
	@echo 'make lock    pin the requirements of setup.cfg anew (UPGRADE=--upgrade for the newest)'

demo: $(VENV)/.installed
	$(BIN)/ganmex demo --out out/demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

bench: $(BENCH)/.installed
	$(BENCH)/bin/python -m benchmarks $(BENCH_ARGS)

lock: $(UV)
	$(COMPILE) --annotation-style line --output-file requirements.lock >/dev/null
	$(COMPILE) --extra dev --constraint requirements.lock --no-annotate --output-file requirements-dev.lock >/dev/null

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are written last, so that an installation that was broken off starts again.
$(VENV)/.installed: requirements.lock setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(f"Expected Python 3.11 or newer. Received: {sys.version.split()[0]}. Name one: \
	make PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(PIP) install -r requirements-dev.lock
	@touch $@

# The peers, in an environment of their own. The lock is complete; pip then adds what PyTorch's wheel needs where it is
# one for GPUs. To spare that: BENCH_PIP_ARGS='--extra-index-url ...' with PyTorch's index of wheels for CPUs.
$(BENCH)/.installed: benchmarks/requirements.lock requirements.lock setup.cfg
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip --disable-pip-version-check install $(BENCH_PIP_ARGS) --no-deps -r benchmarks/requirements.lock
	$(BENCH)/bin/python -m pip --disable-pip-version-check install $(BENCH_PIP_ARGS) torch
	$(BENCH)/bin/python -m pip --disable-pip-version-check install --no-deps --no-build-isolation -e .
	@touch $@

$(UV):
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install uv
