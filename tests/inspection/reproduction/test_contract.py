"""What is accepted of `reproduction.json`, and what is refused and how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inspection.reproduction import contract
from inspection.reproduction.contract import FILE, Case
from terminal.exits import InputError
from tests.inspection.reproduction.folders import Folder

ROW: dict[str, Any] = {
    **{"seed": 1, "measure": "taught", "line": "spar", "iteration": 2},
    **{"run": "seed-1/scores", "variant": "taught-spar-2", "benchmark": "custom"},
    **{"decoder": "bfs", "responses": 8},
}


def written(folder: Path, **more: Any) -> Path:
    return Folder(folder).write(**more)


def test_everything_is_read(tmp_path: Path) -> None:
    step = {"name": "seed 1: DPO", "seconds": 1.5, "command": ["python"], "code": 0}
    run = written(tmp_path, evaluations=[ROW], steps=[step], command=["python", "-m", "it"])
    held = contract.read(run)
    assert held.scale == "cpu"
    assert held.settings == {"iterations": 2, "prompts": {"iteration": 300}}
    assert held.steps == [contract.Step("seed 1: DPO", 1.5)]
    assert held.command == ["python", "-m", "it"]
    [record] = held.evaluations
    assert record.case == Case("taught", "spar", 2, "bfs", 8)
    assert (record.seed, record.variant, record.benchmark) == (1, "taught-spar-2", "custom")
    assert record.path == tmp_path.resolve() / "seed-1" / "scores"


def test_a_decoder_that_is_not_named_is_greedy(tmp_path: Path) -> None:
    row = {name: value for name, value in ROW.items() if name not in ("decoder", "responses")}
    [record] = contract.read(written(tmp_path, evaluations=[row])).evaluations
    assert record.case == Case("taught", "spar", 2, "greedy", 1)


def test_only_the_scale_is_needed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"scale": "gpu"}')
    held = contract.read(tmp_path)
    assert (held.scale, held.settings, held.steps, held.evaluations) == ("gpu", {}, [], [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": "1"}, 'evaluations[0]: seed is "1", not a whole number'),
        ({"seed": True}, "seed is true, not a whole number"),
        ({"iteration": -1}, "iteration is -1, not a whole number from 0 to 100"),
        ({"iteration": 101}, "iteration is 101, not"),
        ({"responses": 0}, "responses is 0, not a whole number from 1"),
        ({"measure": None}, "measure is null, not text"),
        ({"line": " "}, 'line is " ", not a name'),
        ({"line": "x" * 81}, "not a name of 1 to 80 characters"),
        ({"variant": None}, "variant is null, not text"),
        ({"run": 5}, "run is 5, not text"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    run = written(tmp_path, evaluations=[{**ROW, **change}])
    with pytest.raises(InputError) as refused:
        contract.read(run)
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / FILE}: evaluations[0]: ")


@pytest.mark.parametrize(
    "path", ["../other", "seed-1/../../other", "/etc", "", "out/of", "a::b", "x\0y", "round/it"]
)
def test_a_path_outside_is_refused(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "other").mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "round").symlink_to(folder / "round")
    run = written(folder, evaluations=[{**ROW, "run": path}])
    with pytest.raises(InputError, match="not a path inside the reproduction's folder"):
        contract.read(run)


def test_an_absolute_path_is_refused_even_inside(tmp_path: Path) -> None:
    """The folder could not be moved."""
    run = written(tmp_path, evaluations=[{**ROW, "run": str(tmp_path / "scores")}])
    with pytest.raises(InputError, match="not a path inside"):
        contract.read(run)


def test_a_link_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "scores")
    run = written(tmp_path, evaluations=[{**ROW, "run": "link"}])
    [record] = contract.read(run).evaluations
    assert record.path == (tmp_path / "scores").resolve()


def test_the_same_case_twice_is_refused(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "seed": 2}, {**ROW, "variant": "another"}]
    with pytest.raises(InputError, match=r"evaluations\[2\] is of the same measure"):
        contract.read(written(tmp_path, evaluations=rows))
    assert len(contract.read(written(tmp_path, evaluations=rows[:2])).evaluations) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("\udc80", "is not valid JSON"),
        ('{"scale": NaN}', "NaN is not a number of JSON"),
        ("[]", "is [], not an object"),
        ('{"scale": "cpu", "steps": {}}', "steps is {}, not a list"),
        ('{"scale": "cpu", "settings": []}', "settings is [], not an object"),
        ('{"scale": "cpu", "steps": [{"name": "x", "seconds": 1e999}]}', "not a number of seconds"),
        ('{"scale": "cpu", "steps": [{"name": "x", "seconds": -1}]}', "not a number of seconds"),
        ("{}", "scale is null, not text"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as refused:
        contract.read(tmp_path)
    assert says in str(refused.value)


@pytest.mark.parametrize("place", ["missing", "."])
def test_no_reproduction_is_told(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="no reproduction at"):
        contract.read(tmp_path / place)


@pytest.mark.parametrize("value", [0, -2, "12", None, True, 10**400])
def test_a_perplexity_is_a_positive_number(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "perplexity.json"
    path.write_text(json.dumps({"perplexity": value}))
    with pytest.raises(InputError, match="not a positive number"):
        contract.perplexity(path)


def test_a_perplexity_is_read(tmp_path: Path) -> None:
    path = tmp_path / "perplexity.json"
    path.write_text('{"perplexity": 12.25, "tokens": 4567}')
    assert contract.perplexity(path) == 12.25
    path.write_text("12.25")
    with pytest.raises(InputError, match="not an object"):
        contract.perplexity(path)
    with pytest.raises(InputError, match="holds no perplexity"):
        contract.perplexity(tmp_path / "missing.json")
