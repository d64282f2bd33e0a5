"""Commands of one's own that start servers: their templates, words and environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spar_core.engine import serve_command
from spar_core.engine.protocol import EngineGone

PYTHON = sys.executable


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", r"\{model\} is missing.*'vllm serve"),
        ("serve --port {port}", r"\{model\} is missing"),
        ("serve {model}", r"\{port\} is missing"),
        ("serve {model} {port} {gpu}", r"no placeholder \{gpu\}: there are \{model\}, \{port\}"),
        ("serve {Model} {port}", r"no placeholder \{Model\}"),
        ("serve '{model} {port}", "No closing quotation"),
        ("{model} {port}", "is no program"),
    ],
)
def test_template_that_is_no_good_is_refused(template: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        serve_command.parse_template(template)


def test_values_replace_placeholders_inside_words_and_no_shell_reads_them(tmp_path: Path) -> None:
    model = tmp_path / "a model; $(rm x)"
    model.mkdir()
    template = f"'{PYTHON}' -m x --model={{model}} 'a b' --port {{port}} -n {{slots}} | tee $HOME"
    made = serve_command.command(template, str(model), 81, slots=7, key="")
    asked = [PYTHON, "-m", "x", f"--model={model}", "a b", "--port", "81", "-n", "7", "|", "tee"]
    assert list(made.words) == [*asked, "$HOME"]
    assert not made.bears_others


def test_braces_of_json_stay_and_a_model_may_look_like_a_placeholder() -> None:
    template = f"{PYTHON} {{model}} {{port}} '{{\"top_k\": 1}}' {{}}"
    made = serve_command.command(template, "{port}", 81, slots=7, key="")
    assert list(made.words) == [PYTHON, "{port}", "81", '{"top_k": 1}', "{}"]


def test_paths_become_absolute_and_names_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m").mkdir()
    monkeypatch.chdir(tmp_path)
    for model, given in (("m", str(tmp_path / "m")), ("org/name", "org/name")):
        made = serve_command.command(f"{PYTHON} {{model}} {{port}}", model, 8, slots=1, key="")
        assert made.words[1] == given


def test_message_names_the_program_and_the_model_and_no_other_word() -> None:
    template = f"{PYTHON} --token=hush {{model}} {{port}}"
    made = serve_command.command(template, "m", 81, slots=7, key="")
    assert made.name == f"the server of --serve ({Path(PYTHON).name}) with m"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("no-such-program", r"^--serve: no program on the PATH named no-such-program$"),
        ("./no/such", r"^--serve: no file to run named \./no/such$"),
    ],
)
def test_program_that_is_not_there_is_said_so(program: str, said: str) -> None:
    with pytest.raises(EngineGone, match=said):
        serve_command.check_program(f"{program} {{model}} {{port}}")


@pytest.mark.parametrize(("key", "kept"), [("", set()), ("MY_API_KEY", {"MY_API_KEY"})])
def test_environment_has_no_key_but_the_one_that_the_server_wants(
    monkeypatch: pytest.MonkeyPatch, key: str, kept: set[str]
) -> None:
    for name in ("OPENAI_API_KEY", "JUDGE_API_KEY", "MY_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "hush")
    held = serve_command.environment(key)
    assert {name for name, value in held.items() if value == "hush"} == {"HF_TOKEN", *kept}
