"""What a command prints where, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fleets.build import START, event, write_lines

from monitor import cli
from monitor.catalog.profile import Profile, number_series, save

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Call the program with words; exit code, stdout and stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as exited:
            code = int(str(exited.code))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "events.jsonl", [event(START + i, {"a": float(i)}) for i in range(10)] + [b"{"])


def test_version(run) -> None:
    """The version alone, or as one JSON object."""
    code, out, err = run("version")
    assert (code, err) == (0, "")
    assert out.startswith("modelwatch ")
    assert set(json.loads(run("version", "--json")[1])) >= {"version", "python"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["no-such-command"],
        ["run"],
        ["replay"],
        ["replay", "a.jsonl", "--topic", "t"],
        ["replay", "a.jsonl", "--since", "2026-01-01T00:00:00Z"],
        ["replay", "--no-such-flag"],
        ["replay", "--topic", "t", "--since", "soon"],
        ["assess", "--topic", "t", "--since", "soon"],
        ["assess", "a.jsonl", "--brokers", "b:1"],
        ["baseline", "build", "--topic", "t", "--out", "o", "--since", "soon"],
        ["report", "--model", "m", "--since", "2026-01-01", "--until", "2026-01-02", "--out", "o", "--store", "s"],
        ["check-config"],
        ["baseline"],
        ["demo", "--models", "0"],
    ],
)
def test_usage(run, words: list[str]) -> None:
    """Words that a command does not take: exit code 2, said on stderr."""
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err


@pytest.mark.parametrize("command", [["check-config"], ["run", "--config"], ["replay", "x.jsonl", "--config"]])
def test_bad_configuration(run, command: list[str], tmp_path: Path) -> None:
    """A configuration that cannot be used: exit code 78, file and key on stderr, nothing on stdout."""
    file = tmp_path / "modelwatch.toml"
    file.write_text('[budget]\nfalse_alarms_per_wek = 3\n[[models]]\nmatch = "*"\ntick = "soon"\n')
    code, out, err = run(*command, file)
    assert (code, out) == (78, "")
    assert f"{file}: budget.false_alarms_per_wek" in err
    assert "false_alarms_per_week" in err
    assert "tick" in err


def test_configuration_that_is_not_there(run, tmp_path: Path) -> None:
    """A file that cannot be read is a bad configuration and is named."""
    code, _, err = run("check-config", tmp_path / "none.toml")
    assert code == 78
    assert str(tmp_path / "none.toml") in err


def test_run_needs_kafka(run, tmp_path: Path) -> None:
    """The daemon cannot do without a source; a file of policies alone is a bad configuration for it."""
    file = tmp_path / "policies.toml"
    file.write_text('[[models]]\nmatch = "*"\n')
    assert run("check-config", file)[0] == 0
    code, _, err = run("run", "--config", file)
    assert code == 78
    assert f"{file}: kafka" in err


@pytest.mark.parametrize("name", ["none.jsonl", "events.csv"])
def test_replay_of_what_cannot_be_read(run, name: str, tmp_path: Path) -> None:
    """A file that is missing or of an unknown kind: exit code 1, and its name."""
    (tmp_path / "events.csv").write_text("a,b\n")
    code, out, err = run("replay", tmp_path / name)
    assert (code, out) == (1, "")
    assert err.startswith(str(tmp_path / name))


def test_replay_json(run, events: Path) -> None:
    """One JSON object a line on stdout, the summary last; nothing else there."""
    code, out, err = run("replay", events, "--json")
    assert (code, err) == (0, "")
    summary = json.loads(out.splitlines()[-1])
    keys = {"type", "events", "rejected", "models", "ticks", "incidents", "seconds", "events_per_second"}
    assert keys <= set(summary)
    assert (summary["type"], summary["events"], summary["rejected"], summary["models"]) == ("summary", 10, 1, 1)
    assert summary["rejected_by_reason"] == {"json": 1}


def test_replay_says_what_it_left_out(run, tmp_path: Path) -> None:
    """Values that were dropped, fields that nobody knows, duplicates and models beyond the limit: each is counted."""
    event = '{"model":"%s","id":"%d","time":1772323200,"features":{"x":1,"list":[1],"object":{"a":1}},"shoe":43}\n'
    file, config = tmp_path / "odd.jsonl", tmp_path / "few.toml"
    file.write_text("".join(event % ("m" if i < 4 else f"m{i}", i % 4) for i in range(10)))
    config.write_text("[limits]\nmodels = 3\n")
    summary = json.loads(run("replay", file, "--config", config, "--json")[1].splitlines()[-1])
    told = {name: summary[name] for name in ("events", "models", "duplicates", "unknown_fields", "dropped_values")}
    assert told == {"events": 6, "models": 3, "duplicates": 0, "unknown_fields": 10, "dropped_values": 20}
    assert (summary["rejected"], summary["rejected_by_reason"]) == (4, {"too_many_models": 4})
    (again := tmp_path / "again.jsonl").write_bytes(file.read_bytes())
    said = run("replay", file, again, "--config", config)[1]
    assert "4 rejected (too_many_models 4), 0 late, 10 duplicates, 20 unknown fields, 40 dropped values" in said


def test_replay_text(run, events: Path) -> None:
    """Without ``--json`` the summary is a sentence."""
    code, out, _ = run("replay", events)
    assert code == 0
    assert out.startswith("10 events of 1 models in 1 ticks, 1 rejected (json 1), 0 late: 0 incidents (")


def test_replay_out(run, events: Path, tmp_path: Path) -> None:
    """``--out`` writes the document of each model under its name."""
    assert run("replay", events, "--out", tmp_path / "out")[0] == 0
    document = json.loads((tmp_path / "out" / "models" / "m.json").read_text())
    assert (document["model"], document["events"], document["state"]) == ("m", 10, "learning")


def test_replay_out_takes_any_name(run, tmp_path: Path) -> None:
    """A name of 200 characters has a document, however many bytes it takes, and two that begin alike have one each."""
    names = ["a/b", "..", "å" * 200, "å" * 199 + "a"]
    event = '{"model":"%s","id":"1","time":1772323200,"features":{"x":1}}\n'
    (tmp_path / "names.jsonl").write_text("".join(event % name for name in names))
    assert run("replay", tmp_path / "names.jsonl", "--out", tmp_path / "out")[0] == 0
    files = list((tmp_path / "out" / "models").iterdir())
    assert {json.loads(file.read_text())["model"] for file in files} == set(names)


def test_replay_tells_of_a_reference_that_is_not_there(run, events: Path, tmp_path: Path) -> None:
    """A reference file that could not be used is named on stderr, for its model learned one instead."""
    config = tmp_path / "modelwatch.toml"
    config.write_text('[[models]]\nmatch = "m"\nreference = "file:none/{model}.mwref"\n')
    code, out, err = run("replay", events, "--config", config, "--json")
    assert (code, json.loads(out)["type"]) == (0, "summary")
    assert (
        err == f"m: reference file not used: {tmp_path / 'none/m.mwref'}: cannot be read: No such file or directory\n"
    )


def test_replay_out_that_cannot_be_written(run, events: Path) -> None:
    """A place that cannot be written is named, with exit code 1."""
    code, _, err = run("replay", events, "--out", events)
    assert code == 1
    assert err.startswith(str(events))


def test_baseline_show(run, tmp_path: Path) -> None:
    """A reference is shown; what is none is named, with exit code 1."""
    save(Profile("m", "", 300, "here", [number_series("x", "feature", START + 0.0 * _numbers(), 300)]), tmp_path / "a")
    assert run("baseline", "show", tmp_path / "a")[0] == 0
    (tmp_path / "b").write_text("no reference")
    code, out, err = run("baseline", "show", tmp_path / "b")
    assert (code, out) == (1, "")
    assert err.startswith(str(tmp_path / "b"))


def test_alerts_test_needs_an_alertmanager(run, tmp_path: Path) -> None:
    """Where there is nobody to tell, that is said."""
    file = tmp_path / "modelwatch.toml"
    file.write_text("")
    code, _, err = run("alerts", "test", "--config", file)
    assert code == 2
    assert "alertmanager.urls" in err


def _numbers():
    import numpy as np  # noqa: PLC0415

    return np.arange(300.0)


def program(*words: object, **rest) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "monitor", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, **rest)


def test_reader_that_goes(events: Path) -> None:
    """Whoever reads the output may go: no traceback, exit code 1."""
    process = program("replay", events, stdout=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk() -> None:
    """Output that cannot be written is an error in one line, exit code 1."""
    with Path("/dev/full").open("w") as full:
        process = program("version", stdout=full)
        assert process.stderr.read() == b"output: No space left on device\n"
        process.stderr.close()
        assert process.wait() == 1
