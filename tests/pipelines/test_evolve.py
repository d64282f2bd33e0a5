"""Evolving seeds: whole jobs in this process, by rules and by an engine.

What becomes of a seed: tests/spar_core/stages/test_evolve.py.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import pytest
from aiohttp import web

from pipelines import evolve, judge, refine, sample
from spar_core.checks.library import checkers
from spar_core.filters import near_duplicates
from spar_core.filters.library import NoLibrary
from spar_core.ids import prompt_id, seed_id
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import check, failures, files, query, tables
from tests.pipelines.seeds import (
    LEFT_OUT,
    SEEDS,
    is_check,
    seed_in,
    write,
    write_seeds,
)

pytestmark = pytest.mark.usefixtures("libraries")


@pytest.fixture(scope="module")
def libraries() -> None:
    for name in ("lm_eval", "datasketch", "py3langid"):
        pytest.importorskip(name, reason="the extras `checks` and `evolve` are not installed")


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    return write_seeds(tmp_path / "seeds.jsonl")


@pytest.fixture(scope="module")
def evolved(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which `SEEDS` were evolved by rules; for reading only."""
    folder = tmp_path_factory.mktemp("evolved")
    assert evolve.main(command(folder / "run", write_seeds(folder / "seeds.jsonl"))) == 0
    return folder / "run"


def command(run: Path, seeds: Path, *more: str) -> list[str]:
    return ["--run", str(run), "--seeds", str(seeds), *more]


def outcomes(run: Path) -> list[tuple[str, int]]:
    rows = query(run, "select outcome, evolutions from evolution_outcomes order by outcome")
    return [(str(outcome), int(count)) for outcome, count in rows]


def one_line(capsys: pytest.CaptureFixture[str], *said: str) -> None:
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(each in error for each in said), error


def consistent(run: Path) -> None:
    """What must hold of any run of which seeds were evolved."""
    assert not query(run, "from seeds anti join evolutions using (iteration, seed_id)")
    for table, key in (("evolutions", "evolution_id"), ("prompts", "prompt_id")):
        assert not query(run, f"select {key} from {table} group by all having count(*) > 1")
    assert not query(run, "from evolutions where (prompt_id is null) <> (dropped is not null)")
    assert not query(
        run,
        """select e.prompt_id from evolutions e
        full join prompts p on p.iteration = e.iteration and p.prompt_id = e.prompt_id
        left join seeds s on s.iteration = e.iteration and s.seed_id = e.seed_id
        where e.dropped is null and (
            p.prompt = e.prompt and p.source = e.evolution_id and p.position = e.position
            and p.split = e.split and p.checks is not distinct from e.checks
            and s.seed = e.seed and s.position = e.position and s.split = e.split
        ) is distinct from true""",
    )


def test_prompts_are_evolved_by_rules(
    tmp_path: Path, seeds: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert evolve.main(command(run, seeds)) == 0
    consistent(run)
    rows = query(
        run,
        "select seed_id, seed, evolution_id, prompt_id, prompt, writer, main, further, verdict, "
        "constraints, checks from evolutions order by position",
    )
    assert [row[1] for row in rows] == list(SEEDS)
    for key, seed, evolution, prompt, text, writer, main, further, verdict, said, checks in rows:
        assert key == seed_id(seed)
        assert evolution == f"i1.{key}.e"
        assert prompt == prompt_id(text)
        assert text == f"{seed} {' '.join(said)}"
        assert (writer, verdict) == ("rules", "consistent")
        assert {each["id"] for each in checks} == {main, *further}
        assert 1 <= len(further) <= 3
    assert outcomes(run) == [("kept", len(SEEDS))]
    out, err = capfd.readouterr()
    assert err == ""
    assert f"seeds: {len(SEEDS)} from {seeds}" in out
    assert f"pipelines.refine --run {run}" in out
    assert "Seeds, by what became of them" in out
    assert "No pairs yet" not in out
    assert len(out.splitlines()) < 20


def test_a_second_run_does_nothing_and_says_so(
    evolved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = files(evolved)
    assert evolve.main(command(evolved, evolved.parent / "seeds.jsonl")) == 0
    assert files(evolved) == held
    out = capsys.readouterr().out
    assert f"{len(SEEDS)} of them in the run already" in out
    assert f"evolve: all {len(SEEDS)} seeds are done" in out
    assert f"select: all {len(SEEDS)} evolutions are done" in out
    assert evolve.main(["--run", str(evolved)]) == 0, "what the run holds"
    assert files(evolved) == held


def test_more_seeds_come_after_those_that_are_done(
    tmp_path: Path, seeds: Path, evolved: Path
) -> None:
    run = tmp_path / "run"
    assert evolve.main(command(run, seeds, "--limit", "2")) == 0
    assert query(run, "select list(seed order by position) from seeds") == [([*SEEDS[:2]],)]
    held = rounds.committed(run)
    assert evolve.main(command(run, seeds)) == 0
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held} == held
    consistent(run)
    without = ["seeds"]  # they name the file and its line
    assert tables(run, without=without) == tables(evolved, without=without)


def test_how_it_is_run_changes_no_row(tmp_path: Path, evolved: Path) -> None:
    run, seeds = tmp_path / "run", evolved.parent / "seeds.jsonl"
    beam = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
    assert evolve.main(command(run, seeds, *beam)) == 0
    assert tables(run) == tables(evolved)


def test_iteration_0_comes_before_the_rounds(tmp_path: Path, seeds: Path) -> None:
    run = tmp_path / "run"
    assert evolve.main(command(run, seeds, "--iteration", "0")) == 0
    assert query(run, "select distinct iteration, left(evolution_id, 3) from evolutions") == [
        (0, "i0.")
    ]
    assert evolve.main(command(run, seeds)) == 0
    assert query(run, "select iteration, count(*) from prompts group by all order by all") == [
        (0, len(SEEDS)),
        (1, len(SEEDS)),
    ]


def test_a_seed_may_say_its_split(
    tmp_path: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"seed": SEEDS[0], "split": "test"},
        {"seed": SEEDS[1]},
        {"seed": SEEDS[2], "split": ""},
    ]
    run, seeds = tmp_path / "run", write_seeds(tmp_path / "seeds.jsonl", rows)
    assert evolve.main(command(run, seeds)) == 0
    consistent(run)
    assert query(run, "select split from prompts order by position") == [
        ("test",),
        ("train",),
        ("train",),
    ]
    assert sample.main(["--run", str(run), "--engine_url", server.url]) == 0
    assert query(run, "select count(distinct prompt_id) from responses") == [(2,)]


def test_a_round_follows_on_the_evolved_prompts(
    tmp_path: Path, seeds: Path, server: LoopbackServer
) -> None:
    run = tmp_path / "run"
    assert evolve.main(command(run, seeds)) == 0
    argv = ["--run", str(run), "--engine_url", server.url]
    assert sample.main([*argv, "--limit", "2"]) == 0
    assert judge.main(argv) == 0, "whatever read the prompts"
    assert refine.main(argv) == 0
    check(run)
    assert query(run, "select count(distinct prompt) from prompts semi join responses "
                      "using (prompt_id)") == [(len(SEEDS),)]  # fmt: skip
    assert query(run, "select count(*) from judgements where checked is not null") == [
        (5 * len(SEEDS),)
    ]
    held = query(run, "from prompts order by all")
    assert evolve.main(command(run, seeds)) == 0
    assert query(run, "from prompts order by all") == held


def test_files_of_every_form_hold_seeds(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'n,instruction\n1,"{SEEDS[0]}"\n')
    (tmp_path / "b.json").write_text(json.dumps([SEEDS[1], {"prompt": SEEDS[2]}]))
    (tmp_path / "c.jsonl").write_text(json.dumps({"seed": SEEDS[3]}) + "\n")
    assert evolve.main(command(tmp_path / "run", tmp_path / "[abc].*")) == 0
    assert query(tmp_path / "run", "select seed from seeds order by position") == [
        (seed,) for seed in SEEDS[:4]
    ]


def test_rows_that_are_no_seeds_are_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, seeds = tmp_path / "run", tmp_path / "seeds.jsonl"
    bad = ['{"seed": " "}', "{}", "broken", "[]", '{"seed": 7}', '{"seed": "\\ud800"}']
    seeds.write_text(
        "\n".join([json.dumps({"seed": SEEDS[0]}), *bad, json.dumps({"seed": SEEDS[0]})])
    )
    assert evolve.main(command(run, seeds)) == 3
    assert sorted(failures(run)) == sorted(
        ["empty_prompt", "no_prompt", "bad_json", "bad_json", "no_prompt", "not_utf8"]
    )
    assert query(run, "select distinct stage from failures") == [("seeds",)]
    out = capsys.readouterr().out
    assert "1 rows repeat one; 6 rows left out" in out
    seeds.write_text(json.dumps({"seed": SEEDS[0]}) + "\n")
    assert evolve.main(command(run, seeds)) == 0, "mended"
    assert failures(run) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ('{"words": "x"}\n', "`conversation` or `conversations` (fields: words)"),
        ('{"seed": ""}\n', "the prompt is empty"),
        ("no JSON\n", "not a JSON object"),
    ],
)
def test_files_without_a_seed_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(text)
    assert evolve.main(command(tmp_path / "run", seeds)) == 2
    one_line(capsys, "no seed in", said, "seeds are JSONL, JSON, CSV, TSV or Parquet")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--seeds", "nowhere.jsonl"], "no such file: nowhere.jsonl"),
        (["--seeds", ""], "--seeds must be a path or URL"),
        ([], "no seeds in"),
        (["--kinds", "punctuation:no_coma"], "--kinds: no kind 'punctuation:no_coma'"),
        (["--kinds", " ,"], "--kinds: names no kind"),
        (["--least_words", "9", "--most_words", "8"], "--least_words 9 is over --most_words"),
        (["--decontaminate", "nowhere.jsonl"], "--decontaminate: nowhere.jsonl: no such file"),
        (["--more", "-1"], "--more: must be a whole number"),
        (["--variant", "other"], "--variant: prompts have none"),
        (["--prompts", "x.jsonl"], "no option --prompts in this job: it is another job's"),
        (["--seed_file", "x"], "no option --seed_file"),
        (["--writer", "nobody"], "--writer: invalid choice: 'nobody'"),
        (["--writer", "rules", "--engine_url", "http://x"], "no option --engine_url in this job"),
        (["--writer", "engine", "--kinds", "x"], "--kinds"),
        (["--writer", "engine", "--engine", "openai"], "--engine openai needs --engine_url"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert evolve.main(["--run", str(tmp_path / "run"), *more]) == 2
    one_line(capsys, said)
    assert not query(tmp_path / "run", "from seeds")


def test_a_kind_whose_checker_has_no_data_here_is_one_line(
    tmp_path: Path,
    seeds: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [])
    run, kind = tmp_path / "run", "length_constraints:number_sentences"
    assert evolve.main(command(run, seeds, "--kinds", kind)) == 2
    one_line(capsys, f"--kinds: {kind} needs data of NLTK", "python -m nltk.downloader punkt_tab")


def test_rules_without_checkers_are_one_line(
    tmp_path: Path,
    seeds: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "lm_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    checkers.cache_clear()
    try:
        assert evolve.main(command(tmp_path / "run", seeds)) == 2
        one_line(capsys, "`checks` needs the package", "pip install '.[checks]'")
    finally:
        checkers.cache_clear()


def test_filters_without_their_library_are_one_line(
    tmp_path: Path,
    seeds: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object) -> None:
        raise NoLibrary("near duplicates need datasketch: pip install datasketch")

    monkeypatch.setattr(near_duplicates, "_sketch", missing)
    near_duplicates.signature.cache_clear()
    assert evolve.main(command(tmp_path / "run", seeds)) == 2
    one_line(capsys, "near duplicates need datasketch")


def test_a_run_must_be_named(seeds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evolve.main(["--seeds", str(seeds)]) == 2
    one_line(capsys, "--run DIR is needed")


def test_a_benchmark_without_prompts_is_one_line(
    tmp_path: Path, seeds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    argv = command(tmp_path / "run", seeds, "--decontaminate", str(empty))
    assert evolve.main(argv) == 2
    one_line(capsys, f"--decontaminate: {empty}: no prompts in it")


@pytest.mark.parametrize("main", [refine.main, sample.main])
def test_seeds_are_for_evolving_alone(
    tmp_path: Path, seeds: Path, capsys: pytest.CaptureFixture[str], main: object
) -> None:
    assert callable(main)
    assert main(["--run", str(tmp_path), "--seeds", str(seeds)]) == 2
    one_line(capsys, "no option --seeds in this job: it is another job's")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--more", "1", "more: 3 -> 1"),
        ("--seed", "1", "seed: 0 -> 1"),
        ("--kinds", "punctuation:no_comma", "kinds"),
        ("--language", "any", "'en' -> 'any'"),
        ("--most_words", "99", "most_words: 500 -> 99"),
    ],
)
def test_other_settings_are_refused(
    evolved: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, said: str
) -> None:
    held = files(evolved)
    assert evolve.main(["--run", str(evolved), option, value]) == 5
    one_line(capsys, said, "iteration 1")
    assert files(evolved) == held


def test_where_all_are_dropped_there_is_nothing_to_refine(
    tmp_path: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run, seeds = tmp_path / "run", write_seeds(tmp_path / "seeds.jsonl", list(LEFT_OUT)[1:])
    assert evolve.main(command(run, seeds)) == 0
    out = capsys.readouterr().out
    assert "No prompts: every seed was dropped" in out
    assert "pipelines.refine" not in out
    assert outcomes(run) == sorted((cause, 1) for cause in list(LEFT_OUT.values())[1:])
    assert refine.main(["--run", str(run), "--engine_url", server.url]) == 2
    one_line(capsys, "has no prompts yet: give --prompts")
    assert not server.bodies, "least of all on the bundled prompts"


def test_an_engine_writes_and_checks(tmp_path: Path, seeds: Path) -> None:
    run = tmp_path / "run"
    with serving(write) as server:
        argv = command(run, seeds, "--engine_url", server.url)
        assert evolve.main(argv) == 0
        held = files(run)
        assert evolve.main(argv) == 0
        assert files(run) == held
    consistent(run)
    assert len(server.bodies) == 2 * len(SEEDS)
    assert sorted(seed_in(body) for body in server.bodies if not is_check(body)) == sorted(SEEDS)
    assert len({body["seed"] for body in server.bodies}) == 2 * len(SEEDS)
    rows = query(
        run,
        "select writer, prompt, constraints, verdict, checks, sum(prompt_tokens) over (), "
        "sum(completion_tokens) over () from evolutions order by position",
    )
    assert rows == [
        (
            *("loopback", f"{seed} Let it rhyme.", ["Rhyme."], "consistent", None),
            *(server.prompt_tokens, server.completion_tokens),
        )
        for seed in SEEDS
    ]


def test_a_request_that_is_refused_is_a_failure_and_tried_again(
    tmp_path: Path, seeds: Path
) -> None:
    run = tmp_path / "run"

    def answer(body: Body) -> Answer:
        if SEEDS[1] in seed_in(body):
            return web.Response(text="content policy", status=422)
        return write(body)

    with serving(answer) as server:
        assert evolve.main(command(run, seeds, "--engine_url", server.url)) == 3
    assert failures(run, "stage, key, error, attempts") == [
        ("evolve", seed_id(SEEDS[1]), "refused", 1)
    ]
    assert query(run, "select count(*) from prompts") == [(len(SEEDS) - 1,)]
    with serving(write) as healed:
        assert evolve.main(command(run, seeds, "--engine_url", healed.url)) == 0
    assert {SEEDS[1] in seed_in(body) for body in healed.bodies} == {True}
    consistent(run)
    assert failures(run) == []


def test_no_engine_there_is_said(
    tmp_path: Path, seeds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = command(tmp_path / "run", seeds, "--engine_url", "http://127.0.0.1:9")
    assert evolve.main([*argv, "--engine_patience", "0.1"]) == 4
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) <= 2


@pytest.mark.slow
def test_killed_it_goes_on_and_asks_nothing_twice(tmp_path: Path, begin: Begin) -> None:
    many = [f"{text} Do it for reader {chr(65 + i)}{chr(97 + j)}x only."
            for i, text in enumerate(SEEDS) for j in range(9)]  # fmt: skip
    seeds = write_seeds(tmp_path / "seeds.jsonl", many)
    run, dice = tmp_path / "run", random.Random(0)
    with serving(write) as server:
        assert evolve.main(command(tmp_path / "whole", seeds, "--engine_url", server.url)) == 0
    gate = Gate(run, write)
    with serving(gate) as server:
        argv = command(run, seeds, "--engine_url", server.url, "--slots", "1")
        gate.set("evolve", dice.randint(1, 5))
        process = begin(*argv, job="pipelines.evolve")
        assert gate.shut.wait(300), process.communicate()
        time.sleep(dice.random() / 5)
        kill(process)
        held = rounds.committed(run)
        done = {text for (text,) in query(run, "select seed from drafts")}
        assert 0 < len(done) < len(many)
        since = len(server.bodies)
        gate.open()
        code, _, err = finish(begin(*argv, job="pipelines.evolve"))
    assert (code, err) == (0, "")
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held} == held
    asked = {seed_in(body) for body in server.bodies[since:] if not is_check(body)}
    assert not done & asked
    consistent(run)
    assert tables(run) == tables(tmp_path / "whole")
    assert not list(run.rglob("*.tmp"))
