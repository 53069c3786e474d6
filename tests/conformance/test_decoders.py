"""What every format keeps of its promises, whatever it is written in."""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conformance.decoders_table import CASES, SECONDS, Case
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.decode.decoder import FORMATS, FRAMED, TRANSLATORS, make_decoder
from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.decode.translated import Record
from monitor.events.columns import EventBatch, Reason, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

PARAMETERS = [pytest.param(case, id=case.name) for case in CASES]
STRINGS = ("model", "version", "id", "entity")


def decode(case: Case, records: Sequence[Record], seed: int = 0, **limits: Any) -> EventBatch:
    decoder = make_decoder(case.topic, DecodeLimits(**limits), seed, case.registry)
    values, keys, headers = (list(column) for column in zip(*records, strict=True)) if records else ([], [], [])
    return decoder.decode(values, np.full(len(values), SECONDS), math.inf, keys, headers)


def told(batch: EventBatch) -> list[tuple[Any, ...]]:
    """Each event as plain Python, its entries in any order of the members of an object."""
    shown = []
    for i in range(len(batch)):
        at = np.flatnonzero(batch.event == i).tolist()
        entries = sorted(
            (
                int(batch.space[j]),
                batch.string(batch.name, j),
                int(batch.type[j]),
                batch.string(batch.text, j),
                repr(float(batch.number[j])),
            )
            for j in at
        )
        texts = tuple(batch.string(getattr(batch, name), i) for name in STRINGS)
        shown.append((*texts, float(batch.time[i]), int(batch.parts[i]), repr(float(batch.value[i])), *entries))
    return shown


def meant(events: Sequence[dict[str, Any]], seed: int = 0) -> EventBatch:
    """What the native decoder makes of the events that a record means."""
    values = [json.dumps(event).encode() for event in events]
    batch = NativeDecoder(DecodeLimits(), seed).decode(values, np.full(len(values), SECONDS))
    assert len(batch) == len(values), [Reason(reason) for reason in batch.reasons]
    return batch


def all_records(case: Case) -> list[Record]:
    return [sample.record for sample in case.samples] + [record for record, _ in case.bad]


def test_the_suite_knows_every_format() -> None:
    """No format is without samples here."""
    assert {case.topic.name for case in CASES} == set(FORMATS) == {"native", *TRANSLATORS, *FRAMED}


@pytest.mark.parametrize("case", PARAMETERS)
def test_a_record_means_its_events(case: Case) -> None:
    """Each sample becomes the events that it means, as if they had been written natively, hashes included."""
    for sample in case.samples:
        batch, expected = decode(case, [sample.record], seed=7), meant(sample.events, seed=7)
        assert [Reason(reason).name for reason in batch.reasons] == [], sample.record
        assert told(batch) == told(expected), sample.record
        assert batch.model.hash.tolist() == expected.model.hash.tolist()
        assert sorted(batch.name.hash.tolist()) == sorted(expected.name.hash.tolist())
        assert batch.record.tolist() == [0] * len(sample.events)


@pytest.mark.parametrize("case", PARAMETERS)
def test_a_bad_record_is_rejected_for_its_reason(case: Case) -> None:
    """What is no event leaves none, and says why."""
    for record, reason in case.bad:
        batch = decode(case, [record])
        assert (len(batch), [Reason(each).name.lower() for each in batch.reasons]) == (0, [reason]), record


@pytest.mark.parametrize("case", PARAMETERS)
def test_records_do_not_touch_one_another(case: Case) -> None:
    """In one batch, among bad ones and in any order, each record gives what it gives alone."""
    records = all_records(case) * 3
    random.Random(1).shuffle(records)
    whole = decode(case, records)
    alone = [decode(case, [record]) for record in records]
    assert told(whole) == [event for batch in alone for event in told(batch)]
    assert whole.record.tolist() == [i for i, batch in enumerate(alone) for _ in range(len(batch))]
    assert whole.rejected.tolist() == [i for i, batch in enumerate(alone) if len(batch.rejected)]
    assert whole.reasons.tolist() == [int(reason) for batch in alone for reason in batch.reasons]
    assert whole.unknown_fields == sum(batch.unknown_fields for batch in alone)


@pytest.mark.parametrize("case", PARAMETERS)
def test_no_records_and_tombstones(case: Case) -> None:
    """Nothing gives nothing; a tombstone, with or without headers, is a dead letter."""
    assert len(decode(case, [])) == 0
    batch = decode(case, [Record(None, None, None), Record(None, b"k", [("x-model", b"m"), ("ce_id", None)])])
    assert (batch.rejected.tolist(), batch.reasons.tolist()) == ([0, 1], [Reason.EMPTY] * 2)


@pytest.mark.parametrize("case", PARAMETERS)
def test_limits_and_the_future_hold(case: Case) -> None:
    """A record that is too large, or of the future, is a dead letter in every format."""
    first = case.samples[0].record
    assert first.value is not None
    large = decode(case, [first], record_bytes=len(first.value) - 1)
    assert large.reasons.tolist() == [Reason.TOO_LARGE]
    decoder = make_decoder(case.topic, DecodeLimits(), registry=case.registry)
    headers, keys = [first.headers], [first.key]
    batch = decoder.decode([first.value], np.array([SECONDS]), SECONDS - 1, keys, headers)
    assert (len(batch), batch.reasons.tolist()) == (0, [Reason.FUTURE_TIME])
    with pytest.raises(ValueError, match="shape"):
        decoder.decode([first.value], np.zeros(2))


@pytest.mark.parametrize("case", PARAMETERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_record_raises(case: Case, data: st.DataObject) -> None:
    """However a record is cut, flipped, spliced or given strange headers, it is events or one rejection."""
    records = all_records(case)
    values = [record.value for record in records if record.value]
    value = bytearray(data.draw(st.sampled_from(values)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(value)))
        piece = data.draw(
            st.sampled_from(
                [b"", b"null", b"[]", b"{}", b'"', b"1e999", b"NaN", b"[[", b"\xff", b'{"a":1,"a":2}', b"-1"]
            )
        )
        value[at : at + data.draw(st.integers(0, 12))] = piece
    headers = data.draw(st.sampled_from([record.headers for record in records]))
    odd = data.draw(
        st.lists(st.tuples(st.sampled_from(["ce_type", "CE-ID", "content-type", "x"]), st.binary(max_size=4)))
    )
    record = Record(bytes(value), data.draw(st.none() | st.binary(max_size=3)), [*(headers or ()), *odd])
    batch = decode(case, [record])
    assert (len(batch) > 0) != (len(batch.rejected) > 0)
    assert set(batch.record.tolist() + batch.rejected.tolist()) == {0}


def test_parts_of_a_batch_are_joined() -> None:
    """Batches behind one another read as one: every text, number and entry where it belongs."""
    events = [{"model": f"m{i}", "id": str(i), "features": {f"f{j}": j for j in range(i)}, "time": i} for i in range(5)]
    events[0]["prediction"] = "yes"
    parts = [meant([event]) for event in events]
    for i, part in enumerate(parts):
        part.record = part.record + np.int32(i)
    assert told(joined(parts)) == told(meant(events))
    assert joined(parts).record.tolist() == list(range(5))


def test_large_batches_are_decoded_in_parts() -> None:
    """More native events than fit one piece are read all the same."""
    case = next(case for case in CASES if case.name == "kserve")
    record = Record(json.dumps({"instances": [["x" * 900] * 10] * 100}).encode(), None, case.samples[0].record.headers)
    batch = decode(case, [record] * 40)
    assert len(batch) == 4000
    assert batch.record.tolist() == [i for i in range(40) for _ in range(100)]
    texts = {batch.string(batch.text, i) for i in [*range(20), *range(len(batch.event) - 20, len(batch.event))]}
    assert texts == {"x" * 900, "default", "predictor"}
