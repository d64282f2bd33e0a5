"""Why servers do not start, in lines that vLLM, SGLang and llama.cpp write."""

from __future__ import annotations

from pathlib import Path

import pytest

from spar_core.engine.start_failure import why_not_up

VLLM = "(EngineCore pid=7) ERROR 12-01 10:00:00 [core.py:900] "
WRAPPED = (
    f"{VLLM}Traceback (most recent call last):\n{VLLM}%s\nTraceback (most recent call last):\n"
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
)

MEMORY = {
    "vLLM, weights": (
        WRAPPED % "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA out of memory",
        "more GPUs",
    ),
    "vLLM, cache": (
        WRAPPED % "ValueError: To serve at least one request with the model's max seq len (131072),"
        " 16.0 GiB KV cache is needed, which is larger than the available KV cache memory (2 GiB).",
        "KV cache is needed",
        "--max-model-len",
    ),
    "vLLM, none left for the cache": (
        WRAPPED % "ValueError: No available memory for the cache blocks. Try increasing it.",
        "No available memory",
        "--max-model-len",
    ),
    "vLLM, others hold it": (
        WRAPPED % "ValueError: Free memory on device cuda:0 (3/80 GiB) on startup is less than "
        "desired GPU memory utilization (0.92, 73 GiB). Decrease GPU memory utilization.",
        "Free memory on device",
        "end the other processes",
    ),
    "SGLang": (
        "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.\nKilled",
        "Not enough memory",
        "--mem-fraction-static",
    ),
    "llama.cpp, GPU": (
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 900.00 MiB on device 0: cudaMalloc "
        "failed: out of memory\nllama_model_load: error loading model: unable to allocate CUDA0 "
        "buffer\nsrv load_model: error: failed to load model",
        "cudaMalloc failed",
        "quantized model",
    ),
    "llama.cpp, cache": (
        "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv "
        "cache\nerror: failed to create context",
        "kv cache",
        "fewer --slots",
    ),
}


def why(tmp_path: Path, text: str, code: str = "1") -> str:
    before = "RuntimeError: CUDA out of memory, of the run before\n"
    (tmp_path / "log").write_text(before + text)
    return why_not_up("it", code, tmp_path / "log", len(before))


@pytest.mark.parametrize(("text", "reason", "remedy"), MEMORY.values(), ids=MEMORY)
def test_memory_that_ran_out_is_said_with_the_remedy(
    tmp_path: Path, text: str, reason: str, remedy: str
) -> None:
    said, what_to_do = why(tmp_path, text).splitlines()
    assert said.startswith("it did not start, out of memory: ") and reason in said
    assert remedy.lower() in what_to_do.lower()


def test_process_that_the_system_killed_is_told_from_one_with_an_error(tmp_path: Path) -> None:
    for code in ("-9", "137"):
        assert "killed (SIGKILL), as the system does" in why(tmp_path, "loading", code)
    assert why(tmp_path, "loading", "-15") == "it did not start (exit code -15): loading"


def test_cause_is_told_and_not_the_line_that_points_to_it(tmp_path: Path) -> None:
    said = why(tmp_path, WRAPPED % "ValueError: Unknown quantization method: x")
    assert said.startswith("it did not start (exit code 1): (EngineCore")
    assert said.endswith("ValueError: Unknown quantization method: x")


def test_command_that_leaves_its_server_in_the_background_is_told_to_stay(tmp_path: Path) -> None:
    assert "in the foreground" in why(tmp_path, "container 123 started", "0")


def test_what_a_server_says_is_one_short_line_without_control_characters(tmp_path: Path) -> None:
    said = why(tmp_path, "x" * 9000 + "\x1b[31m Error\x07\n")
    assert len(said) < 500 and said.isprintable()


def test_log_that_is_not_there_is_no_output(tmp_path: Path) -> None:
    assert why_not_up("it", "3", tmp_path / "log", 0) == "it did not start (exit code 3): no output"
