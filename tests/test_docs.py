"""The documentation speaks of what is there, and its figures are what the program computes."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from monitor import cli, diaries, shapes, weeks
from monitor.apart import shelf
from monitor.apart import watch as apart
from monitor.catalog.policies import Policy
from monitor.catalog.profile import Profile, SeriesProfile, number_series, save
from monitor.catalog.tables import keys_of
from monitor.conduct.watch import NAMES as CONDUCT
from monitor.config import load
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector, in_proportion
from monitor.events.columns import Reason, Space
from monitor.groups.questions import QUESTIONS
from monitor.ingest.demo_faults import KINDS, REMEDIES, FaultKind
from monitor.kernels import tally
from monitor.outcomes import sheaves
from monitor.outcomes.joining import FATES
from monitor.outcomes.measures import MEASURES
from monitor.stats.bounds import null_edge
from monitor.store import audit, checkpoint, dockets, drills, exhibits, figures, grouplog, sums, ticklog

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
}
README, ARCHITECTURE, STORE = TEXTS["README.md"], TEXTS["docs/architecture.md"], TEXTS["docs/formats/store.md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "detectors").glob("*.md")}
DETECTOR = {detector.name: detector for detector in DETECTORS}
GROUP_QUESTIONS = {question.detector: question for question in QUESTIONS.values() if question.directions}
OF_CASES = {"performance": "ModelPerformanceDegraded", "calibration": "ModelCalibrationShift"}
"""Questions that are asked of matured cases, and the alert of each."""
OF_FEATURES_BY_GROUP = {apart.DETECTOR: apart}
OF_MODELS = {"silence": "ModelSilent", "volume": "ModelVolumeAnomaly"} | dict.fromkeys(CONDUCT, "ModelDataQuality")
"""Detectors whose cells are of models, or of how they are used, and the alert under which each is told."""
SECTIONS = ("Question", "Formula", "Null and tolerance", "Effect", "What it cannot see", "When it fires")
TOLERANCE = 0.02
NATS = 20.0


def test_every_detector_has_its_page() -> None:
    """Each detector of the table has a page, and no page is of a detector that is not there."""
    of_others = GROUP_QUESTIONS.keys() | OF_CASES.keys() | OF_MODELS.keys() | OF_FEATURES_BY_GROUP.keys()
    assert PAGES.keys() == DETECTOR.keys() | of_others


@pytest.mark.parametrize("name", sorted(DETECTOR))
def test_a_page_answers_the_same_questions(name: str) -> None:
    """A page says which alert, what is asked and how, what is let pass, what cannot be seen, and what to do."""
    page, detector = PAGES[name], DETECTOR[name]
    assert page.startswith(f"# {name}\n")
    assert tuple(re.findall(r"^## (.*)$", page, flags=re.MULTILINE)) == SECTIONS
    assert all(f"`{detector.alertname(space)}`" in page for space in (Space.FEATURE, Space.PREDICTION))
    assert f"share\n`{detector.share}`" in page or f"share `{detector.share}`" in page
    assert f"`tolerance.{detector.tolerance}`" in page
    assert f"\n`{detector.effect}`: " in page


@pytest.mark.parametrize("name", sorted(GROUP_QUESTIONS))
def test_a_page_of_a_group_comparison_answers_them_too(name: str) -> None:
    """It has the same sections, and says alert, budget, tolerance and effect; the alert has a runbook."""
    page, question = PAGES[name], GROUP_QUESTIONS[name]
    assert page.startswith(f"# {name}\n\nAlert `{question.alertname}`. Budget share `fairness`")
    assert tuple(re.findall(r"^## (.*)$", page, flags=re.MULTILINE)) == SECTIONS
    assert f"`tolerance.{question.tolerance}`" in page
    assert f"\n`{question.effect}`: " in page
    assert f"\n### {question.alertname}\n" in TEXTS["docs/operations.md"]


@pytest.mark.parametrize(("name", "alert"), OF_CASES.items())
def test_a_page_of_cases_answers_the_same_questions(name: str, alert: str) -> None:
    """As of a detector of series: the same sections, its alert, and a runbook for that."""
    page = PAGES[name]
    assert page.startswith(f"# {name}\n")
    assert tuple(re.findall(r"^## (.*)$", page, flags=re.MULTILINE)) == SECTIONS
    assert f"Alert `{alert}`. Budget share `performance`, tolerance `tolerance.{name}`." in page
    assert f"\n### {alert}\n" in TEXTS["docs/operations.md"]


def test_every_fate_of_an_outcome_is_explained() -> None:
    """events.md has a row for each fate, and none for another; so has the page of performance for each measure."""
    told = [row[2] for row in rows(TEXTS["docs/events.md"], "| fate |")[2:]]
    assert set(re.findall(r"`(\w+)`", " ".join(told))) == set(FATES)
    assert [row[0].strip("`") for row in rows(PAGES["performance"], "| measure |")[2:]] == [m.name for m in MEASURES]
    assert all(f"`{measure.effect}`" in PAGES["performance"] for measure in MEASURES)


@pytest.mark.parametrize(("name", "alertname"), OF_MODELS.items())
def test_a_page_of_a_models_cell(name: str, alertname: str) -> None:
    """So does the page of a detector of whole models."""
    page = PAGES[name]
    assert page.startswith(f"# {name}\n\nAlert `{alertname}`.")
    assert tuple(re.findall(r"^## (.*)$", page, flags=re.MULTILINE)) == SECTIONS
    assert "share `quality`" in page
    assert f"\n### {alertname}\n" in TEXTS["docs/operations.md"]


@pytest.mark.parametrize("name", OF_FEATURES_BY_GROUP)
def test_a_page_of_features_by_group(name: str) -> None:
    """So does that of what is asked of features by group, with its share, its tolerance and its effect."""
    page, asked = PAGES[name], OF_FEATURES_BY_GROUP[name]
    assert page.startswith(f"# {name}\n\nAlert `{asked.ALERTNAME}`, ")
    assert tuple(re.findall(r"^## (.*)$", page, flags=re.MULTILINE)) == SECTIONS
    assert f"Budget share `{asked.SHARE}`, tolerance `tolerance.{asked.TOLERANCE}`." in page
    assert f"\n`{asked.EFFECT}`: " in page
    assert f"\n### {asked.ALERTNAME}\n" in TEXTS["docs/operations.md"]


def rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose first line contains ``head``."""
    tables = re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE)
    (table,) = (table for table in tables if head in table.split("\n")[0])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def rate(text: str) -> float:
    return float(text.removesuffix(" %")) / 100.0


def tolerance(detector: Detector, before: float) -> float:
    """What is let pass by default of a share that was ``before``."""
    if detector.tolerance != "quality":
        return TOLERANCE
    return float(in_proportion(np.array([TOLERANCE]), np.array([before]))[0])


def events(detector: Detector, before: float, now: float) -> int:
    """Events after which the best bet on ``now`` has won ``NATS``, against a reference of 10,000."""
    edge = float(null_edge(round(10_000 * before), 10_000, tolerance(detector, before))[1])
    shifts = np.array(detector.shifts)
    return round(NATS / float((now * shifts - np.log1p(edge * np.expm1(shifts))).max()))


@pytest.mark.parametrize(("name", "head"), [("drift", "reference of 1,000"), ("missing", "edge, reference")])
def test_edges_are_those_of_the_null(name: str, head: str) -> None:
    """The edges of the null in the pages are what the bounds give for such references."""
    for share, *cells in rows(PAGES[name], head)[2:]:
        for n, cell in zip((1000, 10_000), cells, strict=True):
            let_pass = tolerance(DETECTOR[name], rate(share))
            low, high = (f"{100 * float(edge):.1f} %" for edge in null_edge(round(n * rate(share)), n, let_pass))
            assert cell == (f"{low} to {high}" if DETECTOR[name].two_sided else high)


def test_detection_times_are_those_of_the_bets() -> None:
    """The numbers of events in the pages are what the bets of the detectors need."""
    shares, counts = (table[1:] for table in (rows(PAGES["drift"], "share now")[i] for i in (0, 2)))
    assert [events(DETECTOR["drift"], 0.5, rate(share)) for share in shares] == [int(count) for count in counts]
    head, _, *lines = rows(PAGES["missing"], "before, of 10,000")
    for before, *counts in lines:
        wanted = [events(DETECTOR["missing"], rate(before), rate(now)) for now in head[1:]]
        assert [int(count) for count in counts] == wanted
    bets = {DETECTOR[name].shifts for name in ("missing", "invalid", "out_of_range", "unseen", "schema")}
    assert len(bets) == 1


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a page that are written in ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """What the headings of a page may be linked by."""
    titles = re.findall(r"^#+ (.*)$", prose(text), flags=re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    """Every link of a page within the project goes to a file or directory that is there, and to a heading in it."""
    broken = []
    for target, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", prose(TEXTS[page])):
        if re.match(r"[a-z]+:", target):
            continue
        path = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        if not path.exists() or (heading and heading not in anchors(path.read_text(encoding="utf-8"))):
            broken.append(f"{target}#{heading}")
    assert broken == []


@pytest.mark.parametrize("page", TEXTS)
def test_named_files_exist(page: str) -> None:
    """Every file or directory of the project that a page names is there."""
    rooms = "monitor|tests|docs|deploy|bench|scripts|requirements"
    named = re.findall(rf"`((?:{rooms})/[\w./-]*\w)/?`", prose(TEXTS[page]))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_layers_are_those_that_are_checked() -> None:
    """The rooms of architecture.md stand in the layers that import-linter holds the code to, in that order."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    told: dict[str, list[str]] = {}
    for layer, room, *_ in rows(ARCHITECTURE, "| room |")[2:]:
        told.setdefault(layer, []).append(room.strip("`"))
    assert [" | ".join(names) for names in told.values()] == layers
    assert list(told) == [str(i + 1) for i in range(len(layers))]


def test_rooms_have_the_purpose_that_they_say() -> None:
    """The purpose of each room in architecture.md is the first line of its docstring."""
    for _, room, purpose, _ in rows(ARCHITECTURE, "| room |")[2:]:
        base = ROOT / "monitor" / room.strip("`")
        module = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        line = (ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "").split("\n")[0]
        assert purpose == re.sub(r":\w+:(`[^`]+`)", r"\1", line).replace("``", "`")


def test_every_dependency_is_accounted_for() -> None:
    """architecture.md says of each dependency, also those to build and to test, what it is for."""
    groups = PROJECT["dependency-groups"].values()
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"], *chain.from_iterable(groups)]
    names = {re.split(r"[<>=!~\[ ]", requirement)[0] for requirement in wanted}
    assert {name for name in names if f"`{name}`" not in ARCHITECTURE} == set()


@pytest.mark.parametrize("name", sorted(DETECTOR))
def test_every_alert_of_a_detector_has_its_runbook(name: str) -> None:
    """Whatever a detector may raise, of whichever kind of series, has a section in operations.md."""
    raised = {DETECTOR[name].alertname(space) for space in (Space.FEATURE, Space.PREDICTION, Space.METRIC)}
    assert {alert for alert in raised if f"\n### {alert}\n" not in TEXTS["docs/operations.md"]} == set()


def test_every_reason_of_a_dead_letter_is_explained() -> None:
    """events.md has a row for each reason, and none for another."""
    told = [row[0].strip("`") for row in rows(TEXTS["docs/events.md"], "| reason |")[2:]]
    assert told == [reason.name.lower() for reason in Reason]


def test_the_glossary_is_in_order() -> None:
    """Its words stand in the order of the alphabet, and the detectors are all named."""
    words = re.findall(r"^\*\*([^*]+)\*\*:", TEXTS["docs/glossary.md"], flags=re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    assert {name for name in DETECTOR.keys() | set(OF_MODELS) if f"`{name}`" not in TEXTS["docs/glossary.md"]} == set()


def test_the_changelog_has_this_version() -> None:
    """The version of the project has a section, whose lines have a kind and an area and stand in order."""
    text = TEXTS["CHANGELOG.md"]
    assert f"\n## {PROJECT['project']['version']} / " in text
    order = ("CHANGE", "FEATURE", "ENHANCEMENT", "BUGFIX")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        lines = re.findall(r"^\* (.*)$", section, flags=re.MULTILINE)
        keys = [re.fullmatch(r"\[([A-Z]+)\] ([a-z]+): .*\.", line) for line in lines]
        assert all(keys), lines
        ranked = [(order.index(key[1]), key[2]) for key in keys if key]
        assert ranked == sorted(ranked)


def commands(text: str) -> list[str]:
    """The calls of the program in the blocks of a page."""
    lines = "\n".join(blocks(text, "(?:sh)?")).splitlines()
    return [line.split("  #")[0] for line in lines if line.startswith("modelwatch ")]


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_commands_are_taken(page: str) -> None:
    """Every call in a block of a page has words that the program takes."""
    assert commands(TEXTS[page])
    for command in commands(TEXTS[page]):
        assert callable(cli._parser().parse_args(shlex.split(command)[1:]).run)


def test_commands_of_the_readme_exist() -> None:
    """Every command that the README names in its sentences is one of the program's."""
    shown = subprocess.run([sys.executable, "-m", "monitor", "--help"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"^    ([a-z][a-z-]+)", shown.stdout, flags=re.MULTILINE))
    assert {"run", "check-config", "replay"} <= known
    assert set(re.findall(r"`modelwatch ([a-z-]+)", README)) <= known


def test_the_configuration_of_the_readme_is_one(tmp_path: Path) -> None:
    """It has ten lines and no fault."""
    (text,) = blocks(README, "toml")
    assert len(text.splitlines()) == 10
    file = tmp_path / "modelwatch.toml"
    file.write_text(text, encoding="utf-8")
    assert load(file, {}).require_kafka().topic("ml.predictions") is not None


def test_every_key_of_a_policy_does_something() -> None:
    """There is no key of a policy at which nothing but the configuration itself looks."""
    sources = [path for path in (ROOT / "monitor").rglob("*.py") if path.name != "policies.py"]
    looked_at = set(re.findall(r"\bpolicy\.(\w+)", "\n".join(path.read_text(encoding="utf-8") for path in sources)))
    for method, keys in (("team_of", {"team", "owners"}), ("tolerance_of", {"tolerance"})):
        looked_at |= keys if method in looked_at else set()
    assert set(keys_of(Policy)) - looked_at == set()


def test_the_example_of_the_readme_is_what_happens(tmp_path: Path) -> None:
    """The commands of the README, run as they stand, print what the README shows, times and rates apart."""
    (script,) = (block for block in blocks(README, "python") if "training.csv" in block)
    (shell,) = (block for block in blocks(README, "sh") if "training.csv" in block)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELWATCH_")}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    ran = subprocess.run(
        ["sh", "-e", "-c", shell],
        cwd=tmp_path,
        env=environment | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = next(block for block in blocks(README, "text") if "incidents (" in block)
    n = len(shown.splitlines())
    assert [_untimed(line) for line in ran.stdout.splitlines()[-n:]] == [_untimed(line) for line in shown.splitlines()]


def _untimed(line: str) -> str:
    return re.sub(r"\([\d.]+ s, \d+ events/s\)", "", line)


def test_the_columns_of_a_series_are_those_of_the_kernel() -> None:
    """store.md names each column of a series as the kernel numbers it."""
    table = {row[0]: row[1].strip("`") for row in rows(STORE, "| column |")[2:]}
    bins = table.pop("0 to 31")
    assert bins == "bins"
    assert {name: getattr(tally, name) for name in table.values()} == {name: int(i) for i, name in table.items()}
    assert set(range(tally.BINS, tally.COLUMNS)) <= {int(i) for i in table}


def test_the_keys_of_the_store_are_those_that_are_written() -> None:
    """store.md names the format and every kind of key, and no two kinds begin alike."""
    assert f"Format **{checkpoint.FORMAT}**" in STORE
    named = [row[0].split("`")[1] for row in rows(STORE, "| key |")[2:]]
    told = set(named)
    assert len(told) == len(named)
    constants = {value for name, value in vars(checkpoint).items() if re.fullmatch("_[A-Z]+", name)}
    written = {value for value in constants if isinstance(value, bytes)}
    written |= {ticklog._PREFIX, drills._PREFIX, audit._PREFIX, exhibits._PREFIX, figures.PREFIX}
    written |= {checkpoint.DONE, checkpoint.OPEN, dockets._PREFIX}
    written |= {grouplog.HOURS, grouplog.DAYS, grouplog.RUNNING}
    written |= {sheaves.CASES, sheaves.KEYS, diaries.PREFIX, shapes.PREFIX, weeks.PREFIX, shelf.PREFIX}
    assert told == {key.decode() for key in written}


def test_the_levels_of_the_tick_log_are_those_that_are_kept() -> None:
    """store.md says how long ticks, hours and days are kept."""
    told = [row[1:] for row in rows(STORE, "| level |")[2:]]
    days = [level.kept / 86400 for level in ticklog.LEVELS]
    assert told[0] == ["ticks as they were", f"{days[0]:g} days"]
    assert told[1] == ["hours", f"until they are {days[1]:g} days old"]
    assert [level.seconds for level in ticklog.LEVELS] == [0, 3600, 86400]
    assert told[2] == ["days", "until `privacy.retention.ticks` (400 days)"]
    assert load(None, {}).privacy.retention.ticks == 400 * 86400


def full_tick(events: int) -> bytes:
    """A tick in which every bin is taken, packed: 16 numbers, a score, 4 categories, a label, a fifth with nulls."""
    counts, moments = np.zeros((23, tally.COLUMNS), np.uint32), np.tile([0.0, 0.0, np.inf, -np.inf], (23, 1))
    counts[0, :3] = events
    for row, bins in enumerate([32] * 17 + [6] * 4 + [2], start=1):
        counts[row, :bins] = events // bins
        counts[row, [tally.PRESENT, tally.EVENTS]] = events
        counts[row, tally.NULLS] = events // 100 if row % 5 == 0 else 0
        if bins == 32:
            moments[row] = 1.0
    return sums.pack(counts, moments)


def test_the_size_of_a_full_tick_is_what_is_written() -> None:
    """A tick in which every bin is taken is packed into as many bytes as store.md says."""
    sizes = dict(zip(*(line[1:] for line in rows(STORE, "| events in the tick |")[::2]), strict=True))
    for events in (14_400, 86_400):
        assert len(full_tick(events)) == int(sizes[f"{events:,}"].replace(",", ""))


def test_a_reference_can_be_read_by_hand(tmp_path: Path) -> None:
    """The lines of reference.md read a file that the program wrote, and its members are those of the page."""
    page = TEXTS["docs/formats/reference.md"]
    series = number_series("x", "feature", np.arange(300.0), 300)
    save(Profile("m", "1", 300, "here", [series]), tmp_path / "credit-limit.mwref")
    (script,) = blocks(page, "python")
    shown = f"{script}print(json.dumps(reference))"
    ran = subprocess.run([sys.executable, "-c", shown], cwd=tmp_path, capture_output=True, text=True, check=True)
    read = json.loads(ran.stdout)
    assert read.keys() == set(Profile.__struct_fields__)
    assert read["series"][0].keys() == set(SeriesProfile.__struct_fields__)
    assert {name for name in (*read, *read["series"][0]) if f"`{name}`" not in page} == set()


def test_the_demo_plants_what_its_page_says() -> None:
    """Every kind of fault has its line, with the sizes that are drawn and the alerts that can tell of it."""
    told = {row[0]: row[1:] for row in rows(TEXTS["docs/demo.md"], "| kind |")[2:]}
    assert told.keys() == {f"`{kind}`" for kind in FaultKind}
    for kind, table in KINDS.items():
        size, _, alertnames, asks = told[f"`{kind}`"]
        assert size == " to ".join(f"{end:g}" for end in sorted(set(table.sizes)))
        assert alertnames == ", ".join(f"`{name}`" for name in table.alertnames)
        assert asks == ", ".join(f"`{action}`" for action in REMEDIES[kind])
