# Each target does its own set-up on a fresh Debian machine with Python 3.11. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help demo test check bench bench-fork bench-runner bench-start simulate constraints clean
.DEFAULT_GOAL := help

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

# System packages are installed when they are missing and we are root; otherwise the command to run is said.
.PHONY: system-%
system-%:
	@sh scripts/system-package.sh $*

demo: $(STAMP) ## Two real candidates beside a real model, on real traffic: two verdicts (about four minutes)
	$(BIN)/python demo/run.py

test: check system-chromium ## Everything that must hold: style, types, layers, then the tests (under ten minutes)
	$(BIN)/pytest -n 2 --dist loadgroup

check: $(STAMP) ## The fast part: style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: bench-fork bench-runner bench-start ## All benchmarks; results in bench/results/*.json

bench-fork: $(STAMP) system-wrk ## Requests per second per core of the gateway: direct, through, forked
	$(BIN)/python bench/fork.py

bench-runner: $(STAMP) ## Exchanges per second from inbox to durable log
	$(BIN)/python bench/runner.py

bench-start: $(STAMP) ## Import, --help and gateway start: time and memory
	$(BIN)/python bench/start.py

simulate: $(STAMP) ## Long, seeded simulations of the statistical promises
	$(BIN)/python bench/simulate.py

constraints: $(STAMP) ## Pin the versions that are installed now
	$(BIN)/python -m pip freeze --exclude-editable | grep -v ' @ ' > constraints.txt

clean: ## Remove what the targets made
	rm -rf $(VENV) .venv-demo .gnomon demo/work .mypy_cache .ruff_cache .hypothesis
