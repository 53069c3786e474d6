"""The demo fleet: what it plants is in its events, and nothing else is."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import numpy as np
import pytest

from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.events.raw import Partition
from monitor.ingest.demo import PARTITION, START, DemoFleet, DemoSource
from monitor.ingest.demo_faults import KINDS, NEW_FEATURE, OF_TRAFFIC, PER_KIND, Fault, FaultKind
from monitor.ingest.demo_laws import (
    ATTRIBUTES,
    MARKETS,
    POOL,
    RATE_MIN,
    SEASON,
    SEGMENT,
    STEP_SECONDS,
    TAGS,
    FleetLaws,
    Law,
    Role,
)
from monitor.ingest.demo_people import OUTCOME_HORIZON
from monitor.kernels.tally import BINS, EVENTS, NULLS, PRESENT
from monitor.stats.distances import cdf_gap, share_gap

Part = list[dict[str, Any]]

MODELS = 40
DAYS = 2.0
SEED = 3


@cache
def fleet(models: int = MODELS, days: float = DAYS, seed: int = SEED) -> DemoFleet:
    return DemoFleet(models, seed, days)


def read_all(source: DemoSource, records_max: int = 5000) -> list[bytes]:
    values: list[bytes] = []
    while batch := source.poll(records_max, 0.0):
        values.extend(value for value in batch.values if value is not None)
    return values


@cache
def everything() -> Part:
    return [json.loads(value) for value in read_all(DemoSource(fleet().slices()))]


@cache
def events() -> Part:
    """The cases."""
    return [event for event in everything() if "outcome" not in event]


@cache
def outcomes() -> dict[str, dict[str, Any]]:
    """What came of cases, by their ids."""
    return {event["id"]: event for event in everything() if "outcome" in event}


def of_role(*roles: Role) -> dict[str, Part]:
    parts: dict[str, Part] = {model.name: [] for model in fleet().models if model.role in roles}
    for event in events():
        if event["model"] in parts:
            parts[event["model"]].append(event)
    return parts


def split(fault: Fault) -> tuple[Part, Part]:
    """The events of a fault's model outside of it and under it."""
    outside, under = [], []
    for event in events():
        if event["model"] in fault.models:
            (under if fault.began <= event["time"] < fault.ended else outside).append(event)
    return outside, under


def values(part: Part, name: str) -> list[Any]:
    return [event["features"].get(name, "gone") for event in part]


def finite(part: Part, name: str) -> np.ndarray:
    numbers = [value for value in values(part, name) if isinstance(value, int | float)]
    return np.array(numbers, float)


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Models, faults and events follow from their arguments alone, whatever the size of the batches."""
    again = DemoFleet(MODELS, SEED, DAYS)
    assert read_all(DemoSource(again.slices()), 999) == read_all(DemoSource(fleet().slices()), 7777)
    assert again.faults == fleet().faults
    assert fleet(seed=4).faults != fleet().faults


def test_every_event_is_one_and_in_order() -> None:
    """The events are native ones, none is rejected, their times run on within the stream, and no id comes twice."""
    source = DemoSource(fleet().slices())
    decoder = NativeDecoder(DecodeLimits())
    times: list[float] = []
    while raw := source.poll(4000, 0.0):
        assert np.isnan(raw.timestamps).all()
        batch = decoder.decode(raw.values, raw.timestamps)
        assert len(batch) == len(raw)
        assert batch.unknown_fields == 0
        times.extend(batch.time.tolist())
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < START + DAYS * 86400.0
    assert len({event["id"] for event in events()}) == len(events())
    assert len(events()) + len(outcomes()) == len(times)


def test_some_models_change_their_version() -> None:
    """A few models serve their second version from some moment on, all others their first."""
    versions = defaultdict(list)
    for event in events():
        versions[event["model"]].append(event["version"])
    changed = [name for name, seen in versions.items() if len(set(seen)) == 2]
    assert all(versions[name] == sorted(versions[name]) for name in changed)
    assert 0 < len(changed) == sum(model.version_at < 1.0 for model in fleet().models) < MODELS / 2


def test_about_as_many_events_as_announced() -> None:
    """The number of events is what the rates say, within five standard deviations, of the fleet and of one model.

    Outcomes come up to six hours late, a mean of one: what the last hours' cases would bring is not there.
    """
    demo = fleet()
    deciders = [row for row, model in enumerate(demo.models) if model.role is Role.DECIDER]
    late = float(demo.means()[-int(OUTCOME_HORIZON / STEP_SECONDS) :, deciders].sum())
    assert -late - 5 * math.sqrt(len(everything())) < len(everything()) - demo.events_expected()
    assert len(everything()) - demo.events_expected() < 5 * math.sqrt(demo.events_expected())
    assert abs(len(events()) - demo.means().sum()) < 5 * math.sqrt(demo.means().sum())
    struck = {fault.model for fault in demo.faults if fault.kind in OF_TRAFFIC}
    model = next(model.name for model in demo.models if model.name not in struck)
    expected = demo.events_within(model, demo.start + 1000.0, demo.end - 1000.0)
    got = sum(event["model"] == model and 1000 <= event["time"] - demo.start < 171_800 for event in events())
    assert abs(got - expected) < 5 * math.sqrt(expected)


def test_traffic_follows_a_power_law_and_the_week() -> None:
    """Most models are quiet, a few are busy, none is idle; nights and, for some, weekends are quieter than the rest."""
    laws = FleetLaws(1000, 1)
    assert laws.rates.min() >= RATE_MIN
    assert 10.0 < np.median(laws.rates) < 30.0
    assert laws.rates.max() > 1000.0
    hours = START + 3600.0 * np.arange(7 * 24)
    traffic = laws.traffic(hours)
    assert np.allclose(traffic.mean(axis=0), laws.rates, rtol=1e-3)
    day, weekend = traffic[:24], traffic[5 * 24 : 6 * 24]
    assert np.allclose(day.max(axis=0) / day.min(axis=0), 1.4 / 0.6, rtol=0.05)
    office = np.array([model.office for model in laws.models])
    assert np.allclose(weekend.mean(axis=0)[office] / day.mean(axis=0)[office], 0.7)
    assert np.allclose(weekend[:, ~office], day[:, ~office])


def test_faults_of_each_kind_on_models_of_their_own() -> None:
    """Every kind is planted, in a large fleet several times, on distinct models, within the stream; one hits many."""
    for seed in range(1, 4):
        for models, repeats in ((MODELS, 1), (400, PER_KIND)):
            demo = DemoFleet(models, seed, 1.0)
            kinds = Counter(fault.kind for fault in demo.faults)
            assert kinds == {**dict.fromkeys(KINDS, repeats), FaultKind.UPSTREAM_BREAK: 1}
            hit = [model for fault in demo.faults for model in fault.models]
            assert len(set(hit)) == len(hit) == len(KINDS) * repeats + int(0.06 * models)
            role = {model.name: model.role for model in demo.models}
            assert all(role[fault.model] in KINDS[fault.kind].roles for fault in demo.faults if fault.kind in KINDS)
            assert all(demo.start < fault.began < fault.ended <= demo.end for fault in demo.faults)
            assert any(fault.ended < demo.end for fault in demo.faults)
    assert len(DemoFleet(models=3).faults) == 3


def test_faults_are_drawn_whatever_the_traffic() -> None:
    """The median model that is hit is no busier than the median model, and sizes fill their range."""
    hit, sizes = [], []
    for seed in range(1, 6):
        demo = DemoFleet(1000, seed, 1.0)
        rate = {model.name: model.rate for model in demo.models}
        hit += [rate[fault.model] for fault in demo.faults if fault.kind in KINDS]
        sizes += [fault.size for fault in demo.faults if fault.kind is FaultKind.DRIFT_UP]
        assert all(low <= fault.size <= high for fault in demo.faults for low, high in [limits(fault)])
    # 540 draws: their median lies within 4 standard errors of a rank, 8.6 %, of the fleet's.
    low, high = np.quantile(list(rate.values()), [0.414, 0.586])
    assert low < np.median(hit) < high
    assert min(sizes) < 0.5 < 1.0 < max(sizes)


def limits(fault: Fault) -> tuple[float, float]:
    return KINDS[fault.kind].sizes if fault.kind in KINDS else (0.3, 0.6)


def moved(by: float) -> Any:
    def check(law: Law, fault: Fault, outside: Part, under: Part) -> bool:
        before, now = finite(outside, fault.feature), finite(under, fault.feature)
        chance = law.spread * math.sqrt(1.0 / len(before) + 1.0 / len(now))
        return bool(abs(now.mean() - before.mean() - by * fault.size * law.spread) < 5 * chance)

    return check


def scattered(law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    ratio = finite(under, fault.feature).std() / finite(outside, fault.feature).std()
    return bool(abs(ratio / fault.size - 1.0) < 0.3)


def in_another_unit(_law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    ratio = np.median(finite(under, fault.feature)) / np.median(finite(outside, fault.feature))
    return bool(0.5 < ratio / fault.size < 2.0)


def swapped(_law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    one, other = fault.features
    forth = abs(np.median(finite(under, one)) - np.median(finite(outside, other)))
    back = abs(np.median(finite(under, other)) - np.median(finite(outside, one)))
    return one != other and max(forth, back) < 10.0


def stuck(_law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    return len(set(finite(under, fault.feature))) == 1 < len(set(finite(outside, fault.feature)))


def share_fell(law: Law, fault: Fault, _outside: Part, under: Part) -> bool:
    commonest = law.values[0]
    before = float((law.values == commonest).mean())
    share = values(under, fault.feature).count(commonest) / len(under)
    return abs(share - before * (1.0 - fault.size)) < 4 * 0.5 / math.sqrt(len(under)) + 1.0 / len(law.values)


def taken(what: Any) -> Any:
    def check(law: Law, fault: Fault, outside: Part, under: Part) -> bool:
        before, now = (sum(what(law, v) for v in values(part, fault.feature)) / len(part) for part in (outside, under))
        chance = 4 * math.sqrt(fault.size * (1.0 - fault.size) / len(under)) + 0.02
        return before < 0.05 and abs(now - fault.size) < chance

    return check


def answers(part: Part) -> np.ndarray:
    score = np.array([event["prediction"]["score"] for event in part])
    return np.log(np.clip(score, 1e-4, 0.9999) / np.clip(1.0 - score, 1e-4, 0.9999))


def answered_higher(_law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    return bool(abs(answers(under).mean() - answers(outside).mean() - fault.size) < 6 * 2.0 / math.sqrt(len(under)))


def collapsed(_law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    return bool(abs(answers(under).std() / answers(outside).std() / fault.size - 1.0) < 0.3)


def one_class(_law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    before, now = (float((answers(part) < 0).mean()) for part in (outside, under))
    return abs(now - before * (1.0 - fault.size)) < 4 * 0.5 / math.sqrt(len(under))


def came(times: float | None) -> Any:
    """The traffic is so many times what it was (``None``: what the fault's size says), by the fleet's own rates."""

    def check(_law: Law, fault: Fault, _outside: Part, under: Part) -> bool:
        demo = fleet()
        hours = np.arange(fault.began, fault.ended, STEP_SECONDS)
        usual = demo.laws.traffic(hours)[:, demo.row(fault.model)].sum() * STEP_SECONDS / 3600.0
        expected = usual * (fault.size if times is None else times)
        told = demo.events_within(fault.model, fault.began, fault.ended)
        return abs(len(under) - expected) <= 5 * math.sqrt(expected) and math.isclose(told, expected, abs_tol=1e-9)

    return check


def rate(part: Part, what: Any) -> tuple[float, float]:
    """How often it is so, and the standard error of that at the most."""
    return sum(map(what, part)) / len(part), 0.5 / math.sqrt(len(part))


def changed(what: Any, expected: Any) -> Any:
    """A rate that goes where ``expected`` (of the rate before and the fault) says, within four standard errors."""

    def check(_law: Law, fault: Fault, outside: Part, under: Part) -> bool:
        (before, error), (now, also) = (rate(part, lambda event: what(event, fault)) for part in (outside, under))
        return abs(now - expected(before, fault)) < 4.0 * math.hypot(error, also)

    return check


def mix_moved(event: dict[str, Any], _fault: Fault) -> bool:
    return bool(event["segment"][SEGMENT] == next(iter(MARKETS)))


def of_group(of: Any, expected: Any) -> Any:
    """A rate among the fault's group that goes where ``expected`` says, while that of the others stays."""

    def check(law: Law, fault: Fault, outside: Part, under: Part) -> bool:
        def own(part: Part, *, inside: bool) -> Part:
            return [e for e in part if (e["sensitive"][fault.attribute] == fault.group) == inside]

        moved = changed(of, expected)(law, fault, own(outside, inside=True), own(under, inside=True))
        return moved and changed(of, lambda before, _: before)(
            law, fault, *(own(p, inside=False) for p in (outside, under))
        )

    return check


def changed_hands(law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    """Of the largest values, as many as the group is, so many more are its own; as a whole the number is as ever."""
    least = law.numbers[POOL - round(POOL * ATTRIBUTES[fault.attribute or ""][fault.group or ""])]
    sides = []
    for part in (outside, under):
        own = [e["sensitive"][fault.attribute] == fault.group for e in part if e["features"][fault.feature] is not None]
        large, mine = finite(part, fault.feature) >= least, np.array(own)
        error = 0.5 * math.hypot(1.0 / math.sqrt(mine.sum()), 1.0 / math.sqrt((~mine).sum()))
        sides.append((large[mine].mean() - large[~mine].mean(), large.mean(), error))
    (gap, whole, error), (now, whole_now, also) = sides
    wide = 4.0 * math.hypot(error, also)
    return abs(gap) < 4.0 * error and abs(now - fault.size) < 4.0 * also and abs(whole_now - whole) < wide


def favoured(event: dict[str, Any], _fault: Fault) -> bool:
    return bool(event["prediction"]["score"] >= 0.5)


def has_tag(event: dict[str, Any], fault: Fault) -> bool:
    return fault.output in event["prediction"]["tags"]


def came_true(part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Whether the first label was merited, and the score, of cases whose outcome is there."""
    demo, done = fleet(), outcomes()
    labels = {model.name: model.labels for model in demo.models}
    known = [event for event in part if event["id"] in done]
    y = [done[event["id"]]["outcome"] == labels[event["model"]][0] for event in known]
    return np.array(y, float), np.array([event["prediction"]["score"] for event in known])


def has_outcome(event: dict[str, Any], _fault: Fault) -> bool:
    return event["id"] in outcomes()


def errors_of_group(law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    """Errors of the group go to where so many answers that were right are wrong, and of those wrong none is right."""

    def wrong(event: dict[str, Any], fault: Fault) -> bool:
        y, p = came_true([event])
        return bool((y > 0.5).any() != (p >= 0.5).any())

    done = outcomes()
    outside, under = ([event for event in part if event["id"] in done] for part in (outside, under))
    check = of_group(wrong, lambda before, fault: before + fault.size * (1.0 - before))
    return bool(check(law, fault, outside, under))


def mixed_up(_law: Law, fault: Fault, outside: Part, under: Part) -> bool:
    """Errors rise, towards those of a score that says nothing, by the part that is mixed up; the scores stay."""
    (y0, p0), (y1, p1) = came_true(outside), came_true(under)
    before, now = (((p >= 0.5) != (y > 0.5)).mean() for p, y in ((p0, y0), (p1, y1)))
    a, b = (p0 >= 0.5).mean(), y0.mean()
    chance = a * (1.0 - b) + b * (1.0 - a)
    error = 2.0 * math.hypot(1.0 / math.sqrt(len(y0)), 1.0 / math.sqrt(len(y1)))
    return abs(now - before - fault.size * (chance - before)) < error and abs(p1.mean() - p0.mean()) < error


def concept(sign: float) -> Any:
    def check(_law: Law, fault: Fault, outside: Part, under: Part) -> bool:
        """By Newton's method, how far outcomes lie from three times the score's logit."""
        found = []
        for part in (outside, under):
            y, p = came_true(part)
            logit, shift = 3.0 * np.log(np.clip(p, 1e-4, 0.9999) / np.clip(1.0 - p, 1e-4, 0.9999)), 0.0
            for _ in range(20):
                q = 1.0 / (1.0 + np.exp(-logit - shift))
                shift += float((y - q).sum() / (q * (1.0 - q)).sum())
            found.append((shift, float(1.0 / math.sqrt((q * (1.0 - q)).sum()))))
        (before, error), (now, also) = found
        return abs(before) < 4.0 * error and abs(now - sign * fault.size) < 4.0 * also

    return check


def out_of_range(law: Law, value: Any) -> bool:
    return value is not None and value > 1.1 * law.numbers.max()


SIGNS = {
    FaultKind.DRIFT_UP: moved(1.0),
    FaultKind.DRIFT_DOWN: moved(-1.0),
    FaultKind.SPREAD: scattered,
    FaultKind.SHARE_MOVED: share_fell,
    FaultKind.UNIT_CHANGE: in_another_unit,
    FaultKind.COLUMNS_SWAPPED: swapped,
    FaultKind.STUCK: stuck,
    FaultKind.DEFAULT_FLOOD: taken(lambda _, v: v == 0.0),
    FaultKind.OUT_OF_RANGE: taken(out_of_range),
    FaultKind.UNSEEN_CATEGORY: taken(lambda law, v: v not in law.values),
    FaultKind.MISSING: taken(lambda _, v: v is None),
    FaultKind.VANISHED: taken(lambda _, v: v == "gone"),
    FaultKind.APPEARED: taken(lambda _, v: v != "gone"),
    FaultKind.TYPE_CHANGE: taken(lambda _, v: isinstance(v, str)),
    FaultKind.NAN_FLOOD: taken(lambda _, v: isinstance(v, float) and math.isnan(v)),
    FaultKind.SCORE_DRIFT: answered_higher,
    FaultKind.SCORE_COLLAPSE: collapsed,
    FaultKind.CLASS_VANISHED: one_class,
    FaultKind.SILENCE: came(0.0),
    FaultKind.SURGE: came(None),
    FaultKind.SLUMP: came(None),
    FaultKind.MIX_MOVED: changed(mix_moved, lambda before, fault: before * (1.0 - fault.size)),
    FaultKind.GROUP_MOVED: changed_hands,
    FaultKind.DISPARATE_IMPACT: of_group(favoured, lambda before, fault: before * fault.size),
    FaultKind.UNWARRANTED_ASSOCIATION: of_group(
        has_tag, lambda _, fault: min(TAGS[fault.output or ""] * fault.size, 0.95)
    ),
    FaultKind.UNEQUAL_ERRORS: errors_of_group,
    FaultKind.LABEL_GAP: of_group(has_outcome, lambda before, fault: before * (1.0 - fault.size)),
    FaultKind.ANSWERS_MIXED_UP: mixed_up,
    FaultKind.CONCEPT_UP: concept(1.0),
    FaultKind.CONCEPT_DOWN: concept(-1.0),
    FaultKind.UPSTREAM_BREAK: taken(lambda _, v: v is None),
}


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_fault_does_what_it_says(kind: FaultKind) -> None:
    """Under a fault its features are as its kind and its size say, and before and after it they are not."""
    (fault,) = (fault for fault in fleet().faults if fault.kind is kind)
    laws = fleet().laws
    (model,) = (model for model in laws.models if model.name == fault.model)
    known = laws.names_of(model)
    law = laws.law_of(model, fault.feature if fault.feature is not None and fault.feature in known else known[0])
    outside, under = split(fault)
    assert kind in OF_TRAFFIC or min(len(outside), len(under)) > 50
    assert SIGNS[kind](law, fault, outside, under)


def test_what_no_fault_touches_is_as_its_reference() -> None:
    """Outside of faults every feature and answer follows the law that its reference was drawn from."""
    demo = fleet()
    references = {profile.model: profile for profile in demo.references()}
    clean: dict[str, Part] = {fault.model: split(fault)[0] for fault in demo.faults if len(fault.models) == 1}
    assert references.keys() >= clean.keys()
    for name, part in clean.items():
        for series in references[name].series:
            got = [event["features" if series.space == "feature" else series.space][series.name] for event in part]
            present = [value for value in got if value is not None]
            counts = np.zeros(BINS)
            if series.kind == "number":
                places = np.searchsorted(series.edges, present, side="left")
                counts[:] = np.bincount(places, minlength=BINS)
            else:
                counts[: len(series.categories)] = [present.count(value) for value in series.categories]
                assert counts.sum() == len(present)
            gap = (cdf_gap if series.kind == "number" else share_gap)(series.counts[:BINS], counts)
            # 400 comparisons: Kolmogorov's distance passes 2.4 / sqrt(n) in one of 100,000. The season comes on top.
            chance = 2.4 * math.sqrt(1.0 / len(present) + 1.0 / series.counts[PRESENT])
            assert gap < SEASON / 4 + chance, (name, series.name)
            absent = 1.0 - (series.counts[PRESENT] - series.counts[NULLS]) / series.counts[EVENTS]
            assert abs(absent - got.count(None) / len(got)) < 0.03


def test_a_model_has_twenty_features_and_answers() -> None:
    """Every event has 16 numbers, 4 categories, a score and a label, unless a feature vanished; few are missing."""
    by_model = defaultdict(list)
    for event in events():
        by_model[event["model"]].append(event)
    for part in by_model.values():
        assert sum(not name.startswith(NEW_FEATURE) for name in part[0]["features"]) == 20
        assert sum(isinstance(value, str) for value in part[0]["features"].values()) == 4
        assert all({"label", "score"} <= event["prediction"].keys() <= {"label", "score", "tags"} for event in part)
        favoured = {event["prediction"]["label"] for event in part if event["prediction"]["score"] >= 0.5}
        refused = {event["prediction"]["label"] for event in part if event["prediction"]["score"] < 0.5}
        assert len(favoured) == len(refused) == 1
        assert favoured != refused


def test_models_about_people_say_of_whom_they_speak() -> None:
    """Some deal in people: all groups come in their shares; some of these give tags; the other models say nothing."""
    for part in of_role(Role.PLAIN).values():
        assert not any({"sensitive", "segment"} & event.keys() or "tags" in event["prediction"] for event in part)
    people = of_role(Role.DECIDER, Role.TAGGER)
    assert len(people) == 9
    every = [event for part in people.values() for event in part]
    for name, groups in ATTRIBUTES.items():
        for group, share in groups.items():
            got, error = rate(every, lambda event, name=name, group=group: event["sensitive"][name] == group)
            assert abs(got - share) < 5.0 * error
    struck = {fault.model for fault in fleet().faults if fault.kind is FaultKind.UNWARRANTED_ASSOCIATION}
    calm = [event for name, part in of_role(Role.TAGGER).items() if name not in struck for event in part]
    for tag, share in TAGS.items():
        got, error = rate(calm, lambda event, tag=tag: tag in event["prediction"]["tags"])
        assert abs(got - share) < 5.0 * error
    assert not any("tags" in event["prediction"] for part in of_role(Role.DECIDER).values() for event in part)


def test_outcomes_come_later_and_once() -> None:
    """Of every case of a model that decides the outcome comes once, within the horizon or not before the end."""
    cases = {event["id"]: event for part in of_role(Role.DECIDER).values() for event in part}
    assert outcomes().keys() <= cases.keys()
    for told in outcomes().values():
        case = cases[told["id"]]
        assert told["model"] == case["model"]
        assert 0.0 < told["time"] - case["time"] < OUTCOME_HORIZON
        assert told.keys() == {"model", "id", "time", "outcome"}
    until = fleet().end - OUTCOME_HORIZON
    withheld = {fault.model for fault in fleet().faults if fault.kind is FaultKind.LABEL_GAP}
    early = {name for name, event in cases.items() if event["time"] < until and event["model"] not in withheld}
    assert early <= outcomes().keys()


@pytest.mark.parametrize("cut", [0, 1, 1500, 4001])
def test_reading_goes_on_at_its_positions(cut: int) -> None:
    """Stopped anywhere and opened again at its positions, the source loses no event and doubles none."""
    source = DemoSource(fleet().slices())
    before = [*source.poll(cut, 0.0).values] if cut else []
    after = read_all(DemoSource(fleet().slices(), source.positions()))
    assert [json.loads(value) for value in before + after] == everything()


def test_the_source_keeps_the_promises_of_one() -> None:
    """Offsets run on by one, the one partition is exhausted at the end alone, and then a poll is empty."""
    source = DemoSource(fleet(days=0.3).slices())
    offsets: list[int] = []
    assert source.positions() == {PARTITION: 0}
    while not source.finished():
        assert not source.exhausted(PARTITION)
        batch = source.poll(700, 0.0)
        assert 0 < len(batch) <= 700
        assert set(batch.partitions) == {PARTITION}
        offsets.extend(batch.offsets.tolist())
        assert source.positions() == {PARTITION: offsets[-1] + 1}
        source.committed(source.positions())
    assert offsets == list(range(len(offsets)))
    assert source.exhausted(PARTITION)
    assert source.exhausted(Partition("elsewhere", 0))
    assert source.lag() == {}
    assert len(source.poll(10, 0.0)) == 0
    assert len(DemoSource(fleet(days=0.3).slices(), source.positions()).poll(10, 0.0)) == 0


def test_closed_it_holds_nothing() -> None:
    """A closed source is at its end."""
    source = DemoSource(fleet(days=0.3).slices())
    source.close()
    assert source.finished()
    assert len(source.poll(10, 0.0)) == 0
