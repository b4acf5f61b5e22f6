# Everything that a developer runs. `make` alone lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

BIN := .venv/bin
UV_VERSION := 0.13.8
SOURCES := protocol policies proxy controlplane tests $(wildcard benchmarks)
ARGS ?=

# A pyenv shim may exist for a Python that is not selected, so each candidate has to run, not just to be found.
FIND_PYTHON := for python in $${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; done; \
	[ -n "$$python" ] || { echo "zonegate needs Python 3.11 or newer with its venv module:" \
	"install it with 'apt-get install python3 python3-venv' or 'brew install python@3.11'," \
	"or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }

.PHONY: help
help: ## List what make can do
	@echo "Usage: make TARGET [ARGS=\"…\"]"; echo
	@awk -F ' ## ' '/^[a-z%-]+:.* ## / {split($$1, name, ":"); printf "  %-16s %s\n", name[1], $$2}' Makefile
	@printf "  %-16s %s\n" "kafka-TOOL" "Any other of Kafka's tools, e.g. kafka-console-consumer, kafka-get-offsets, kafka-acls"

.PHONY: venv
venv: .venv/installed ## Create .venv from requirements-dev.lock, or bring it up to date

.venv/installed: requirements-dev.lock pyproject.toml
	@$(FIND_PYTHON); [ -x $(BIN)/python ] || { echo "Creating .venv with $$("$$python" --version)"; "$$python" -m venv .venv; }
	@echo "Installing the locked dependencies into .venv"
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements-dev.lock | { grep --line-buffered -v '^Requirement already' || true; }
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: lock
lock: ## Choose the newest fitting dependencies and write both lock files
	@$(FIND_PYTHON); [ -x .venv-lock/bin/uv ] || { "$$python" -m venv .venv-lock; .venv-lock/bin/pip install uv==$(UV_VERSION); }
	@compile() { echo "Writing $$1"; .venv-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header pyproject.toml -o "$$@"; }; \
	compile requirements.lock; compile requirements-dev.lock --extra dev --constraints requirements.lock

.PHONY: check
check: venv ## Lint, formatting, types and import layers
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports

.PHONY: format
format: venv ## Format the sources and fix what ruff can fix
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

# Files run side by side, in the order of tests/conftest.py: those that need no Kafka on all processors, the others in two
# processes, each of which has a Kafka of its own; they wait more than they work. ARGS mostly select one file: then
# nothing runs side by side, and one of the two halves may well select nothing, which is pytest's exit code 5 and no
# failure.
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder --numprocesses
KAFKA_TESTS := $(addprefix tests/,equivalence hostile integration kafka)
PYTEST = $(BIN)/pytest -m $(1) $(if $(ARGS),$(ARGS) || [ $$? -eq 5 ],$(SIDE_BY_SIDE) $(2))

# Each of hundreds of processes would compile all modules for itself where PYTHONDONTWRITEBYTECODE is set.
.PHONY: bytecode
bytecode: venv
	@$(BIN)/python -m compileall -q $(SOURCES)

.PHONY: test
test: check bytecode kcat chromium kafka ## Check, then run all tests: first those that need no Kafka (ARGS: for pytest)
	@$(call PYTEST,"not kafka",auto)
	@$(call PYTEST,"kafka",2 $(KAFKA_TESTS))

.PHONY: fuzz
fuzz: venv ## Play a million mutated frames against a session, in all its states (ARGS="--frames N --seed N --jobs N --replay FILE")
	@$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: api-coverage
api-coverage: venv ## Write docs/api-coverage.md anew from the table of APIs
	@$(BIN)/python -m proxy.apis.coverage docs/api-coverage.md

.PHONY: kafka
kafka: venv ## Fetch Apache Kafka into the cache, or say what is missing
	@$(BIN)/python -m tests.kafka prepare

.PHONY: kcat
kcat: ## Install the kcat program that some tests want, where that is possible
	@command -v kcat >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing kcat"; \
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends kcat; } && exit 0; \
	fi; \
	echo "kcat is not installed: its tests will be skipped. Get it with 'sudo apt-get install kcat' or 'brew install kcat'."

.PHONY: chromium
chromium: ## Install Chromium, in which the console is tested, where that is possible
	@[ -z "$${ZONEGATE_TEST_CHROMIUM:-}" ] || exit 0; \
	for program in chromium google-chrome google-chrome-stable; do command -v "$$program" >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium"; \
		export DEBIAN_FRONTEND=noninteractive; install="apt-get install -y --no-install-recommends chromium"; \
		{ $$install || { apt-get update && $$install; }; } && exit 0; \
	fi; \
	echo "Chromium is not installed: the console won't be tested in a browser. Get it with 'sudo apt-get install chromium'," \
		"or name one: ZONEGATE_TEST_CHROMIUM=/path/to/chromium"

.PHONY: console-pictures
console-pictures: venv chromium ## Take the pictures of the console's pages anew, into docs/console
	@$(BIN)/python -m tests.browser.pictures docs/console

.PHONY: demo
demo: venv kafka ## Start Kafka and the gateway and show a partner zone at work (ARGS=--once: show and end)
	@$(BIN)/python -m tests.demo $(ARGS)

.PHONY: bench
bench: venv kafka ## Measure the gateway against a direct connection
	@$(BIN)/python benchmarks/run.py $(ARGS)

.PHONY: FORCE
kafka-topics: FORCE ## Kafka's own tool: make kafka-topics ARGS="--bootstrap-server HOST:PORT --list"
kafka-%: venv FORCE
	@$(BIN)/python -m tests.kafka tool $@ -- $(ARGS)

.PHONY: clean
clean: ## Remove what the other targets made here (Kafka stays in its cache)
	rm -rf .venv .venv-lock build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
