# Two commands are all a newcomer needs: `make demo` and `make test`. Each sets up what it needs by itself.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2

.PHONY: demo test test-programs test-scale test-root bench lint docs clean

demo: $(VENV)/.demo
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

test-programs: $(VENV)/.programs
	$(BIN)/python -m pytest -m programs $(ARGS)

test-scale: $(VENV)/.test
	$(BIN)/python -m pytest -m scale $(ARGS)

test-root: $(VENV)/.test
	$(BIN)/python -m pytest -m root $(ARGS)

bench: $(VENV)/.bench
	$(BIN)/python -m bench $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.test
	$(BIN)/python -m docs.generate

clean:
	rm -rf $(VENV) build dist demo src/*.egg-info

# One stamp for each set of packages, made again when the metadata changes.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv does not work here; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.demo $(VENV)/.test $(VENV)/.lint $(VENV)/.programs $(VENV)/.bench: $(VENV)/.%: pyproject.toml $(wildcard src/vestige/observe/native/*) | $(VENV)/bin/python
	@echo "setting up $(VENV) ($*)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
