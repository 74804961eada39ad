# amqpd's daily commands. Needs make and a Python from 3.11 on with its venv module; everything else goes into .venv.
# ARGS is handed on to the command:  make run ARGS="--port 5673",  make test ARGS="tests/wire -x".

.DEFAULT_GOAL := help
.PHONY: help run test check crash interop clean

VENV := .venv
BIN := $(VENV)/bin

# The first of these that is new enough and can make a virtual environment (Debian ships ensurepip apart); or yours: PYTHON=...
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/runtime.stamp  ## start a broker on 127.0.0.1:5672, with metrics on 127.0.0.1:15692 (Ctrl-C ends it)
	@exec $(BIN)/amqpd serve $(ARGS)

test: $(VENV)/dev.stamp  ## run all tests, those with real clients too
	$(BIN)/pytest $(ARGS)

check: $(VENV)/dev.stamp  ## lint, check the formatting and the types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict

interop: $(VENV)/dev.stamp  ## run the tests with real clients only (against another broker: AMQP_URL=amqp://...)
	$(BIN)/pytest interop $(ARGS)

# The seed is printed, so that a failure can be looked for again.
ROUNDS ?= 200
SEED ?= $(shell date +%s)
crash: $(VENV)/dev.stamp  ## kill the broker again and again, for some minutes (ROUNDS=200 SEED=1)
	CRASH_ROUNDS=$(ROUNDS) CRASH_SEED=$(SEED) $(BIN)/pytest tests/crash/test_crash.py --capture=no $(ARGS)

clean:  ## remove the virtual environment and what tools have left behind
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than pyproject.toml when what it says must be installed again, and only then.
$(VENV)/runtime.stamp: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/runtime.stamp $@

$(BIN)/pip:
	@test -n "$(PYTHON)" || { \
		echo "amqpd needs Python 3.11 or newer, with its venv module (on Debian and Ubuntu: apt-get install python3-venv)." >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
