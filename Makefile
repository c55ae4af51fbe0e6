# Each verb does its own set-up. Python 3.11+ and make are all that has to be there.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
PIP := $(BIN)/pip -qq --disable-pip-version-check
INPUTS := pyproject.toml constraints.txt package-lock.json hatch_build.py

.PHONY: help demo test check fmt setup clean

help: ## show these verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/demo.stamp ## run the main job: triplets, a crowd, rounds, a dataset
	@$(BIN)/lookalike demo --port $(PORT)

test: setup check ## check the code and run the tests
	@$(BIN)/python -m pytest -n auto --dist worksteal

check: setup ## lint, types, and who may import whom
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check . && $(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .venv/imports.log || { cat .venv/imports.log; false; }

fmt: setup ## format the code
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

setup: .venv/test.stamp ## install everything that development needs into .venv

clean: ## remove what the verbs made, but not the data in .lookalike
	@rm -rf .venv node_modules static/vendor dist build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lookalike needs Python 3.11 or newer")'
	@$(PYTHON) -m venv .venv

.venv/demo.stamp: $(INPUTS) | .venv/bin/pip
	@echo "Installing Lookalike into .venv (once)" >&2
	@$(PIP) install --constraint constraints.txt --editable '.[local]'
	@touch $@

.venv/test.stamp: $(INPUTS) | .venv/bin/pip
	@echo "Installing Lookalike and its tests' needs into .venv (once)" >&2
	@$(PIP) install --constraint constraints.txt --editable '.[local,worker,training,analysis,dev]'
	@sh tests/browser/install-chromium.sh
	@touch $@ .venv/demo.stamp
