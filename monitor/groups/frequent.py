"""Which of many things are the frequent ones? A few counters find out, however many come: Misra and Gries (1982)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Thing = TypeVar("Thing")


class Frequent(dict[Thing, int]):
    """Counts of at most ``counters`` things, never too high.

    Of ``n`` that came, at most ``n / (counters + 1)`` of one thing are not counted: so what came more often than that
    is there. What is known depends on the order in which things came, and on nothing else.
    """

    def __init__(self, counters: int, counts: Iterable[tuple[Thing, int]] = ()) -> None:
        super().__init__(counts)
        self.counters = counters

    def add(self, thing: Thing) -> bool:
        """Count one; returns whether it is there that was not before.

        Where no counter is free, one is taken off each instead: off as many different things at once as there are
        counters, and off the one that came.
        """
        if thing in self:
            self[thing] += 1
            return False
        if len(self) < self.counters:
            self[thing] = 1
            return True
        for other, n in list(self.items()):
            if n > 1:
                self[other] = n - 1
            else:
                del self[other]
        return False
