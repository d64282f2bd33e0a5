"""The commands of docs/first-run.md, one after the other in one folder, as they stand there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.execution import options as command_lines
from pipelines.execution.roles import engine_of
from tests import documented
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds, test_evaluate_custom, test_readme

PAGE = rounds.ROOT / "docs" / "first-run.md"


def says(body: Body) -> Answer:
    """Plays the old model, the new one, and the judge, who prefers the new one."""
    is_comparison = "### Answer A" in body["messages"][-1]["content"]
    if is_comparison or body["model"] == "better":
        return test_evaluate_custom.says(body)
    return test_readme.says(body)


def test_the_page_leads_to_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f'"Describe number {n}: one line, please."\n' for n in range(54)]
    (tmp_path / "my.csv").write_text("prompt\n" + "".join(lines))
    commands = [words for block in documented.blocks(PAGE) for words in block]
    with serving(says) as server:

        def at_server(*given: object) -> object:
            spec = engine_of(*given)  # type: ignore[arg-type]
            assert spec.url in ("http://localhost:8000", server.url)
            return replace(spec, url=server.url)

        monkeypatch.setattr(command_lines, "engine_of", at_server)
        said = {}
        for words in commands:
            if words[0] == "vllm":
                loaded = [word.partition("=")[0] for word in words if word.startswith("better=")]
                server.models = [words[2], *loaded]
            elif test_readme.understood(words):
                test_readme.understand(words)
            else:
                assert documented.run(words) == 0, (words, capsys.readouterr().err)
                said[words[2]] = " ".join(capsys.readouterr().out.split())
    assert list(said) == ["pipelines.refine", "inspection.report", "pipelines.evaluate",
                          "inspection.compare"]  # fmt: skip
    assert (
        "The new answers are better than those of iteration 1 (FOLDER)"
        in (said["pipelines.evaluate"])
    )
    assert "50 won, 0 tied, 0 lost" in said["pipelines.evaluate"]
    assert "win_rate" in said["inspection.compare"]
    assert (tmp_path / "runs" / "first.html").is_file()


@pytest.mark.parametrize("words", documented.inline(PAGE), ids=" ".join)
def test_each_command_in_the_text_is_understood(words: list[str]) -> None:
    assert documented.module_of(words)
