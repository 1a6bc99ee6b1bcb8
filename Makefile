# What people and CI run. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHELLS := $(shell git ls-files 'deploy/server/*.sh' '.ci/run')

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit sample lab check format chaos bench clean

help: ## list what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "backstay needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

setup: $(READY) ## make the virtual environment

demo: $(READY) ## the whole story on this machine: no Docker, no root
	$(BIN)/fab demo

test: unit sample lab ## all tests

unit: $(READY) ## the tests that need no server
	$(BIN)/python -m tests.lab tools
	$(BIN)/python -m pytest -n 2 tests/ssh
	$(BIN)/python -m pytest -n 4 --dist worksteal --ignore tests/lab --ignore tests/ssh

sample: $(READY) ## 64 deployments under random faults, other ones each time
	$(BIN)/python -m tests.lab tools
	$(BIN)/python -m tests.chaos --runs 64 --workers 4 --world fast

lab: $(READY) ## the tests on a real server, which they install here (Debian 12, root)
	$(BIN)/python -m pytest -m alone tests/lab
	$(BIN)/python -m pytest -m 'not alone' -n 3 --dist loadfile tests/lab

check: $(READY) ## lint, types, shell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck -s sh $(SHELLS)

format: $(READY) ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: $(READY) ## 310 deployments and 1,000 stories under random faults, and what came of them
	$(BIN)/python -m tests.lab tools
	BACKSTAY_EXAMPLES=1000 $(BIN)/python -m pytest -n 4 tests/runner/test_model.py
	$(BIN)/python -m tests.chaos

bench: $(READY) ## how long it takes, against plain ssh
	$(BIN)/python -m tests.bench

clean: ## remove what was made here
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
