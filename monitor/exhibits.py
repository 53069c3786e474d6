"""By what was an incident judged? Policy and reference of its model, and its first cell's docket, by their digests."""

from __future__ import annotations

import hashlib

from monitor.catalog.learned import profile_of
from monitor.catalog.models import Models
from monitor.catalog.policies import Policy
from monitor.catalog.profile import packed
from monitor.catalog.series import Series
from monitor.catalog.toml import toml_lines
from monitor.dockets import digest, judged
from monitor.incidents.firing import Firing, JudgedBy
from monitor.kernels.hashing import hash64


class Exhibits:
    """What incidents name. ``fresh`` holds what was named since it was last stored, by digest.

    A policy is the TOML text of all its keys, a reference the content of its file
    (:func:`monitor.catalog.profile.packed`), a docket the lines of :mod:`monitor.dockets`. ``program`` is its version.
    """

    def __init__(self, models: Models, series: Series) -> None:
        self._models = models
        self._series = series
        self.fresh: dict[str, bytes] = {}
        self.program = ""

    def judged_by(self, firing: Firing) -> JudgedBy:
        """What ``firing`` is judged by: what its model has, or the part of it in a segment, and its cell's docket."""
        row = self._row(firing.model, firing.report.segment)
        if row is None:
            return JudgedBy()
        text = policy_text(self._models.items[row].policy).encode()
        policy, reference = hashlib.sha256(text).hexdigest(), ""
        self.fresh[policy] = text
        profile = profile_of(self._models, self._series, row)
        if profile.series:
            reference, content = packed(profile)
            self.fresh[reference] = content
        return JudgedBy(policy, reference, self._docket(firing, policy, reference))

    def _docket(self, firing: Firing, policy: str, reference: str) -> str:
        if not firing.docket:
            return ""
        of: dict[str, str | None] = {"model": firing.model, "version": firing.version, "alertname": firing.alertname}
        of |= {"attribute": firing.report.attribute, "group": firing.report.group, "output": firing.report.output}
        by = {"policy": policy, "reference": reference or None, "program": self.program or None}
        docket = judged(firing.docket, {"is": "judged", **of, **by})
        found = digest(docket)
        self.fresh[found] = docket
        return found

    def take(self) -> dict[str, bytes]:
        """What was named since this was last asked."""
        taken, self.fresh = self.fresh, {}
        return taken

    def _row(self, name: str, segment: str | None) -> int | None:
        models = self._models
        row = models.find(hash64(name.encode()))
        if row is None or segment is None:
            return row
        for within in models.within.get(row, ()):
            model = models.items[within]
            if model.split is not None and model.split.shown(model.policy) == segment:
                return within
        return row


def policy_text(policy: Policy) -> str:
    """All keys of ``policy`` in TOML, as an auditor reads them and ``[[models]]`` takes them."""
    return "\n".join(toml_lines(policy.model_dump(mode="json", by_alias=True))) + "\n"
