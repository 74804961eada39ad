# amqpd's daily commands. Needs make and a Python from 3.11 on with its venv module; everything else goes into .venv.
# What is compiled needs a C compiler and Python's headers too, and goes by way of build/ into dist/.
# ARGS is handed on to the command:  make run ARGS="--port 5673",  make test ARGS="tests/wire -x".

.DEFAULT_GOAL := help
.PHONY: help run monitor test test-compiled check crash interop dashboards panels wheel compiled pure clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check

# The first of these that is new enough and can make a virtual environment (Debian ships ensurepip apart); or yours: PYTHON=...
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/runtime.stamp  ## start a broker on 127.0.0.1:5672, with metrics on 127.0.0.1:15692 (Ctrl-C ends it)
	@exec $(BIN)/amqpd serve $(ARGS)

monitor: $(VENV)/dev.stamp  ## the same with a load to look at, and a Prometheus on 127.0.0.1:19090 (Ctrl-C ends it)
	@exec $(BIN)/python -m grafana.monitor $(ARGS)

# Three at a time on two cores, since many a test waits. Each of the three has a broker of its own. For one: ARGS="-n 0".
PYTEST := $(BIN)/pytest -n 3 --dist worksteal

test: $(VENV)/dev.stamp  ## run all tests on the sources, those with real clients too
	$(PYTEST) $(ARGS)

test-compiled: $(VENV)/dev.stamp build/compiled.stamp  ## run the same tests on the compiled wheel
	TESTED_BUILD=compiled $(PYTEST) $(ARGS)

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

# The baseline is tests/instructions/baseline.json. It is made anew for the interpreter in .venv, and stays for others.
INSTRUCTIONS = $(BIN)/python -m tests.instructions $(ARGS)
.PHONY: bench-check bench-check-compiled bench-baseline
bench-check: $(VENV)/dev.stamp  ## count what a message costs; 5 % more than the baseline fails
	$(INSTRUCTIONS)

bench-check-compiled: $(VENV)/dev.stamp build/compiled.stamp  ## the same with the compiled wheel
	PYTHONSAFEPATH=1 PYTHONPATH=build/compiled:. $(INSTRUCTIONS)

bench-baseline: $(VENV)/dev.stamp build/compiled.stamp  ## make the present costs the baseline, of both builds
	$(INSTRUCTIONS) --write
	PYTHONSAFEPATH=1 PYTHONPATH=build/compiled:. $(INSTRUCTIONS) --write

dashboards: $(VENV)/dev.stamp  ## write grafana/dashboards/*.json, what Grafana imports, from the code
	$(BIN)/python -m grafana

# The pictures of the README, from what "make monitor" has seen in its last minutes.
RENDER = $(BIN)/python -m grafana.render --minutes $(or $(MINUTES),5)
panels: $(VENV)/dev.stamp  ## draw docs/overview.png and docs/queues.png, while "make monitor" runs (MINUTES=5)
	$(RENDER) grafana/dashboards/overview.json docs/overview.png --rows 39
	$(RENDER) grafana/dashboards/queues.json docs/queues.png --rows 47

wheel: build/wheel.stamp  ## compile amqpd with mypyc into a wheel in dist/

compiled: build/wheel.stamp  ## install that wheel, so that "make run" runs it
	$(PIP) install dist/*.whl
	$(PIP) install --no-deps --force-reinstall dist/*.whl
	@touch $(VENV)/compiled $(VENV)/runtime.stamp

pure: | $(BIN)/pip  ## go back to the sources
	rm -f $(VENV)/compiled
	$(PIP) install --editable=.
	@touch $(VENV)/runtime.stamp

clean:  ## remove the virtual environment and what tools have left behind
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than pyproject.toml when what it says must be installed again, and only then. What is installed of amqpd
# is the sources where they lie, or since "make compiled" the wheel; tests choose for themselves, see conftest.py.
INSTALLED = $(if $(wildcard $(VENV)/compiled),$(wildcard dist/*.whl),--editable=.)

$(VENV)/runtime.stamp: pyproject.toml | $(BIN)/pip
	$(PIP) install $(INSTALLED)
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/pip
	$(PIP) install '$(INSTALLED)[dev]'
	@touch $(VENV)/runtime.stamp $@

build/wheel.stamp: hatch_build.py pyproject.toml README.md $(shell find amqpd -name '*.py') | $(BIN)/pip
	rm -f dist/*.whl
	HATCH_BUILD_HOOKS_ENABLE=1 $(PIP) wheel --no-deps --wheel-dir dist .
	@touch $@

build/compiled.stamp: build/wheel.stamp
	rm -rf build/compiled
	$(PIP) install --no-deps --target build/compiled dist/*.whl
	@touch $@

$(BIN)/pip:
	@test -n "$(PYTHON)" || { \
		echo "amqpd needs Python 3.11 or newer, with its venv module (on Debian and Ubuntu: apt-get install python3-venv)." >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
