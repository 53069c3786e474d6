"""What happens in a model's life: references from files, other policies, versions, retraining, retirement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from monitor.apart.watch import Apart
from monitor.catalog import references
from monitor.catalog.discovery import LOCAL_MAX, Discovery
from monitor.catalog.installing import Installer
from monitor.catalog.models import Models, Phase
from monitor.catalog.policies import Policy
from monitor.catalog.profile import Profile
from monitor.catalog.series import JUDGED, RETIRED, SPACE_NAMES, Series
from monitor.conduct.watch import Conduct
from monitor.detectors import DETECTORS
from monitor.errors import ProfileError
from monitor.events.columns import EventBatch, Lifecycle
from monitor.incidents.book import Book
from monitor.incidents.incident import Incident
from monitor.judging import Judge
from monitor.kernels.tally import PRESENT
from monitor.tally.blocks import Blocks
from monitor.tally.closed import ClosedTick
from monitor.traffic.watch import Traffic
from monitor.versions import Versions

_AT_ONCE = 256
"""New models that are given their references together: of many there may be as many files to hold."""


class Lives:
    """Begins and ends what models are judged by. ``ended`` holds the incidents that this resolved since it was read."""

    def __init__(
        self,
        discovery: Discovery,
        blocks: Blocks,
        judge: Judge,
        traffic: Traffic,
        conduct: Conduct,
        apart: Apart,
        book: Book,
        load_reference: Callable[[Path], tuple[Profile, str]],
    ) -> None:
        self.models: Models = judge.models
        self.series: Series = judge.series
        self.discovery = discovery
        self.blocks = blocks
        self.judge = judge
        self.traffic = traffic
        self.conduct = conduct
        self.apart = apart
        self.book = book
        self.ended: list[Incident] = []
        self.tolerances_changed: dict[int, set[str]] = {}
        """By model row, the families of tolerances that are others since this was last emptied; a contract is one."""
        self._load_reference = load_reference
        self._series_rows: dict[int, NDArray[np.int64]] = {}
        self._installer = Installer(self.models, self.series)
        self.versions = Versions(self.models, self.series, judge)
        discovery.on_models = self._refer_to_files
        discovery.on_version = self.new_version

    def series_rows(self, model: int) -> NDArray[np.int64]:
        """Rows of the model's series, in the order of their places in its blocks."""
        rows = self._series_rows.get(model)
        if rows is None:
            rows = self._series_rows[model] = np.array(self.models.items[model].series, np.int64)
        return rows

    def refer_to_file(self, row: int, time: float) -> None:
        """Give a model the reference file that its policy names, if it can be read; else it learns one."""
        self._refer([row], [time])

    def _refer_to_files(self, rows: range) -> None:
        """:meth:`refer_to_file` for new models."""
        known = len(self.series.rows)
        for first in range(rows.start, rows.stop, _AT_ONCE):
            part = range(first, min(first + _AT_ONCE, rows.stop))
            # The others have as many series as those before them, as far as anybody knows.
            each = (len(self.series.rows) - known) / max(first - rows.start, 1)
            self.series.rows.make_room(len(self.series.rows) + int(each * (rows.stop - first)))
            self._refer(part, self.models.rows["first_time"][part.start : part.stop].tolist())

    def _refer(self, rows: Sequence[int], times: Sequence[float]) -> None:
        """:meth:`refer_to_file` for models, none twice; each file is read once."""
        read: dict[Path, tuple[Profile, str] | ProfileError] = {}
        found: list[tuple[int, Profile, str]] = []
        for row, time in zip(rows, times, strict=True):
            model = self.models.items[row]
            kind, _, template = model.policy.reference.partition(":")
            if kind != "file" or model.split is not None:  # a file knows nothing of a segment
                continue
            path = reference_path(template, model.name, model.version)
            if path not in read:
                read[path] = self._read(path)
            reference = read[path]
            if isinstance(reference, ProfileError):
                self.models.note(row, time, "reference file not used", str(reference))
                continue
            profile, digest = reference
            if len(model.series) + len(profile.series) > LOCAL_MAX:
                self.models.note(row, time, "reference file not used", f"{path}: too many series in the model's life")
                continue
            if model.series:
                self._retire(row, profile, time)
            found.append((row, profile, digest))
            self.discovery.grown.add(row)
            self.models.refer(row, time, "reference file", digest[:16])
        self._installer.install_many(found)

    def _read(self, path: Path) -> tuple[Profile, str] | ProfileError:
        """A reference and its digest, or why it cannot be read."""
        try:
            return self._load_reference(path)
        except ProfileError as error:
            return error

    def new_version(self, row: int, time: float) -> None:
        """A version is judged by a reference file of its own, or by the version before, from its first event."""
        *_, before, _ = ["", *self.models.items[row].versions]
        self.versions.came(row, time, before)
        if "{version}" in self.models.items[row].policy.reference:
            self.refer_to_file(row, time)

    def begin_installed(self) -> None:
        """Begin to judge what came from reference files; open ticks get rows for all series that are new."""
        if len(installed := self._installer.begin()):
            self.judge.begin(installed)
        if self.discovery.grown:
            self.blocks.ensure({row: len(self.models.items[row].series) + 1 for row in self.discovery.grown})
        for row in self.discovery.grown:
            self._series_rows.pop(row, None)
        self.discovery.grown.clear()

    def reload(self, policy_of: Callable[[str], Policy]) -> list[int]:
        """Judge every model by the policy that it has from now on; returns the rows of those whose policy changed.

        Cells whose null is another one begin anew, and their incidents are resolved with the next closing: what they
        had gathered was evidence against something else. All other cells go on as they are.
        """
        changed = []
        for row, model in enumerate(self.models.items):
            policy = policy_of(model.name)
            if policy == model.policy:
                continue
            before, model.policy = model.policy, policy
            changed.append(row)
            self.end_split(row)
            self.apply_policies([row])
            if policy.outputs != before.outputs:
                time = float(self.models.rows["last_time"][row])
                self.ended += self.book.clear(self.conduct.end_outputs(row), time, "policy changed")
            if policy.reference != before.reference:
                self.judge.pair(self.series_rows(row))
                self.refer_to_file(row, float(self.models.rows["last_time"][row]))
        self.begin_installed()
        return changed

    def end_split(self, row: int) -> None:
        """End what a part of a model is judged by, if its policy splits by that segment no more: no event will."""
        model = self.models.items[row]
        if model.split is None or model.split.segment in model.policy.split_by:
            return
        if model.retired < len(model.series):
            self.ended += self._new_life(row, float(self.models.rows["last_time"][row]), "no longer split")

    def apply_policies(self, rows: Sequence[int]) -> None:
        """Take up the policies of models; cells that are held to something else than they were begin anew."""
        items = self.models.items
        before = [(row, items[row].tolerances, items[row].contract) for row in rows]
        self.models.apply_policies(rows)
        for row, tolerances, contract in before:
            if (tolerances, contract) != (items[row].tolerances, items[row].contract):
                self._take_up(row, tolerances, contract)

    def _take_up(self, row: int, before: dict[str, float], contract: dict[str, float]) -> None:
        """Let cells of a model begin anew that were held to tolerances ``before`` and to another ``contract``."""
        model, own = self.models.items[row], self.series_rows(row)
        changed = {family for family, said in model.tolerances.items() if said != before.get(family, said)}
        if before and model.contract != contract:
            changed.add("performance")
        if changed:
            self.tolerances_changed[row] = changed
        if changed and len(own):
            self.judge.restart(own, changed)
            cells = [(series, each.name) for series in own.tolist() for each in DETECTORS if each.tolerance in changed]
            self.ended += self.book.clear(cells, float(self.models.rows["last_time"][row]), "policy changed")

    def note(self, batch: EventBatch, counted: NDArray[np.int64], model: NDArray[np.int32]) -> None:
        """Note what happened in models' lives; who was retrained or retired is judged by what it did before no more.

        Only behind the batch's counting, which knows the series and the blocks as they were found.
        """
        for i in np.flatnonzero(batch.lifecycle[counted]).tolist():
            time, what = float(batch.time[counted[i]]), Lifecycle(int(batch.lifecycle[counted[i]]))
            quiet = self.traffic.retire(int(model[i]), retired=what == Lifecycle.RETIRED)
            self.ended += self.book.clear(quiet, time, "the model retired")
            for row in self.models.family(int(model[i])):
                self._note(row, time, what)

    def _note(self, row: int, time: float, what: Lifecycle) -> None:
        self.models.note(row, time, what.name.lower(), "")
        if what == Lifecycle.RETRAINED and self.models.rows["follows"][row]:
            self.versions.came(row, time, self.models.items[row].version)
            return
        if what in {Lifecycle.RETRAINED, Lifecycle.RETIRED}:
            self.ended += self._new_life(row, time, what.name.lower())
        if what == Lifecycle.RETRAINED:
            self.refer_to_file(row, time)
            self.begin_installed()

    def retire(self, row: int, time: float) -> list[Incident]:
        """End the watch of a model: its cells are gone, and spend nothing; returns the incidents that this resolved."""
        self.models.note(row, time, "retired", "")
        resolved = [done for one in self.models.family(row) for done in self._new_life(one, time, "retired")]
        return resolved + self.book.clear(self.traffic.retire(row, retired=True), time, "retired")

    def accept(self, row: int, ticks: Sequence[ClosedTick], time: float) -> list[Incident]:
        """Make what ``ticks`` hold the reference of a model; returns the incidents that this resolved.

        Features keep their bins; cuts, ranges and nulls follow from the new counts.
        """
        rows = self.series_rows(row)
        at = np.flatnonzero(self.series.rows["judging"][rows] == JUDGED)
        held = np.zeros((len(rows), self.series.rows["reference"].shape[1]), np.uint32)
        low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
        for tick in ticks:
            n = len(tick.counts) - 1
            held[:n] += tick.counts[1:]
            low[:n] = np.minimum(low[:n], tick.moments[1:, 2])
            high[:n] = np.maximum(high[:n], tick.moments[1:, 3])
        at = at[held[at, PRESENT] > 0]
        own = rows[at]
        resolved = self.end_cells(own, time, "accepted as the reference")
        self.series.rows["reference"][own] = held[at]
        self.series.rows["seen_low"][own], self.series.rows["seen_high"][own] = low[at], high[at]
        references.begin_judging(self.series, own)
        self.judge.begin(own)
        resolved += self.book.clear(self.conduct.end_lists(row), time, "accepted as the reference")
        self._forget_origin(row)
        if ticks:
            self.models.rows["learn_since"][row] = ticks[0].end - float(self.models.rows["tick"][row])
        self.models.refer(row, time, "the present accepted as the reference", "")
        return resolved

    def end_cells(self, rows: NDArray[np.int64], time: float, because: str) -> list[Incident]:
        """Take the cells of series ``rows`` away; returns the incidents that this resolved."""
        self.judge.end(rows)
        self.versions.let_go(rows)
        cells = [(row, detector.name) for row in rows.tolist() for detector in DETECTORS]
        cells += self.conduct.end_series(rows) + self.apart.end_series(rows)
        return self.book.clear(cells, time, because)

    def _new_life(self, row: int, time: float, because: str) -> list[Incident]:
        """Let go of all that a model was judged by; should it answer again, it learns anew."""
        resolved = self._let_go(row, list(SPACE_NAMES), time, because)
        resolved += self.book.clear(self.conduct.end_model(row), time, because)
        life = {"phase": Phase.LEARNING, "from_file": 0, "learned": 0, "learn_since": time}
        for name, value in life.items():
            self.models.rows[name][row] = value
        self.models.rows.touch(row)
        self._forget_origin(row)
        return resolved

    def _forget_origin(self, row: int) -> None:
        """The model's reference is no file's, nor another version's."""
        self.models.items[row].reference_digest = self.models.items[row].reference_version = ""

    def _retire(self, row: int, profile: Profile, time: float) -> None:
        """Let go of the series in whose place ``profile`` comes: all of the spaces that it speaks of."""
        spoken = {part.space for part in profile.series}
        spaces = [space for space, name in SPACE_NAMES.items() if name in spoken]
        self.ended += self._let_go(row, spaces, time, "another reference took over")

    def _let_go(self, row: int, spaces: list[int], time: float, because: str) -> list[Incident]:
        """End the series of a model in ``spaces``, with their cells; returns the incidents that this resolved."""
        model, old, rows = self.models.items[row], self.series_rows(row), self.series.rows
        old = old[(rows["judging"][old] != RETIRED) & np.isin(rows["space"][old], spaces)]
        if not len(old):
            return []
        resolved = self.end_cells(old, time, because)
        self.series.retire(old, model.name_hash)
        model.retired += len(old)
        model.full = False
        return resolved


def reference_path(template: str, model: str, version: str) -> Path:
    """The file a policy names; names come from events, so nothing in them may lead elsewhere."""
    fill = {"{model}": model, "{version}": version}
    for mark, name in fill.items():
        if mark in template:
            template = template.replace(mark, "%2E" * len(name) if name in {".", ".."} else quote(name, safe=" "))
    return Path(template)
