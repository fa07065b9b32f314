# make demo   set everything up, then the main job on drawn films
# make test   set everything up, then all tests
# make check  lint, types, import contracts
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: help demo test test-slow check peers clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# PyTorch goes first and alone, so that a machine with a CPU wheel at hand keeps it; the converter to LiteRT needs an
# older typing-extensions than PyTorch would choose by itself, and says so only after PyTorch is in.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "torch==2.13.*" "typing-extensions<4.13"
	$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	@touch $@

demo: $(VENV)/ready
	$(BIN)/python scripts/demo.py --out $(DEMO)

test: $(VENV)/ready peers
	$(BIN)/python -m pytest

test-slow: $(VENV)/ready peers
	$(BIN)/python -m pytest -m slow

peers:
	@scripts/peers.sh

check: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) $(DEMO) build dist .mypy_cache .ruff_cache .pytest_cache
