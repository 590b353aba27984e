# The doors of the project; each says what it does under `make help`. The work is done by tools/*.py.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
ARGS ?=
SEED ?=
SEEDS ?= 20
PART ?= simulation
MINUTES ?= 10
SUITE ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test lint format sim golden bench chaos long ci docs clean

help:  ## these lines
	@printf 'make TARGET   (PYTHON=python3.12 chooses the interpreter)\n\n'
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

setup:  ## .venv with the product in it; does nothing when it is up to date
	@$(PYTHON) tools/environment.py --venv $(VENV)

setup-dev:  ## the same with what tests and checks need
	@$(PYTHON) tools/environment.py --venv $(VENV) --extra dev

run: setup  ## four members and sample vouchers until Ctrl-C (ARGS=--once ends by itself)
	@exec $(PY) tools/foreground.py $(VENV)/bin/zizhu up --members 4 --samples $(ARGS)

test: setup-dev  ## all tests that fit into ten minutes
	@$(PY) -m pytest tests -m "not slow and not long" -n 2 --dist loadgroup $(ARGS)

lint: setup-dev  ## ruff, mypy strict, import-linter, tidy
	@$(PY) tools/lint.py $(ARGS)

format: setup-dev  ## rewrite the sources in the one format
	@$(PY) -m ruff format src tools tests && $(PY) -m ruff check --fix-only --quiet src tools tests

sim: setup-dev  ## SEED=n replays one seed; without it SEEDS=n fresh ones
	@$(PY) -m zizhu.framework.testkit.simulate $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(ARGS)

golden: setup-dev  ## record a golden chain into tests/golden
	@$(PY) -m zizhu.framework.testkit.golden --out tests/golden $(ARGS)

bench: setup  ## figures of this machine: a workload on four members
	@$(VENV)/bin/zizhu bench $(ARGS)

chaos: setup-dev  ## members of a real network killed, cut off, split and slowed down under load
	@$(PY) -m pytest tests -m "process and not long" $(ARGS)

long: setup-dev  ## PART=simulation|kills|malformed|crosschecks MINUTES=n; adds its counts to tests/long
	@$(PY) tools/long.py --part $(PART) --minutes $(MINUTES) $(ARGS)

ci:  ## everything that a change has to pass, part by part within its budget
	@$(PYTHON) tools/ci.py --venv $(VENV) $(ARGS)

docs: setup-dev  ## write the generated pages of docs/reference again
	@$(PY) tools/errors_reference.py --write

clean:  ## remove what was built here; never touches zizhu-data
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
