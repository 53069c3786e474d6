"""What the kernel guesses from the events before: is it ever believed where it does not hold?"""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest

from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.events.columns import EventBatch
from monitor.kernels.decoding import decode_kernel

pytestmark = pytest.mark.skipif(decode_kernel() is None, reason="the kernels are not built")


def both(records: list[bytes], limits: DecodeLimits) -> tuple[EventBatch, EventBatch]:
    times = np.full(len(records), 1.7e9)
    compiled, twin = (NativeDecoder(limits, 3, compiled=which).decode(records, times) for which in (True, False))
    return compiled, twin


def assert_alike(records: list[bytes], limits: DecodeLimits | None = None) -> None:
    ours, twins = both(records, limits or DecodeLimits())
    for name in ("record", "event", "space", "type", "number", "rejected", "reasons"):
        assert np.array_equal(getattr(ours, name), getattr(twins, name), equal_nan=name == "number"), name
    for name in ("name", "text"):
        mine, other = getattr(ours, name), getattr(twins, name)
        assert np.array_equal(mine.hash, other.hash), name
        at = range(len(mine.hash))
        assert [ours.string(mine, i) for i in at] == [twins.string(other, i) for i in at], name


@pytest.mark.parametrize("values_per_event", [5, 2048])
@pytest.mark.parametrize("seed", range(20))
def test_names_are_what_is_written(seed: int, values_per_event: int) -> None:
    """Names in any order, some twice, some that begin or end as others do, spaced and escaped in several ways."""
    rng = random.Random(seed)
    names = [
        "a",
        "b",
        "ab",
        "abcdefg",
        "abcdefgh",
        "abcdefghi",
        "é",
        "x" * 36,
        "x" * 37,
        "x" * 38,
        "x" * 60,
        "a\\u0062",
    ]
    spellings = ['"%s":', '"%s": ', '"%s" :', '"%s":\t\n ']

    def record() -> bytes:
        some = rng.sample(names, rng.randrange(1, 6)) if rng.random() < 0.8 else rng.choices(names, k=3)
        if rng.random() < 0.7:
            some.sort()
        spelled = [(rng.choice(spellings) if rng.random() < 0.2 else spellings[0]) % name for name in some]
        members = ",".join(f"{each}{rng.randrange(100)}" for each in spelled)
        return f'{{"model":"m","{rng.choice(["features", "metrics"])}":{{{members}}}}}'.encode()

    assert_alike([record() for _ in range(300)], DecodeLimits(values_per_event=values_per_event))


def test_numbers_of_all_lengths() -> None:
    """Signs, digits before and behind the point, exponents, and what may follow: read as the twin reads them."""
    digits = ("", "0", "5", "07", *("12345678901"[:n] for n in range(2, 11)))
    fractions = ("", ".", *(f".{some}" for some in digits[1:]))
    written = ("".join(parts) for parts in product(("", "-"), digits, fractions, ("", "e2", "E-3", "x")))
    records = [
        b'{"model":"m","features":{"f":%s%s}}' % (number.encode(), behind)
        for number in written
        for behind in (b"", b" ", b',"g":1')
    ]
    assert_alike(records)


def test_a_number_ends_with_its_record() -> None:
    """Digits at the beginning of the next record do not belong to the number that the last one breaks off in."""
    cut = [b'{"model":"m","features":{"f":1', b'23}}{"model":', b'{"model":"m","features":{"f":1.', b"5}}"]
    assert_alike([*cut, b'{"model":"m","features":{"f":1.5}}'])


def test_a_batch_that_is_kept_stays_what_it_is() -> None:
    """Memory is used again only where nobody looks at it any more."""
    records = [b'{"model":"m","features":{"f":%d}}' % i for i in range(100)]
    decoder, times = NativeDecoder(DecodeLimits()), np.full(100, 1.7e9)
    first = decoder.decode(records, times)
    numbers = decoder.decode(records, times).number  # of a batch that is gone
    decoder.decode(records[::-1], times)
    decoder.decode(records[::-1], times)
    assert first.number.tolist() == numbers.tolist() == list(range(100))


@pytest.mark.parametrize("seed", range(20))
def test_fields_are_what_is_written(seed: int) -> None:
    """Fields of events and members of predictions in any order, unknown ones among them, some twice or escaped."""
    rng = random.Random(seed)
    fields = ['"model":"m"', '"id":7', '"time":1.6e9', '"features":{"a":1}', '"entity":null', '"x":[1]', '"mod":"n"']
    fields += ['"version": "2"', '"\\u0069d":"e"', '"segment":{"s":"t"}', '"models":{"a":1}']
    members = ['"label":"yes"', '"score":0.5', '"scores":{"a":0.1}', '"tags":[1]', '"labels":3', '"sc\\u006fre":1']

    def chosen(some: list[str]) -> str:
        kept = [each for each in some if rng.random() < 0.7]
        if rng.random() < 0.3:
            rng.shuffle(kept)
        if kept and rng.random() < 0.1:
            kept.append(rng.choice(kept))
        return ",".join(kept)

    records = [
        f'{{{chosen(fields)},"prediction":{{{chosen(members)}}}}}'.replace("{,", "{").encode() for _ in range(300)
    ]
    assert_alike(records)
