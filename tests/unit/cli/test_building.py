"""References of all models of a directory, made in one run."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor import cli
from monitor.catalog.profile import load


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Events of two models mixed, in lines and in columns; and a table of a third."""
    folder, draw = tmp_path / "data", random.Random(5)
    folder.mkdir()
    events = [
        {"model": draw.choice(["a", "team/b"]), "time": 1.7e9 + i, "features": {"x": draw.gauss(0, 1), "y": "n"}}
        for i in range(3000)
    ]
    lines = [json.dumps(event) for event in events]
    (folder / "1.jsonl").write_text("\n".join([*lines[:1000], "no event", *lines[1000:2000]]) + "\n")
    columns = {
        "model": [event["model"] for event in events[2000:]],
        "time": [event["time"] for event in events[2000:]],
        "features.x": [event["features"]["x"] for event in events[2000:]],
        "features.y": ["n"] * 1000,
    }
    pq.write_table(pa.table(columns), folder / "2.parquet")
    (folder / "c.csv").write_text("x,said\n" + "".join(f"{draw.random()},{i % 2}\n" for i in range(500)))
    (tmp_path / "whole.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_all_models_of_a_directory(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each model's reference is the one that is built of it alone, byte for byte; names lead nowhere else."""
    out = tmp_path / "refs"
    assert cli.main(["baseline", "build", "--out", str(out), "--label", "said", str(data)]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == f"3 of 3 models have a reference in {out}"
    assert sorted(path.name for path in out.iterdir()) == ["a.mwref", "c.mwref", "team%2Fb.mwref"]
    for model, name in (("a", "a.mwref"), ("team/b", "team%2Fb.mwref")):
        alone = tmp_path / "alone.mwref"
        cli.main(["baseline", "build", "--model", model, "--out", str(alone), str(tmp_path / "whole.jsonl")])
        one, all_ = load(alone)[0], load(out / name)[0]
        assert one.series == all_.series
        assert (one.model, one.events) == (all_.model, all_.events)
    assert {each.space for each in load(out / "c.mwref")[0].series} == {"feature", "prediction"}


def test_a_model_of_which_nothing_can_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, the others are built, and the command fails."""
    path = tmp_path / "e.jsonl"
    events = [{"model": "a", "time": 1.7e9, "features": {"x": float(i)}} for i in range(300)]
    events += [{"model": "b", "time": 1.7e9, "id": "1", "outcome": "yes"}]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert cli.main(["baseline", "build", "--out", str(tmp_path / "refs"), str(path)]) == 1
    captured = capsys.readouterr()
    assert "1 of 2 models have a reference" in captured.out
    assert captured.err.startswith("b: ")


@pytest.mark.parametrize(
    "words",
    [[], ["--topic", "t", "data"], ["--since", "2026-01-01T00:00:00Z", "data"], ["--topic", "t", "--model", "m"]],
)
def test_words_that_do_not_go_together(words: list[str], tmp_path: Path) -> None:
    """Data or a topic, and what belongs to each."""
    assert cli.main(["baseline", "build", "--out", str(tmp_path), *words]) == 2
