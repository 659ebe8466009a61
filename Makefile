# Every target does all the set-up it needs. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
ARGS ?=

.PHONY: help setup demo test lint format types layers docs check bench soak clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

setup: $(STAMP) ## create .venv and install Holdfast with its development tools

# PYTHON=/path/to/python chooses the interpreter; otherwise the first of these that is new enough and has venv.
$(BIN)/python:
	@for candidate in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "creating $(VENV) with $$("$$candidate" --version)"; \
	        exec "$$candidate" -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo "Holdfast needs Python 3.11 or newer with venv (Debian: apt install python3-venv)." >&2; \
	echo "None was found; name one with: make setup PYTHON=/path/to/python3" >&2; \
	exit 1

# pip reads dependency groups (PEP 735) from 25.1 on; the pip inside a new environment may be older.
$(STAMP): pyproject.toml | $(BIN)/python
	@echo "installing Holdfast and its development tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

demo: setup ## run the main job: devices write offline, meet, and agree
	@$(BIN)/python examples/demo.py $(ARGS)

test: setup ## run the tests on all cores (ARGS="-k vector" narrows them)
	@$(BIN)/pytest -n auto --dist worksteal $(ARGS)

lint: setup ## style and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: setup ## rewrite the sources in the one format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

types: setup ## static types, strict
	@$(BIN)/mypy

layers: setup ## imports point down
	@$(BIN)/lint-imports --no-logo

docs: setup ## links resolve and the public API is documented
	@$(BIN)/pytest -q -n auto tests/test_docs.py tests/test_docs_facts.py

check: lint types layers docs ## everything that must hold before a merge, ending with all tests and their coverage
	@$(BIN)/pytest -n auto --dist worksteal -m "not soak" --cov --cov-report=term --simulation-seeds 500 $(ARGS)

bench: setup ## measure the named scenarios
	@$(BIN)/python -m benchmarks $(ARGS)

soak: setup ## tests that run for minutes
	@$(BIN)/pytest -m "soak or thorough" --timeout 3600 $(ARGS)

clean: ## remove everything that make created
	@rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
