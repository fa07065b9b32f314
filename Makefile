# make demo       set everything up, then the main job on drawn films
# make test       set everything up, then all tests but the long and the slow ones; with LONG=1 the long ones too
# make test-slow  the slow tests: minutes each
# make check      lint, types, import contracts, fast tests; under a minute
# make hooks      run lint and types before each commit
# make docs       build the documentation site into site/
# make wheel      build the wheel, install it in a new environment, read a film with it
# make docs-check run every command of README and docs as it is written
# make peers      install programs that some tests talk to (apt-get, as root)
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope
FAST := tests/test_errors.py tests/test_files.py tests/test_preprocess.py tests/test_prefetch.py tests/test_progress.py \
	tests/test_recipe.py tests/bundle tests/cli/test_main.py tests/film tests/paint tests/reader

.PHONY: help demo test test-slow check docs docs-check wheel hooks peers clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# PyTorch goes first and alone, so that a machine with a CPU wheel at hand keeps it; the converter to LiteRT needs an
# older typing-extensions than PyTorch would choose by itself, and says so only after PyTorch is in.
$(VENV)/ready: pyproject.toml
	@echo "Setting up $(VENV), once: a virtual environment with all of lucency's extras; several minutes, about 3 GB."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "1 of 2: PyTorch"
	$(BIN)/python -m pip install --quiet --progress-bar on "torch==2.13.*" "typing-extensions<4.13"
	@echo "2 of 2: lucency and everything else"
	$(BIN)/python -m pip install --quiet --progress-bar on --editable ".[all,dev]"
	@touch $@

demo: $(VENV)/ready
	$(BIN)/python scripts/demo.py --out $(DEMO)

test: $(VENV)/ready
	@scripts/peers.sh
	$(PYTEST) -m "not slow$(if $(LONG),, and not long)"

test-slow: $(VENV)/ready
	@scripts/peers.sh
	$(PYTEST) -m slow --timeout 3600

check: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) $(FAST)

docs: $(VENV)/ready
	$(BIN)/python scripts/docs_reference.py
	$(BIN)/mkdocs build --strict

wheel: $(VENV)/ready
	$(BIN)/python scripts/wheel_check.py

docs-check: $(VENV)/ready
	$(BIN)/python scripts/docs_check.py

hooks: $(VENV)/ready
	$(BIN)/pre-commit install

peers:
	scripts/peers.sh --install

clean:
	rm -rf $(VENV) $(DEMO) site build dist .mypy_cache .ruff_cache .pytest_cache
