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
        alone = tmp_path / f"alone-{name}"
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


def lines(path: Path, *parts: tuple[str, str, int]) -> Path:
    """Events of models in versions, so many of each; and an outcome of each, which says no version."""
    draw = random.Random(7)
    events: list[dict[str, object]] = []
    for model, version, n in parts:
        told = {"model": model, "version": version} if version else {"model": model}
        events += [{**told, "time": 1.7e9 + i, "features": {"x": draw.gauss(0, 1)}} for i in range(n)]
        events += [{"model": model, "time": 1.7e9, "id": "1", "outcome": "yes"}]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def build(*words: object) -> int:
    return cli.main(["baseline", "build", *map(str, words)])


def test_the_same_reference_whatever_stands_beside_it(tmp_path: Path) -> None:
    """It names its file and the version of its events, and is the same bytes in other company."""
    (tmp_path / "more").mkdir()
    path = lines(tmp_path / "more" / "current.jsonl", ("m", "7", 300))
    assert build("--out", tmp_path / "alone", path) == 0
    made = load(tmp_path / "alone" / "m.mwref")[0]
    assert (made.source, made.version) == ("current.jsonl", "7")
    lines(tmp_path / "more" / "another.jsonl", ("a", "", 300), ("z", "1", 300))
    assert build("--out", tmp_path / "beside", tmp_path / "more") == 0
    assert (tmp_path / "beside" / "m.mwref").read_bytes() == (tmp_path / "alone" / "m.mwref").read_bytes()
    assert load(tmp_path / "beside" / "a.mwref")[0].version == ""


def test_a_reference_of_several_files_and_versions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first and the last file are named; of several versions none is, and that is said, unless one is told."""
    (tmp_path / "in").mkdir()
    for day, version in ((1, "7"), (2, "7"), (3, "8")):
        lines(tmp_path / "in" / f"{day}.jsonl", ("m", version, 200))
    assert build("--out", tmp_path / "refs", tmp_path / "in") == 0
    assert "m: events of 2 versions: the reference names none" in capsys.readouterr().err
    made = load(tmp_path / "refs" / "m.mwref")[0]
    assert (made.source, made.version) == ("1.jsonl to 3.jsonl (3 files)", "")
    assert build("--out", tmp_path / "told", "--version", "9", tmp_path / "in") == 0
    assert load(tmp_path / "told" / "m.mwref")[0].version == "9"


def test_a_reference_of_each_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path with `{version}` in it gives each version of a model its own, where a policy of that path finds it."""
    path = lines(tmp_path / "e.jsonl", ("team/m", "7", 300), ("team/m", "8", 200))
    out = tmp_path / "refs" / "{model}" / "{version}.mwref"
    assert build("--out", out, path) == 0
    for version, n in (("7", 300), ("8", 200)):
        made = load(tmp_path / "refs" / "team%2Fm" / f"{version}.mwref")[0]
        assert (made.version, made.events) == (version, n)
    capsys.readouterr()
    assert build("--out", out, lines(tmp_path / "none.jsonl", ("m", "", 300))) == 1
    assert "m: names no version" in capsys.readouterr().err
    assert build("--out", out, "--version", "1", tmp_path / "none.jsonl") == 0
    assert load(tmp_path / "refs" / "m" / "1.mwref")[0].version == "1"


@pytest.mark.parametrize("model", [[], ["--model", "m"]])
def test_references_never_change(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another reference is not written over unless that is said; the same one may be built again."""
    out = tmp_path / ("one.mwref" if model else "refs")
    file = out if model else out / "m.mwref"
    path = lines(tmp_path / "e.jsonl", ("m", "7", 300))
    words = [*model, "--out", out, path]
    assert (build(*words), build(*words)) == (0, 0)
    before = file.read_bytes()
    lines(path, ("m", "7", 301))
    capsys.readouterr()
    assert build(*words) == 2
    assert f"{file}: is there already" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert build("--replace", *words) == 0
    assert load(file)[0].events > 300


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--model", "m", "--out", "{model}.mwref", "data"],
        ["--topic", "t", "data"],
        ["--since", "2026-01-01T00:00:00Z", "data"],
        ["--topic", "t", "--model", "m"],
    ],
)
def test_words_that_do_not_go_together(words: list[str], tmp_path: Path) -> None:
    """Data or a topic, and what belongs to each."""
    assert cli.main(["baseline", "build", "--out", str(tmp_path), *words]) == 2
