"""Does time never go back, whatever the machine's clock does?"""

from __future__ import annotations

from monitor.clock import SystemClock


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.set_to = 1_767_225_600.0

    def wall(self) -> float:
        return self.set_to + self.passed

    def monotonic(self) -> float:
        return self.passed


def test_set_back_it_goes_on_more_slowly() -> None:
    """Set back by 90 s it never goes back, goes at nine tenths, and agrees again after 900 s."""
    machine = Machine()
    clock = SystemClock(machine.wall, machine.monotonic)
    before = clock.now()
    machine.set_to -= 90.0
    assert clock.now() == before
    machine.passed += 100.0
    assert clock.now() == before + 90.0
    assert clock.now() - clock.wall() == 80.0
    machine.passed += 801.0
    assert clock.now() == clock.wall()


def test_set_ahead_it_follows() -> None:
    """Set ahead it is believed at once, and a clock that runs evenly is the machine's own."""
    machine = Machine()
    clock = SystemClock(machine.wall, machine.monotonic)
    machine.passed += 5.0
    assert clock.now() == machine.wall()
    machine.set_to += 3600.0
    assert clock.now() == machine.wall()
