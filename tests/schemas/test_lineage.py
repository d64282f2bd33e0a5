"""Which variant's rows of a stage a variant uses."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from schemas import lineage, manifest
from schemas.lineage import Link
from schemas.prompts import Prompt
from schemas.views import connect
from spar_core.dataset import Dataset
from spar_core.variants import hold
from tests.schemas import variants
from tests.schemas.variants import commit, settle

ROWS = {"prompts": [Prompt("p", "say p", "f:1", 0)]}


def links(run: str) -> list[Link]:
    fs, root = fsspec.core.url_to_fs(run)
    return lineage.read(fs, root, manifest.read(fs, root))


def makers(run: str, variant: str, iteration: int = 1) -> dict[str, str]:
    """By stage, of a run's links those of one variant."""
    return {
        link.stage: link.made_by
        for link in links(run)
        if (link.iteration, link.variant) == (iteration, variant)
    }


def explicit(run: str, variant: str, iteration: int = 1) -> dict[str, str]:
    return lineage.made_by(*fsspec.core.url_to_fs(run), iteration, variant)


def test_a_run_of_one_variant_uses_its_own_rows(tmp_path: Path) -> None:
    run = str(tmp_path)
    assert links(run) == []
    hold(Dataset(run, 3), "sample", {"seed": 1, "as": "no variant's"})
    assert links(run) == []
    commit(run, "sample", ROWS, iteration=3)
    assert links(run) == [Link(3, "main", stage, "main") for stage in sorted(lineage.STAGES)]
    assert explicit(run, "main", 3) == {}


def test_settings_say_what_is_shared_and_the_rest_is_mains(tmp_path: Path) -> None:
    run = str(tmp_path)
    settle(run, "judge", "votes3", '{"votes": 3}')
    settle(run, "sample", "votes3", '{"as": "main"}')
    settle(run, "judge", "other", '{"as": "votes3"}')
    settle(run, "judge", "votes3", '{"as": "main"}', iteration=2)
    shared = dict.fromkeys(lineage.STAGES, "main")
    assert makers(run, "votes3") == {**shared, "judge": "votes3"}
    assert makers(run, "other") == {**shared, "judge": "votes3"}
    assert makers(run, "main") == makers(run, "votes3", 2) == shared
    assert makers(run, "other", 2) == {}, "there it is not known"
    assert explicit(run, "votes3") == {"judge": "votes3", "sample": "main"}
    assert explicit(run, "votes3", 2) == {"judge": "main"}
    assert explicit(run, "votes") == explicit(run, "main") == {}


def test_rows_without_settings_are_an_variants_own(tmp_path: Path) -> None:
    run = str(tmp_path)
    commit(run, "independent", ROWS, "odd")
    assert makers(run, "odd") == {**dict.fromkeys(lineage.STAGES, "main"), "independent": "odd"}
    assert makers(run, "main")["independent"] == "main"
    assert explicit(run, "odd") == {}


def test_an_evaluations_variant_has_no_part_in_a_data_round(tmp_path: Path) -> None:
    run = str(tmp_path)
    variants.write(run)
    variants.evaluate(run)
    variants.evaluate(run, "dfs")
    assert makers(run, "bfs-8-v5") == {"decode": "bfs-8-v5", "figures": "bfs-8-v5"}
    assert makers(run, "dfs").items() > {"decode": "dfs", "sample": "main"}.items()
    assert makers(run, "main")["decode"] == "main"


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"3", b"\xff"])
def test_settings_that_cannot_be_read_are_named(tmp_path: Path, text: bytes) -> None:
    settle(str(tmp_path), "judge", "votes3", text)
    with pytest.raises(ValueError, match=r"judge@votes3\.settings holds no settings"):
        explicit(str(tmp_path), "votes3")


@pytest.mark.parametrize("tables", [None, ("pairs",), ()])
@pytest.mark.parametrize("locked", [False, True])
def test_every_connection_has_them(
    tmp_path: Path, tables: tuple[str, ...] | None, locked: bool
) -> None:
    variants.write(str(tmp_path))
    with connect(str(tmp_path), tables, locked=locked) as connection:
        found = connection.execute("from lineage").fetchall()
    assert found == [(*vars_of(link),) for link in links(str(tmp_path))]
    assert (1, "dfs", "judge", "main") in found
    assert (1, "dfs", "tree_search", "dfs") in found


def vars_of(link: Link) -> tuple[int, str, str, str]:
    return link.iteration, link.variant, link.stage, link.made_by


def test_an_empty_run_has_none(tmp_path: Path) -> None:
    with connect(str(tmp_path)) as connection:
        assert connection.execute("from lineage").fetchall() == []
        columns = connection.execute("describe lineage").fetchall()
    assert [column[:2] for column in columns] == [
        ("iteration", "INTEGER"),
        ("variant", "VARCHAR"),
        ("stage", "VARCHAR"),
        ("made_by", "VARCHAR"),
    ]


def test_a_bucket_is_read_like_a_folder(tmp_path: Path) -> None:
    run = f"memory://{tmp_path.name}-lineage"
    variants.write(run)
    assert makers(run, "votes3")["judge"] == "votes3"
    assert explicit(run, "dfs")["judge"] == "main"
