"""What an assessment says of a range of events that nobody has configured anything for."""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path

import pytest
from fleets.build import DAY, START, event, write_lines

from monitor import cli
from monitor.catalog.policies import Policies
from monitor.config import load


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str, Path]:
    """Three days of four models, of which one is given another currency on the third; as JSON and as text."""
    folder, draw = tmp_path_factory.mktemp("assess"), random.Random(1)
    lines = []
    for i in range(12960):
        time = START + i * 20.0
        name = ("shop-a", "shop-b", "shop-c", "loan")[i % 4]
        broken = name == "shop-b" and time > START + 2 * DAY
        features = {"price": draw.gauss(50, 10) * (100 if broken else 1), "age": draw.randint(18, 80)}
        rest = {"id": f"c{i}", "prediction": {"label": draw.choice(["yes", "no"])}} if name == "loan" else {}
        lines.append(event(time, features, name, **rest))
        if name == "loan":
            lines.append(event(time + 600, None, name, id=f"c{i}", outcome="yes", sensitive={"sex": draw.choice("FM")}))
    path = write_lines(folder / "events.jsonl", [*sorted(lines, key=lambda line: json.loads(line)["time"]), b"{"])
    config, policies = folder / "hours.toml", folder / "proposed.toml"
    config.write_text('[clock]\ntick = "1h"\n')
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("sys.stdout", _Out(printed))
        assert cli.main(["assess", str(path), "--config", str(config), "--json", "--policies", str(policies)]) == 0
        as_json = json.loads("".join(printed))
        printed.clear()
        assert cli.main(["assess", str(path), "--config", str(config)]) == 0
    return as_json, "".join(printed), policies


class _Out:
    def __init__(self, printed: list[str]) -> None:
        self.write = printed.append
        self.writelines = printed.extend

    def flush(self) -> None:
        """Everything is there."""


def test_what_is_there(told: tuple[dict, str, Path]) -> None:
    """Models, events, outcomes and groups are counted, and so is what could not be read."""
    found, text, _ = told
    assert (found["models"], found["rejected"]) == (4, 1)
    (loan,) = (each for each in found["models_found"] if each["model"] == "loan")
    assert (loan["outcomes"], loan["attributes"]) == (3240, ["sex"])
    assert "groups by sex" in text


def test_what_it_costs(told: tuple[dict, str, Path]) -> None:
    """Cells are counted; memory, processor and disk are measured and more than nothing."""
    costs = told[0]["costs"]
    assert costs["cells"]["drift"] > 0
    assert costs["disk_bytes"] > costs["disk_bytes_per_day"] > 0
    assert costs["cpu_seconds_per_million_events"] > 0


def test_the_worst_comes_first(told: tuple[dict, str, Path]) -> None:
    """Problems are ranked by harm, and the planted one is the first."""
    problems = told[0]["problems"]
    assert problems[0]["model"] == "shop-b"
    assert [each["harm"] for each in problems] == sorted((each["harm"] for each in problems), reverse=True)


def test_what_cannot_be_seen(told: tuple[dict, str, Path]) -> None:
    """The range says what it is too short for, the models what they lack; alike things stand together."""
    spots = {spot["why"]: spot for spot in told[0]["blind_spots"]}
    assert any("two weeks" in why for why in spots)
    assert spots["no training reference"]["models"] == 4


def test_policies_to_begin_with(told: tuple[dict, str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """They are a file that is accepted; they call nobody, name what is protected, and join families."""
    found, _, path = told
    assert path.read_text() == found["policies"]
    assert cli.main(["check-config", str(path)]) == 0
    capsys.readouterr()
    entries = {entry["match"]: entry for entry in tomllib.loads(found["policies"])["models"]}
    assert entries["*"]["mode"] == "shadow"
    assert entries["loan"]["sensitive"] == ["age", "sex"]
    assert entries["shop-*"]["sensitive"] == ["age"]
    policies: Policies = load(path, {}).policies
    assert policies.resolve("loan").mode == "shadow"
    assert policies.resolve("loan").outcome_horizon < DAY


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there is not replaced by what is proposed."""
    path = write_lines(tmp_path / "e.jsonl", [event(START, {"a": 1.0})])
    (tmp_path / "p.toml").write_text("mine")
    assert cli.main(["assess", str(path), "--policies", str(tmp_path / "p.toml")]) == 2
    assert (tmp_path / "p.toml").read_text() == "mine"


def assessed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert cli.main(["assess", *map(str, words)]) == 0
    return capsys.readouterr().out


def sparse(path: Path, n: int, every: float) -> Path:
    draw = random.Random(2)
    return write_lines(path, [event(START + i * every, {"a": draw.gauss(0, 1)}) for i in range(n)])


def test_models_that_speak_seldom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody says a tick it fits the traffic, whatever a wrong date says, and is proposed; a tick told holds."""
    path = sparse(tmp_path / "e.jsonl", 300, 45.0)
    with path.open("ab") as file:
        file.write(event(START + 4000 * DAY, {"a": 0.0}) + b"\n")
    found = json.loads(assessed(capsys, path, "--json"))
    assert (found["tick_seconds"], found["tick_fitted"]) == (900.0, True)
    assert tomllib.loads(found["policies"])["models"][0] == {"match": "*", "mode": "shadow", "tick": "15m"}
    assert "ticks: 15m, for models that speak seldom" in assessed(capsys, path)
    often = json.loads(assessed(capsys, sparse(tmp_path / "often.jsonl", 300, 2.0), "--json"))
    assert (often["tick_seconds"], often["tick_fitted"]) == (60.0, False)
    for name, text in (("clock", '[clock]\ntick = "60s"\n'), ("policy", '[[models]]\nmatch = "x"\ntick = "60s"\n')):
        config = tmp_path / f"{name}.toml"
        config.write_text(text)
        assert json.loads(assessed(capsys, path, "--config", config, "--json"))["tick_seconds"] == 60.0


def test_nothing_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no record is an event that is said with the reasons, and nothing else."""
    path = tmp_path / "e.jsonl"
    for content, why in ((b"{\nno\n", "no record is an event that counts: 2 json"), (b"", "there is no record in it")):
        path.write_bytes(content)
        assert cli.main(["assess", str(path)]) == 1
        said = capsys.readouterr()
        assert (said.out, why in said.err) == ("", True)


def test_a_short_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is too short to judge is not said to be in order: it says what to do; with a reference it is judged."""
    path = sparse(tmp_path / "e.jsonl", 1000, 20.0)
    text = assessed(capsys, path)
    assert "drift, quality: judged after 1,000 events and one day; the range is shorter" in text
    assert "were not judged" in text
    assert "baseline build" in text
    assert "none\n" not in text
    assert cli.main(["baseline", "build", "--out", str(tmp_path / "refs"), str(path)]) == 0
    (tmp_path / "c.toml").write_text('[[models]]\nmatch = "*"\nreference = "file:refs/{model}.mwref"\n')
    with_reference = assessed(capsys, path, "--config", tmp_path / "c.toml")
    assert "judged after" not in with_reference
    assert "were not judged" not in with_reference
    assert "  none\n" in with_reference


def test_outcomes_that_came_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Outcomes are counted whether or not they met a prediction in time; both are said."""
    lines = [event(START + i, {"a": 1.0}, id=f"c{i}", prediction={"label": "yes"}) for i in range(50)]
    lines += [event(START + 3 * DAY + i, None, id=f"c{i}", outcome="yes") for i in range(50)]
    path = write_lines(tmp_path / "e.jsonl", lines)
    (model,) = json.loads(assessed(capsys, path, "--json"))["models_found"]
    assert (model["outcomes"], model["outcomes_joined"]) == (50, 0)
    assert "50 outcomes, 0 of them within the horizon of a prediction" in assessed(capsys, path)


def test_figures_are_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures have no exponent; what a process takes is not called a model's, nor a short range's time a million's."""
    text = assessed(capsys, sparse(tmp_path / "e.jsonl", 300, 3600.0))
    assert "less than 0.001 events/s" in text
    assert "e-0" not in text
    assert "the process grew by" in text
    assert " a model\n" not in text
    assert "for a million" not in text
    assert "300 events of 1 model," in text
