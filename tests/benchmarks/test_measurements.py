"""Each measurement at a size that shows that it works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import (
    adapters,
    client,
    decoders,
    demo_refiner,
    engines,
    kills,
    methods,
    methods_embedded,
    overhead,
    queries,
    report,
    saturation,
    savings,
    training,
    whole_round,
)
from spar_core.engine.bundled import bundled_adapter
from spar_core.methods import METHODS

pytest.importorskip("matplotlib")


@pytest.mark.slow
def test_saturation(tmp_path: Path) -> None:
    made = saturation.measure(16, slots=16, speed=60, plots=tmp_path)
    assert [row[0] for row in made.rows] == [*saturation.STAGES]
    for values in made.data["stages"].values():
        assert 0.9 < values["wall_over_floor"] < 20
        assert 0 < values["mean_occupancy"] <= 1
    assert (tmp_path / "saturation.png").stat().st_size < 40_000 * len(saturation.STAGES)


@pytest.mark.slow
def test_engines() -> None:
    made = engines.measure(6, slots=8, servers=2, speed=60)
    assert len(made.rows) == 3 * len(engines.STAGES) + 2 * len(engines.ROUNDS)
    for stages in made.data["found"].values():
        assert stages["judge"]["requests"] == 30
        for values in stages.values():
            assert 0.9 < values["wall_over_floor"] < 20
            assert all(0 < busy <= 1 for busy in values["busy"])


@pytest.mark.slow
def test_stages_of_methods() -> None:
    made = methods.measure(4, slots=16, speed=60)
    requests = {row[0]: row[5] for row in made.rows}
    assert [*requests] == [*methods.OF_ANSWERS, *methods.OF_SEEDS]
    assert requests["rate"] == 3 * 5  # one prompt's were rated before
    assert 0 < requests["meta_judge"] <= 3 * 6
    assert 3 < requests["verifiers"] <= 3 * (1 + 2 * 8)


@pytest.mark.slow
@pytest.mark.engine
def test_methods_on_the_embedded_engine(tmp_path: Path) -> None:
    short = ("--responses", "2", "--actor_max_tokens", "128")
    some = ("spar", "autoif", "humpback")
    made = methods_embedded.measure(1, run=tmp_path / "run", methods=some, options=short)
    rows = {row[0]: dict(zip(made.columns, row, strict=True)) for row in made.rows}
    assert {*rows} == {*some} <= {*METHODS}
    assert rows["spar"]["requests"] >= 1 + 2
    assert rows["humpback"]["requests"] >= 1
    assert {row["rows twice"] for row in rows.values()} == {"none"}


@pytest.mark.slow
def test_decoders() -> None:
    made = decoders.measure(4, slots=16, speed=60)
    requests = {row[0]: row[5] for row in made.rows}
    assert [*requests] == [*decoders.DECODER_NAMES]
    assert requests["greedy"] == 3  # one was answered before
    # The answers of a prompt are one request, and each is judged by one.
    assert requests["best_of_n"] == 3 * (1 + 8)


@pytest.mark.slow
def test_kills_everywhere() -> None:
    made = kills.everywhere(12, len(kills.WAYS), slots=32, speed=16)
    assert [row[0] for row in made.rows] == [*kills.WAYS]
    assert {row[3] for row in made.rows} == {"equal"}


@pytest.mark.slow
def test_whole_round() -> None:
    made = whole_round.measure(8, slots=16, speed=20)
    staged, together = made.rows
    assert staged[0] == "stage by stage"
    assert together[5:7] == staged[5:7], "the same requests and tokens"


def test_client() -> None:
    made = client.measure(20, speeds=(60, 20))
    fast, slow, *worked = made.rows
    assert fast[1] > slow[1]
    assert all(row[2] > 0 for row in (fast, slow, *worked))


@pytest.mark.slow
@pytest.mark.skipif(bundled_adapter() is None, reason="there is no demo refiner in the package")
def test_demo_refiner() -> None:
    made = demo_refiner.measure(2)
    kinds, judged, *_ = zip(*made.rows, strict=True)
    assert kinds[0] == "all"
    assert judged[0] >= max(judged[1:])
    assert made.data["answers"] == 2
    assert json.loads(json.dumps(made.data))["with"]["judged"][""] == judged[0]


@pytest.mark.slow
def test_overhead(tmp_path: Path) -> None:
    made = overhead.measure([30], plots=tmp_path)
    stages = {stage["name"]: stage["items"] for stage in made.data["rounds"][0]["stages"]}
    assert stages["sample"] == 30
    assert stages["judge"] == 150
    assert (tmp_path / "overhead.png").stat().st_size < 160_000


@pytest.mark.slow
def test_savings() -> None:
    made = savings.measure(12, slots=16, speed=20, variants=["default", "--stop_votes"])
    rows = {row[0]: row for row in made.rows}
    tokens = {name: each["tokens"]["judge"] for name, each in made.data["outcomes"].items()}
    assert tokens["--stop_votes"] < tokens["default"]
    assert rows["--stop_votes"][4] == 1  # the same verdicts


@pytest.mark.slow
def test_kills() -> None:
    made = kills.measure(12, 1, slots=32, speed=10)
    for row in made.rows:
        assert row[0] == 1
        assert row[3] == "equal"


@pytest.mark.slow
@pytest.mark.engine
def test_adapters() -> None:
    pytest.importorskip("gguf", reason="the training extra is not installed: make test")
    made = adapters.measure(2, tokens=4, rounds=1)
    assert len(made.rows) == 4
    assert all(rate > 0 for _, rate, _ in made.rows)


@pytest.mark.slow
def test_training() -> None:
    pytest.importorskip("trl", reason="the training extra is not installed: make test")
    made = training.measure(2, hidden=16, rounds=1)
    for job in ("training.dpo", "trl dpo"):
        [taken] = made.data["taken"][job]
        assert taken["tokens"] > 100 and taken["tokens_per_s"] > 0
    tokens = {taken[0]["tokens"] for taken in made.data["taken"].values()}
    assert len(tokens) == 1, "both train on the same"


def test_queries() -> None:
    made = queries.measure(pairs=60)
    asked = {row[0] for row in made.rows}
    assert {"opening the run", "writing the catalog", "`from pair_quality`"} <= asked
    assert len(asked) == len(made.rows), "each is asked once"


def test_a_table_in_markdown() -> None:
    shown = report.markdown(("a", "b"), [["x", 1234], ["y", 0.5]])
    assert shown == "| a | b |\n| --- | ---: |\n| x | 1,234 |\n| y | 0.5 |"


def test_an_unknown_measurement_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["speed"])
    assert "no measurement speed" in capsys.readouterr().err
