"""By what was an incident judged? The policy and the reference of its model, kept by their digests."""

from __future__ import annotations

import hashlib

from monitor.catalog.learned import profile_of
from monitor.catalog.models import Models
from monitor.catalog.policies import Policy
from monitor.catalog.profile import packed
from monitor.catalog.series import Series
from monitor.catalog.toml import toml_lines
from monitor.incidents.firing import JudgedBy
from monitor.kernels.hashing import hash64


class Exhibits:
    """What incidents name. ``fresh`` holds what was named since it was last stored, by digest.

    A policy is the TOML text of all its keys, a reference the content of its file
    (:func:`monitor.catalog.profile.packed`).
    """

    def __init__(self, models: Models, series: Series) -> None:
        self._models = models
        self._series = series
        self.fresh: dict[str, bytes] = {}

    def judged_by(self, name: str, segment: str | None) -> JudgedBy:
        """The digests of the policy and the reference that a model, or the part of it in ``segment``, has now."""
        row = self._row(name, segment)
        if row is None:
            return JudgedBy()
        text = policy_text(self._models.items[row].policy).encode()
        policy = hashlib.sha256(text).hexdigest()
        self.fresh[policy] = text
        profile = profile_of(self._models, self._series, row)
        if not profile.series:
            return JudgedBy(policy)
        reference, content = packed(profile)
        self.fresh[reference] = content
        return JudgedBy(policy, reference)

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
