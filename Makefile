# `make` prints this list. Every target prepares what it needs by itself.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA := build/training

# Side by side, whole modules at a time; each process has a broker of its own. Those
# that wait for brokers come first, by their place in the tree.
PYTEST := -m pytest -n 3 --dist loadfile --no-loadscope-reorder
MODEL := 2018-09-16.1

HANDBOOK ?= ../shared/data/handbook_transactions.parquet

# Plain assignments: the command line wins, a shell's own variables do not.
SECONDS = 60
RATE = 500
WORKERS = 1
ARGS =

SUPPORTED := (3, 11) <= sys.version_info[:2] <= (3, 13)
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not $(SUPPORTED))' 2>/dev/null \
	&& echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup kafka fmt lint type arrows test test-kafka coverage check
.PHONY: observe demo faults bench bench-curves bench-profile bench-capacity
.PHONY: quality model clean

help: ## Print this list.
	@echo "make TARGET [ARGS=...]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

setup: $(READY) kafka ## Install everything: .venv, and the jars of Kafka in .kafka.

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed"; exit 1; }
	@echo "Installing the pinned packages into $(VENV) (a minute or two, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq -c constraints.txt setuptools
	@$(BIN)/pip install -qq -c constraints.txt --no-build-isolation -e '.[dev]'
	@echo "Compiling the kernels (half a minute, once) ..."
	@FRAUD_MODELS_DIR=models $(BIN)/fraud-worker check --offline >/dev/null
	@touch $@

# Without Java or Maven the tests that need Kafka are skipped, but never in CI.
kafka: $(READY)
	@$(BIN)/python -m demo.broker --prepare || test -z "$$CI"

fmt: $(READY) ## Format the code and repair what can be repaired.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: $(READY) ## Check format and style with ruff.
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

type: $(READY) ## Check types with mypy, strictly.
	@$(BIN)/mypy

arrows: $(READY) ## Check which module may import which.
	@$(BIN)/lint-imports

test: $(READY) kafka ## Run all tests; ARGS="-k window" for some.
	@$(BIN)/python $(PYTEST) $(ARGS)

test-kafka: $(READY) kafka ## Run the tests that need a real Kafka.
	@$(BIN)/python $(PYTEST) -m kafka $(ARGS)

coverage: $(READY) kafka ## Run all tests and print what they do not reach.
	@$(BIN)/coverage erase
	@$(BIN)/coverage run $(PYTEST) $(ARGS)
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report

check: lint type arrows test ## Run everything that CI runs.

demo: $(READY) kafka ## Score live traffic on Kafka; SECONDS=60 RATE=500 WORKERS=1.
	@$(BIN)/python -m demo.run \
		--seconds $(SECONDS) --rate $(RATE) --workers $(WORKERS) $(ARGS)

faults: $(READY) kafka ## Make every fault strike, and audit what comes of it.
	@$(BIN)/python -m tests.faults $(ARGS)

observe: $(READY) kafka ## Drift, loss and silence, seen by a Prometheus on this machine.
	@$(BIN)/python -m tests.observe $(ARGS)

bench: $(READY) kafka ## Measure throughput, latency, CPU and memory; hold them to targets.
	@HANDBOOK="$(HANDBOOK)" $(BIN)/python -m tests.benchmarks $(ARGS)

bench-curves: $(READY) kafka ## Measure and plot what the cost of an event depends on.
	@HANDBOOK="$(HANDBOOK)" $(BIN)/python -m tests.benchmarks.curves $(ARGS)

bench-profile: $(READY) kafka ## Draw where a worker's time goes; ARGS="--stages 2".
	@HANDBOOK="$(HANDBOOK)" $(BIN)/python -m tests.benchmarks.profile $(ARGS)

bench-capacity: $(READY) ## Calculate what a cluster carries and costs, after `make bench`.
	@$(BIN)/python -m tests.benchmarks.capacity $(ARGS)

# The published protocol, on the Handbook's own data; above .79 something leaks.
quality: $(READY) ## Hold a model of both entities against the published figures.
	@test -e "$(HANDBOOK)" || { echo "$(HANDBOOK) is missing; let HANDBOOK name the" \
		"Parquet file of the Handbook's transactions"; exit 1; }
	@$(BIN)/fraud-train evaluate --spec handbook --transactions $(HANDBOOK) \
		--labels $(HANDBOOK) --train-until 2018-07-31 --weeks 4 \
		--minimum-average-precision 0.72 $(ARGS)

# 60 alerts a day: most of what further ones would show is genuine. Twice as many days of
# training change the average precision by less than the weeks differ.
model: $(READY) ## Make the bundle in models/ again, from simulated payments.
	rm -rf models/$(MODEL) models/CURRENT
	$(BIN)/fraud-train simulate --out $(DATA)
	$(BIN)/fraud-train fit --spec handbook --transactions $(DATA)/transactions.parquet \
		--labels $(DATA)/labels.parquet --train-days 14 --alert-budget 60 \
		--out models --version $(MODEL)
	$(BIN)/fraud-train publish $(MODEL) --models models

clean: ## Remove what these targets made, .venv and .kafka included.
	rm -rf $(VENV) .kafka build dist *.egg-info htmlcov .coverage .coverage.*
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
