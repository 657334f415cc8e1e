# What a person runs. A fresh machine needs Python 3.11+ and make, nothing else.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
# The first Python on the PATH that is new enough.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# Those that run by themselves; overlays are checked on theirs by tests/unit/test_configurations_lint.py.
CONFIGURATIONS := $(shell grep -l '^service:' collector/*.yaml)
PACKAGE := $(shell find otel_autopilot -name '*.py' -o -name '*.typed' 2>/dev/null)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(VENV)/.all ## Set up, send one real email through the pipeline and show its trace
	@$(BIN)/otel-autopilot demo

.PHONY: test
test: $(VENV)/.dev ## Set up and run the tests (under five minutes)
	$(BIN)/pytest -n 2 --dist worksteal

.PHONY: cover
cover: $(VENV)/.dev ## The tests with coverage, 85 % at the least
	$(BIN)/coverage erase
	$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report=
	$(BIN)/coverage report

.PHONY: lint
lint: $(VENV)/.dev ## ruff, mypy, import contracts, bandit, the Collector configurations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive -c pyproject.toml otel_autopilot
	$(BIN)/otel-autopilot collector check $(CONFIGURATIONS)

.PHONY: generated
generated: $(VENV)/.dev ## Write the documents that come from code
	$(BIN)/python docs/generate.py

.PHONY: check-generated
check-generated: $(VENV)/.dev ## Fail when a generated document is out of date
	$(BIN)/python docs/generate.py --check

.PHONY: vendor
vendor: $(VENV)/.dev ## Fetch what the viewer takes from others (needs npm)
	$(BIN)/python docs/vendor.py

.PHONY: check-vendor
check-vendor: $(VENV)/.dev ## Fail when that differs from what vendor.toml names
	$(BIN)/python docs/vendor.py --check

.PHONY: stack
stack: $(VENV)/.all ## Build the Collector, Jaeger and Prometheus into the cache (needs Go; about twenty minutes, once)
	@$(BIN)/python -m otel_autopilot.stack.build

.PHONY: test-stack
test-stack: $(VENV)/.dev ## Tests against the real Collector, Jaeger and Prometheus (builds what is missing, as make stack does)
	@$(BIN)/python -m otel_autopilot.stack.build
	$(BIN)/pytest tests/stack

.PHONY: test-browser
test-browser: $(VENV)/.dev ## Click through the viewer in a headless Chromium (apt-get install chromium)
	$(BIN)/pytest tests/browser

.PHONY: bench
bench: $(VENV)/.dev ## Measure, and append to docs/performance/PERFORMANCE_BASELINE.json
	$(BIN)/python -m benchmarks --keep

.PHONY: wheel
wheel: $(VENV)/.dev ## Build the wheel into dist/
	@rm -rf dist
	$(BIN)/python -m hatchling build -t wheel
	@ls dist/*.whl

.PHONY: requirements
requirements: ## Pin the dependencies again, with hashes (needs uv)
	uv pip compile --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements/build.txt
	uv pip compile pyproject.toml --extra all --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements/all.txt
	uv pip compile pyproject.toml --constraints requirements/all.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements/base.txt
	uv pip compile pyproject.toml --extra all --group build --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements/dev.txt

.PHONY: clean
clean: ## Remove the virtual environment and what was built
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "expected Python 3.11 or later on the PATH, found none; install it or set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "expected Python 3.11 or later, $(PYTHON) is another" >&2; exit 1; }
	@echo "Setting up with $$($(PYTHON) --version) in $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV) || { echo "expected python3's venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.all: requirements/build.txt requirements/all.txt pyproject.toml | $(VENV)/.made
	@echo "Installing what the pipeline needs (about a minute)"
	@$(PIP_INSTALL) --require-hashes -r requirements/build.txt
	@$(PIP_INSTALL) --require-hashes --no-build-isolation --use-pep517 -r requirements/all.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/build.txt requirements/dev.txt pyproject.toml | $(VENV)/.made
	@echo "Installing what the tests need (about a minute)"
	@$(PIP_INSTALL) --require-hashes -r requirements/build.txt
	@$(PIP_INSTALL) --require-hashes --no-build-isolation --use-pep517 -r requirements/dev.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.all
