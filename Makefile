# What people and robots type. `make demo` and `make test` work in a fresh clone with nothing but Python 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAUNCHER := $(BIN)/python launch_autonomous_testing.py
# Installing is quiet, and does not ask for a newer pip: the constraints are what is tested.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

SETUP_DONE := $(VENV)/.setup-done
DEV_DONE := $(VENV)/.dev-done

.DEFAULT_GOAL := help
.PHONY: help setup demo dev format lint types layers pytest test bench evidence-stop evidence-guardian evidence-simulate evidence-memory evidence-start evidence-power mutants simulate clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

setup: $(SETUP_DONE)  ## what running needs, into .venv

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Daybreak needs Python 3.11 or newer; try: make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(SETUP_DONE): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	touch $@

dev: $(DEV_DONE)  ## what testing needs as well, system packages included
	tests/support/install_system_packages.sh

$(DEV_DONE): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	touch $(SETUP_DONE) $@

demo: setup  ## a whole campaign in two minutes, against the bundled service
	$(LAUNCHER) run --demo --compress 2min --yes

format: $(DEV_DONE)  ## bring the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(DEV_DONE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEV_DONE)
	$(BIN)/mypy .

layers: $(DEV_DONE)
	$(BIN)/lint-imports

# What starts no processes runs on all cores, and so do load processes against servers of their own. Guardians and crews
# without a campaign around them look like leftovers to a campaign, so these run before. Whole campaigns run two at a time.
SIDE_BY_SIDE := tests/baseline_metrics tests/monitoring_logs tests/results_summary tests/stress_scenarios
TWO_FILES := --numprocesses=2 --dist=loadfile
pytest: dev
	$(BIN)/python -m pytest -m "not process and not campaign" --numprocesses=auto
	$(BIN)/python -m pytest -m "process and not campaign" --numprocesses=auto --dist=loadfile $(SIDE_BY_SIDE)
	$(BIN)/python -m pytest -m "process and not campaign" $(TWO_FILES) $(SIDE_BY_SIDE:%=--ignore=%)
	$(BIN)/python -m pytest -m "campaign" $(TWO_FILES)

# One after another, whatever -j says: the tests that start processes need the machine for themselves.
test: dev  ## everything that has to hold: form, lint, types, layers, tests
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory types
	$(MAKE) --no-print-directory layers
	$(MAKE) --no-print-directory pytest

# Measurements. They need the machine for themselves, and end with an error when a goal is not reached.
evidence-stop: setup  ## measure eight ways in which load ends 100 times each (75 min, root), into docs/evidence/
	$(BIN)/python -m benchmarks.stop_latency

evidence-guardian: setup  ## measure the guardian's own CPU time and memory (2 min), into docs/evidence/
	$(BIN)/python -m benchmarks.guardian_cost

evidence-simulate: setup  ## ten thousand virtual nights and damaged tables (1 min), into docs/evidence/
	$(BIN)/python -m benchmarks.virtual_nights

mutants: dev  ## small faults in guardian, judge, stopping and machine: do the tests notice? (30 min), into docs/evidence/
	$(BIN)/python -m benchmarks.mutants

bench: dev  ## compare with wrk, ab, hey, Locust, aiohttp, httpx, and with known truths (20 min), into docs/evidence/
	benchmarks/peers/install_system_packages.sh
	status=0; for part in engine_truth engine_speed; do $(BIN)/python -m benchmarks.$$part || status=1; done; exit $$status

evidence-memory: setup  ## measure how fast a memory load goes when memory runs low, 100 times (5 min, root), into docs/evidence/
	$(BIN)/python -m benchmarks.memory_breaker

evidence-start: setup  ## measure how long commands take to answer (1 min), into docs/evidence/
	$(BIN)/python -m benchmarks.start_times

evidence-power: dev  ## cut the power under the record 100 times (2 min, needs root), into docs/evidence/
	$(BIN)/python -m benchmarks.power_cuts

simulate: setup  ## ten thousand virtual nights against the invariants
	$(LAUNCHER) simulate --nights 10000 --seed 1

clean:  ## forget what was installed and cached; runs/ stays
	rm -rf $(VENV) .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache dist
	find . -name __pycache__ -not -path './runs/*' -type d -prune -exec rm -rf {} +
