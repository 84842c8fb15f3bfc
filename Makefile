# Every command of the project. Each sets up what it needs first, so a fresh clone can start with any of them.
#   make demo PORT=8080            another port
#   make test ARGS="-k churn -x"   anything pytest takes
#   make setup PYTHON=python3.12   another interpreter for a new .venv

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PORT ?= 8000
ARGS ?=
export PORT
# Without compiled files every start of Python is several times slower.
unexport PYTHONDONTWRITEBYTECODE

PYTHON_IN_VENV := .venv/bin/python
MANAGE := $(PYTHON_IN_VENV) manage.py
APPS := team accounts usage tickets surveys metrics playbooks intake workspace
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
FRONT_END := static/vendor/licences.txt
CSPLATFORM_VAR ?= var
STATIC := $(CSPLATFORM_VAR)/static/staticfiles.json
# `check --deploy` looks at an installation behind https, as in docs/operating.md.
DEPLOYED := BASE_URL=https://csplatform.example ALLOWED_HOSTS=csplatform.example DEBUG=false

.PHONY: help setup demo demo-reset test check lint test-services bench lock upgrade backup restore screenshots clean

help: ## this list
	@echo 'csplatform: make TARGET'
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile

# --- Set-up ---------------------------------------------------------------------------

setup: $(DEVELOPMENT) $(FRONT_END) ## .venv with the locked packages, and the front-end files; every other target does it when needed

$(RUNTIME): requirements.txt
	@scripts/setup.sh python
	@touch $@

$(DEVELOPMENT): requirements.txt requirements-dev.txt
	@scripts/setup.sh development
	@touch $(RUNTIME) $@

$(FRONT_END): package-lock.json scripts/vendor.py scripts/icons.txt | $(RUNTIME)
	@scripts/setup.sh front-end
	@touch $@

# --- Try it ---------------------------------------------------------------------------

# Both cores work: the data is made while the static files are compressed.
demo: $(RUNTIME) $(FRONT_END) ## a company of 200 customers and two years on http://127.0.0.1:8000; Ctrl-C stops it
	@$(MAKE) --silent --no-print-directory --jobs=2 $(STATIC) demo-data DEMO=--if-empty
	@exec $(MANAGE) serve

demo-reset: $(RUNTIME) $(FRONT_END) ## delete all customer data (asks at a terminal) and start the demo over
	@$(MAKE) --silent --no-print-directory demo-data DEMO="--reset $$([ -t 0 ] || echo --yes)"
	@$(MAKE) --silent --no-print-directory $(STATIC)
	@exec $(MANAGE) serve

.PHONY: demo-data
demo-data: $(RUNTIME)
	@$(MANAGE) migrate --noinput --verbosity 0
	@$(MANAGE) demo_data --accounts 200 $(DEMO)

$(STATIC): $(RUNTIME) $(FRONT_END) $(shell find static $(addsuffix /static,$(APPS)) -type f 2>/dev/null)
	@echo 'Compressing static files.'
	@$(MANAGE) collectstatic --noinput --verbosity 0

# --- Prove it -------------------------------------------------------------------------

test: $(DEVELOPMENT) $(FRONT_END) ## everything that needs no server
	@$(PYTHON_IN_VENV) -m pytest -n auto --dist loadgroup -m "not browser and not services" $(ARGS)

check: lint test ## linters, types, layers, templates, migrations, deployment check, then the tests

lint: $(DEVELOPMENT) $(FRONT_END) ## what check does before the tests
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m mypy
	.venv/bin/lint-imports --no-logo
	$(PYTHON_IN_VENV) -m djlint --lint --quiet templates $(APPS)
	$(MANAGE) makemigrations --check --dry-run
	$(DEPLOYED) $(MANAGE) check --deploy --fail-level WARNING

test-services: $(DEVELOPMENT) $(FRONT_END) ## the whole suite on PostgreSQL and Redis, browser tests included; installs and stops what it needs
	@$(PYTHON_IN_VENV) scripts/services.py $(PYTHON_IN_VENV) -m pytest -n auto --dist loadgroup $(ARGS)

bench: $(DEVELOPMENT) $(FRONT_END) ## the benchmarks as a table
	@$(PYTHON_IN_VENV) -m benchmarks $(ARGS)

screenshots: $(DEVELOPMENT) $(FRONT_END) ## take the README's pictures anew
	@$(PYTHON_IN_VENV) scripts/screenshots.py $(ARGS)

# --- Keep it --------------------------------------------------------------------------

backup: $(RUNTIME) ## database, files and key into one archive: make backup [FILE=…]
	@$(PYTHON_IN_VENV) scripts/backup.py save $(FILE)

restore: $(RUNTIME) ## bring an archive back: make restore FILE=… [OVERWRITE=yes]
	@$(PYTHON_IN_VENV) scripts/backup.py restore $(FILE) $(if $(OVERWRITE),--overwrite)

lock: $(DEVELOPMENT) ## write the lock files anew after a change of requirements*.in or package.json
	@$(PYTHON_IN_VENV) scripts/lock.py

upgrade: $(DEVELOPMENT) ## lock, with the newest releases of what is only needed indirectly
	@$(PYTHON_IN_VENV) scripts/lock.py --upgrade

clean: ## remove .venv, front-end files and caches; var/ with your data stays
	rm -rf .venv node_modules static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
