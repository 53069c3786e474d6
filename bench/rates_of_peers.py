"""Events a CPU second and memory a model, beside other tools on the same events; ``make bench-peers``.

Each tool has an environment of its own with pinned versions (``bench/peers/*.txt``), built in ``.cache/peers`` when it
is not there. Each is used as its documentation says and in the way that is fastest (``bench/peers/rates.py``). All
are measured in seconds of CPU of their process, which other work on the machine disturbs least, and modelwatch again
before each tool, so that a ratio is of two neighbours. Of the tools the parsing of events and the fitting of references
are not counted; of modelwatch everything is, from bytes to the commit, the threads of its store among it. None may
tell its maker that it is used: where there is no network they spend their time on trying again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import events as bench_events
import memory
import stages

ROOT = Path(__file__).parents[1]
MODELS, EVENTS = 1_000, 60_000
"""How many models modelwatch watches; and how many events the tools are given, of as many models as fill a tick."""
_INSTALLER = "uv"
_OWN_TICKS = 6
_SILENT = {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
WAYS = {
    "whylogs_rows": ("whylogs", "a profile a model, event by event"),
    "whylogs_batches": ("whylogs", "a profile a model, a table of each tick"),
    "whylogs_table": ("whylogs", "one model, one table of 60,000"),
    "evidently_batches": ("evidently", "drift preset, a tick of a model"),
    "evidently_batches_fastest": ("evidently", "columns that drift, by PSI, a tick of a model"),
    "evidently_table": ("evidently", "drift preset, one model, 10,000 events"),
    "evidently_table_fastest": ("evidently", "columns that drift, by PSI, one model, 10,000 events"),
    "nannyml_batches": ("nannyml", "Jensen-Shannon, a tick of a model"),
    "nannyml_table": ("nannyml", "Jensen-Shannon, one model, 60,000 events"),
    "nannyml_table_fastest": ("nannyml", "Hellinger and L-infinity, one model, 60,000 events"),
    "adwin": ("river", "ADWIN, 17 numbers"),
    "adwin_rarely": ("river", "ADWIN, 17 numbers, looks every 1,024 values"),
    "page_hinkley": ("river", "Page-Hinkley, 17 numbers"),
    "kswin": ("river", "KSWIN, 17 numbers"),
    "cvm": ("alibi-detect", "CVM online, 17 numbers, two windows, a reference of 1,000"),
    "cvm_fastest": ("alibi-detect", "CVM online, 17 numbers, one window, a reference of 200"),
    "fet": ("alibi-detect", "FET online, 18 values of categories, two windows, a reference of 1,000"),
    "fet_fastest": ("alibi-detect", "FET online, 18 values of categories, one window, a reference of 200"),
    "driftfdr_error": ("driftfdr", "one number an event"),
    "driftfdr_features": ("driftfdr", "17 numbers"),
}
"""What each way of ``bench/peers/rates.py`` is: whose environment, and in words."""


def python_of(package: str, venvs: Path) -> Path | None:
    """The interpreter of a peer's environment, built where it is not there; ``None`` where it cannot be.

    What pip resolves in an hour takes ``uv`` some seconds; that is in an environment of its own, installed by pip.
    """
    home, asked = venvs / package, ROOT / "bench" / "peers" / f"{package}.txt"
    python, ready = home / "bin" / "python", home / f"{package}.ready"
    if ready.exists() and ready.read_text() == asked.read_text():
        return python
    install = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    if package != _INSTALLER:
        installer = python_of(_INSTALLER, venvs)
        install = [str(installer), "-m", "uv", "pip", "install", "--python", str(python)]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([*install, "--quiet", "-r", str(asked)], check=True)
    except subprocess.CalledProcessError:
        return None
    ready.write_text(asked.read_text())
    return python


def own_rate(per_tick: int) -> float:
    """Events a CPU second of modelwatch, once it has met every model: decoded, counted, joined, judged, stored."""
    shape = bench_events.Shape(MODELS * per_tick * _OWN_TICKS, MODELS, per_tick, 0)
    spent = stages.measured(shape, keyed=False)  # no other tool waits for outcomes
    return 1e6 / (spent["process"] * spent["parsing_us"])


def of_peer(way: str, path: Path, venvs: Path, seconds: float, per_tick: int) -> tuple[str, str, float]:
    """Cells of the table, rate and memory, and the rate as a number."""
    python = python_of(WAYS[way][0], venvs)
    if python is None:
        return "cannot be installed here", "", 0.0
    command = [str(python), str(ROOT / "bench" / "peers" / "rates.py"), str(path), way, str(seconds), str(per_tick)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | _SILENT)
    if ran.returncode:
        return f"fails: {ran.stderr.strip().splitlines()[-1]}", "", 0.0
    told = json.loads(ran.stdout.splitlines()[-1])
    each = "" if told["kb"] is None else f"{told['kb']:,.0f}"
    return f"{told['events_per_second']:,.0f}", each, told["events_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU time after which a way begins no further step")
    parser.add_argument("--per-tick", type=int, default=600, help="events of a model in a 60-s tick, in the mean")
    parser.add_argument("--venvs", type=Path, default=ROOT / ".cache" / "peers", help="an environment for each package")
    given = parser.parse_args()
    own: dict[str, float] = {}
    print("| tool | used | events a CPU second | kB a model | modelwatch is faster by |\n|---|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory(prefix="modelwatch-peers-") as folder:
        path = Path(folder) / "events.jsonl"
        with path.open("wb") as file:
            file.writelines(line + b"\n" for line in bench_events.events(_shape(given.per_tick)))
        for way in given.ways.split(","):
            package, words = WAYS[way]
            if package not in own:
                own[package] = own_rate(given.per_tick)
            told, kept, rate = of_peer(way, path, given.venvs, given.seconds, given.per_tick)
            faster = f"{own[package] / rate:,.1f}" if rate else ""
            print(f"| {package} | {words} | {told} | {kept} | {faster} |", flush=True)
    each, rate = (memory.measured(MODELS)[0] - memory.measured(0)[0]) * 1024.0 / MODELS, statistics.median(own.values())
    spread = f"{rate:,.0f} ({min(own.values()):,.0f} to {max(own.values()):,.0f})"
    print(f"| modelwatch | everything, {MODELS:,} models, {given.per_tick} events a tick | {spread} | {each:,.0f} | |")


def _shape(per_tick: int) -> bench_events.Shape:
    return bench_events.Shape(EVENTS, EVENTS // per_tick, per_tick, 0)


if __name__ == "__main__":
    main()
