"""Is each model's traffic what is expected? Its state, what closed ticks add to it, and what event time brings due.

A model that is silent closes no tick: what is judged about it falls due by itself, at a moment that follows from what
is known, and happens when the watermark passes. So a silence is told in event time, at the same moment whatever the
batches are, and costs nothing while nobody is silent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget, Crowd
from monitor.catalog.models import SHARES, Models
from monitor.catalog.rows import Field, Rows
from monitor.kernels.judge import FIRING, IDLE, PENDING, SUSPICIOUS, onset_of
from monitor.stats.accumulate import accumulate, restarted
from monitor.traffic import expectation, silence, volume
from monitor.traffic.alarm import Known, TrafficAlarm, Watched
from monitor.traffic.expectation import HOUR, SLOTS

SHARE, SEVERITY = "quality", "warning"
"""Who pays: traffic is quality of what comes in. Two cells a model, beside several for each of its features."""
CELLS = ("silence", "volume")
JUDGED_EVENTS_MIN = 1000
"""Events from which traffic is judged (contract, section 4)."""
JUDGED_HOURS_MIN = 24
"""Whole hours from which it is."""
SILENT_SECONDS_MIN = 300.0
"""Nobody is silent before this, nor before two ticks are missing."""
_PRESENT_SECONDS, _PRESENT_EVENTS = 86400.0, 100.0
"""The present fades by a factor e over this time, and with so many events that are expected."""
_NATS_MAX = 690.0
_LATE, _CLOCK_TICKS = 1.5, 10.0
"""How many times what its longer gaps bring must be missed of a model that is late by the clock, and how many ticks
these gaps must last."""
_ALIKE_SECONDS = 3.0 * 86400.0
"""Gaps that are alike mean something after a week in which they came to this (a burst is full of them), or are 1000."""
_LN10 = math.log(10.0)

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

FIELDS = {
    "judged": Field(np.uint8),
    "retired": Field(np.uint8),
    "silent": Field(np.uint8),
    "events": Field(np.int64),
    "last": Field(np.float64, (), np.nan),
    "due": Field(np.float64, (), np.inf),
    "hour": Field(np.int64, (), -1),
    "in_hour": Field(np.int64),
    "told": Field(np.int64, (), -1),
    "since": Field(np.int64),
    "gaps": Field(np.float64, (6,)),
    "waits": Field(np.float64, (6,)),
    "brought": Field(np.float64),
    "squares": Field(np.float64),
    "log_r": Field(np.float32, (volume.COMPONENTS,), -np.inf),
    "firing": Field(np.uint8, (), IDLE),
    "calm": Field(np.float64, (), np.nan),
    "alarmed": Field(np.float64, (), np.nan),
    "last_bad": Field(np.float64, (), np.nan),
    "present": Field(np.float64, (4,)),
    "day": Field(np.float64, (4,)),
    "of_hours": Field(np.float64, (3,)),
    "of_days": Field(np.float64, (3,)),
    "observed": Field(np.float32, (SLOTS,), still=True, aside=True),
    "seen": Field(np.uint8, (SLOTS,), still=True, aside=True),
    "sure": Field(np.float64, (SLOTS,), derived=True, aside=True),
}
"""What is known of one model's traffic, besides what the names say.

``last`` is the end of its last tick with events; before ``due`` it is not silent without another look; ``hour`` is the
hour that is counted, ``in_hour`` its events, ``since`` the first whole hour, ``told`` the first that was not judged
yet; ``gaps`` and ``waits`` are those of :func:`silence.learned` in expected events and in seconds, ``brought`` the
events with which they ended; ``squares`` sums the squared events of ticks; ``present`` has events, what was expected,
lower and upper edge, fading; ``day`` the same of the day so far, without fading or tolerance; ``of_hours`` and
``of_days`` their scatter; ``observed`` and ``seen`` are as in :func:`expectation.rates`, and what is ``sure`` follows
from them.
"""


class Traffic:
    """Holds the traffic of all models; like judging it knows no time but what it is told."""

    def __init__(self, models: Models, budget: Budget, cells: dict[str, float]) -> None:
        """``cells`` counts the cells of each share in the fleet; those of traffic are added to it."""
        self.models = models
        self.rows = Rows(FIELDS)
        self._budget = budget
        self._weight = budget.weight(SEVERITY)
        self._cells = cells
        self._hour = -1
        self._met: list[Indices] = []
        self._next_due = math.inf

    def count(self, models: Indices, events: Indices, end: float, planned: NDArray[np.bool_]) -> list[tuple[int, str]]:
        """Count the closed ticks of ``models``, all of which ended at ``end``; returns cells that clear with it.

        Of what is ``planned`` (k,) only that it came is noted: the hour is neither judged nor learned.

        What was due before ``end`` must have been taken by :meth:`pass_time`.
        """
        self._extend()
        rows = self.rows
        some = events > 0
        models, events, planned = models[some], events[some], planned[some]
        hour = int(expectation.hour_of(np.array([end]))[0])
        back = models[rows["silent"][models] > 0]
        self._skip_planned(models[self.models.rows["planned"][models] > 0], end)
        self._learn_gaps(models[~planned], events[~planned], end)
        new = models[rows["told"][models] < 0]
        rows["told"][new] = rows["since"][new] = hour + 1
        rows["events"][models] += events
        rows["squares"][models] += events.astype(np.float64) ** 2
        rows["last"][models] = end
        fresh = models[rows["hour"][models] != hour]
        rows["hour"][fresh], rows["in_hour"][fresh] = hour, 0
        rows["in_hour"][models] += events
        rows["told"][models[planned]] = hour + 1
        self._hour = hour
        self._met.append(models)
        rows.stir(models)
        return self._return(back, hour)

    def pass_time(self, until: float, *, through: bool, silence_too: bool) -> Iterator[Watched]:
        """Let event time go on to ``until`` (and ``through`` it): judge hours that ended, find models that are silent.

        ``silence_too`` is false at the end of an input, which is no silence; nor is the hour in which it ends a whole
        one, of which a volume could be told.
        """
        ended = math.inf if silence_too else self.models.newest()
        while True:
            hour_end = (self._hour + 1) * HOUR if self._met else math.inf
            hour_end = hour_end if hour_end <= ended else math.inf
            due = self._next_due if silence_too else math.inf
            at = min(hour_end, due)
            if not (at < until or (through and at == until)) or math.isinf(at):
                return
            out = Watched(at)
            if hour_end <= due:
                self._end_hour(hour_end, out)
            else:
                self._look_for_silence(at, out)
            if out.alarms or out.cleared:
                yield out

    def retire(self, model: int, *, retired: bool) -> list[tuple[int, str]]:
        """Note that ``model`` retired, or serves (again); returns the cells that clear with it."""
        self._extend()
        rows = self.rows
        if bool(rows["retired"][model]) == retired:
            return []
        rows["retired"][model] = retired
        if rows["judged"][model]:
            self._count_cells(np.array([model]), -1 if retired else 1)
        rows["due"][model] = math.inf
        cleared = [(model, name) for name, fires in zip(CELLS, self._fires(model), strict=True) if fires]
        rows["silent"][model], rows["firing"][model] = 0, IDLE
        rows["log_r"][model] = -np.inf
        rows.touch(model)
        return cleared

    def learn_again(self, model: int, hours: Indices, events: Array) -> list[tuple[int, str]]:
        """Expect of ``model`` the ``events`` (k,) that ``hours`` since the epoch (k,) brought, and nothing else.

        Its volume is judged anew from here on; returns the cell if it fired.
        """
        self._extend()
        rows, one = self.rows, np.array([model])
        rows["observed"][model], rows["seen"][model] = 0.0, 0
        for week in np.unique(hours // SLOTS).tolist():
            own = hours // SLOTS == week
            slots, again = hours[own] % SLOTS, np.full(int(own.sum()), model)
            expectation.remember(rows["observed"], rows["seen"], again, slots, events[own])
        self._expect(one)
        fired = self._fires(model)[1]
        rows.reset(model, ("log_r", "firing", "calm", "alarmed", "last_bad", "present", "day"))
        if rows["judged"][model] and not rows["silent"][model]:
            self._set_due(one)
        return [(model, "volume")] if fired else []

    def silent(self) -> NDArray[np.bool_]:
        """By model row: whether it is silent."""
        return self._padded("silent")

    def retired(self) -> NDArray[np.bool_]:
        """By model row: whether a ``lifecycle`` event retired it."""
        return self._padded("retired")

    def known(self, model: int) -> Known:
        """What is known of one model's traffic."""
        self._extend()
        rows, one = self.rows, np.array([model])
        events, expected = rows["present"][model, :2].tolist()
        due = float(rows["due"][model])
        rates = expectation.rates(rows["observed"][one], rows["seen"][one])[0]
        return Known(
            retired=bool(rows["retired"][model]),
            judged=bool(rows["judged"][model]),
            silent=bool(rows["silent"][model]),
            firing=bool(rows["firing"][model] == FIRING),
            due=due if math.isfinite(due) else math.nan,
            ratio=events / expected if expected > 0.0 else math.nan,
            rates=np.roll(rates, -expectation.MONDAY).tolist() if rows["seen"][model].any() else [],
        )

    def restored(self) -> None:
        """Put in order what follows from the table, after it was loaded and the cells of series were counted."""
        self._extend()
        rows, n = self.rows, len(self.rows)
        self._expect(np.arange(n))
        judged = np.flatnonzero((rows["judged"][:n] > 0) & (rows["retired"][:n] == 0))
        self._count_cells(judged)
        self._next_due = float(rows["due"][:n].min(initial=math.inf))
        waiting = np.flatnonzero((rows["told"][:n] >= 0) & (rows["told"][:n] <= rows["hour"][:n]))
        self._hour = int(rows["hour"][waiting].max(initial=-1))
        self._met = [waiting] if len(waiting) else []

    def _extend(self) -> None:
        missing = len(self.models) - len(self.rows)
        if missing > 0:
            self.rows.add(missing)

    def _padded(self, name: str) -> NDArray[np.bool_]:
        out = np.zeros(len(self.models), bool)
        out[: len(self.rows)] = self.rows[name][: len(self.rows)] > 0
        return out

    def _fires(self, model: int) -> tuple[bool, bool]:
        return bool(self.rows["silent"][model]), bool(self.rows["firing"][model] == FIRING)

    def _learn_gaps(self, models: Indices, events: Indices, end: float) -> None:
        """The gap that ends now is a usual one, unless it was a silence, or nobody knows yet what to expect."""
        rows = self.rows
        known = (rows["silent"][models] == 0) & (rows["last"][models] < end)
        known &= rows["told"][models] - rows["since"][models] >= JUDGED_HOURS_MIN
        models, events = models[known], events[known]
        last = rows["last"][models]
        slots = (expectation.hour_of(t) % SLOTS for t in (last, np.full(len(models), end)))
        sure = np.minimum(*(self.rows["sure"][models, slot] for slot in slots)) > 0.0
        known, events = models[sure], events[sure]
        kept = np.where(rows["gaps"][known, 0] >= silence.GAPS_KEPT, 0.5, 1.0)
        rows["brought"][known] = rows["brought"][known] * kept + events
        rows["gaps"][known] = silence.learned(rows["gaps"][known], self._gap(known, end))
        rows["waits"][known] = silence.learned(rows["waits"][known], end - rows["last"][known])

    def _gap(self, models: Indices, until: float) -> Array:
        """Events expected since each model's last tick with events."""
        last = self.rows["last"][models]
        hour = math.ceil(until / HOUR) - 1
        gap = self.rows["sure"][models, hour % SLOTS] * (until - last) / HOUR
        across = np.flatnonzero(last < hour * HOUR)
        if len(across):
            far = models[across]
            gap[across] = expectation.between(self.rows["sure"][far], last[across], np.full(len(far), until))
        return np.asarray(gap)

    def _return(self, back: Indices, hour: int) -> list[tuple[int, str]]:
        """Models whose silence ends: what they did not bring is no fall of their volume, it was told already."""
        rows = self.rows
        for model in back.tolist():
            self._remember(np.array([model]), hour, 0)
        rows["silent"][back] = 0
        rows["told"][back] = hour + 1
        rows["log_r"][back] = -np.inf
        return [(model, "silence") for model in back.tolist()]

    def _end_hour(self, end: float, out: Watched) -> None:
        """Judge the hour that ended at ``end`` for all models that brought events in it, then learn from it."""
        hour, rows = self._hour, self.rows
        met = np.unique(np.concatenate(self._met))
        self._met = []
        met = met[(rows["hour"][met] == hour) & (rows["told"][met] <= hour)]
        if len(met):
            judged = met[(rows["judged"][met] > 0) & (rows["retired"][met] == 0)]
            if len(judged):
                self._judge_volume(judged, hour, end, out)
            self._remember(met, hour, 1)
            rows["told"][met] = hour + 1
            self._begin(met)
            rows.touch(met)
        self._set_due(met)

    def _remember(self, models: Indices, hour: int, n_full: int) -> None:
        """Learn the hours from ``told`` to ``hour``: the last with its events if ``n_full``, those before as empty."""
        rows = self.rows
        hours = np.minimum(hour - rows["told"][models] + n_full, SLOTS)
        for back in range(int(hours.max(initial=0))):
            own = models[hours > back]
            events = rows["in_hour"][own].astype(np.float64) if n_full and not back else np.zeros(len(own))
            slot = np.full(len(own), (hour - back - (1 - n_full)) % SLOTS)
            expectation.remember(rows["observed"], rows["seen"], own, slot, events)
        self._expect(models)
        rows.touch(models)

    def _expect(self, models: Indices) -> tuple[Array, Array]:
        """What the hours of the week bring each of ``models``, and how wide that is; what is sure is kept at hand."""
        observed, seen = self.rows["observed"][models], self.rows["seen"][models]
        rate, wide = expectation.rates(observed, seen), expectation.widths(seen)
        self.rows["sure"][models] = expectation.sure_rates(rate, wide)
        return rate, wide

    def _begin(self, met: Indices) -> None:
        """Begin to judge those that have brought enough for long enough."""
        rows = self.rows
        waiting = met[
            (rows["judged"][met] == 0) & (rows["retired"][met] == 0) & (rows["events"][met] >= JUDGED_EVENTS_MIN)
        ]
        waiting = waiting[(rows["seen"][waiting] > 0).sum(axis=1) >= JUDGED_HOURS_MIN]
        rows["judged"][waiting] = 1
        self._count_cells(waiting)

    def _count_cells(self, models: Indices, sign: int = 1) -> None:
        self._cells[SHARE] += sign * self._weight * len(CELLS) * len(models)
        self.models.rows["n_cells"][models, SHARES.index(SHARE)] += sign * self._weight * len(CELLS)

    def _crowd(self) -> Crowd:
        return Crowd.of(SHARE, self._cells[SHARE], self.models)

    def _nats(self, models: Indices, seconds: Array) -> Array:
        """The budget of one cell of each model for ``seconds``, as minus its log, between 1 and 690."""
        allowance = self._weight * self._budget.allowance(SHARE, self._crowd(), models, seconds)
        nats: Array = np.clip(-np.log(np.maximum(allowance, 1e-300)), 1.0, _NATS_MAX)
        return nats

    def _set_due(self, models: Indices) -> None:
        """Say of ``models`` when each will be silent if nothing comes; nobody else's moment moves."""
        rows = self.rows
        rows["due"][models] = math.inf
        watched = models[(rows["judged"][models] > 0) & (rows["silent"][models] == 0) & (rows["retired"][models] == 0)]
        if len(watched):
            rows["due"][watched] = self._silent_at(watched)[0]
        self._next_due = float(rows["due"][: len(rows)].min(initial=math.inf))
        rows.stir(models)

    def _silent_at(self, models: Indices) -> tuple[Array, Array]:
        """When each of ``models`` is silent without a further event, and the expected events from which it is."""
        rows, tick = self.rows, self.models.rows["tick"][models]
        waits, last = rows["waits"][models], rows["last"][models]
        nats = math.log(2.0) + self._nats(models, waits[:, 1] / np.maximum(waits[:, 0], 1.0))
        least = self.rows["sure"][models] / expectation.widths(rows["seen"][models])
        gaps = rows["gaps"][models]
        # Where more comes than was expected, gaps look shorter than they are.
        scale = np.maximum(rows["brought"][models] / np.maximum(gaps[:, 1], 1e-300), 1.0)
        mean = scale * silence.longer(gaps)
        alike = rows["told"][models] - rows["since"][models] >= SLOTS
        alike &= (waits[:, 1] >= _ALIKE_SECONDS) | (waits[:, 0] >= silence.GAPS_KEPT / 2.0)
        need = silence.remarkable(gaps, nats, alike) * scale
        # What comes by the clock is late by the clock, and must be missed too; ticks, which all have one length, are no
        # clock that anybody keeps.
        late = last + silence.remarkable(waits, nats, alike)
        late = np.maximum(late, expectation.reached(least, last, _LATE * mean))
        late[silence.longer(waits) < _CLOCK_TICKS * tick] = math.inf
        at = np.minimum(expectation.reached(least, last, need), late)
        at = np.maximum(at, last + np.maximum(SILENT_SECONDS_MIN, 2.0 * tick))
        # Of a tick that is still open nobody knows whether it is empty.
        return np.ceil(at / tick) * tick, need

    def _look_for_silence(self, now: float, out: Watched) -> None:
        rows = self.rows
        asked = np.flatnonzero(rows["due"][: len(rows)] <= now)
        self._skip_planned(asked, now)
        at, need = self._silent_at(asked)
        gone = at <= now
        rows["due"][asked] = np.where(gone, math.inf, at)
        rows["silent"][asked[gone]] = 1
        rows.stir(asked)
        self._next_due = float(rows["due"][: len(rows)].min(initial=math.inf))
        for model, enough in zip(asked[gone].tolist(), need[gone].tolist(), strict=True):
            out.alarms.append(self._silence_alarm(model, enough, now))

    def _skip_planned(self, asked: Indices, now: float) -> None:
        """A gap that has a part of a planned window in it begins behind that, and so do the hours to be judged."""
        last, told = self.rows["last"], self.rows["told"]
        for model in asked.tolist():
            for window in self.models.items[model].windows:
                if window.from_ < now and window.until > last[model]:
                    last[model] = window.until
                    told[model] = max(int(told[model]), math.ceil(window.until / HOUR))

    def _silence_alarm(self, model: int, need: float, now: float) -> TrafficAlarm:
        one = np.array([model])
        last = float(self.rows["last"][model])
        gap = self._gap(one, now)
        nats = max(
            float(silence.evidence(self.rows[name][one], length)[0])
            for name, length in (("gaps", gap), ("waits", np.array([now - last])))
        )
        return TrafficAlarm(
            model=model,
            detector="silence",
            events=0.0,
            expected=float(gap[0]),
            seconds=now - last,
            effect=float(gap[0]),
            tolerance=min(need, float(gap[0])),
            evidence_log10=nats / _LN10,
            onset_time=last,
            fired_time=now,
        )

    def _judge_volume(self, models: Indices, hour: int, end: float, out: Watched) -> None:
        """Bet on the hours since a model was judged last, empty but for this one; and on the day when it is over."""
        rows = self.rows
        told = rows["told"][models]
        start, stop = told * HOUR, np.full(len(models), end)
        rate, wide = self._expect(models)
        tolerance = 1.0 + self.models.rows["tolerance_volume"][models]
        near = volume.shifted(rate)
        sums = np.stack(
            [
                rows["in_hour"][models],
                *(expectation.between(r, start, stop) for r in (rate, rate / wide, rate * wide)),
                expectation.between(near[0] / wide, start, stop) / tolerance,
                expectation.between(near[1] * wide, start, stop) * tolerance,
            ],
            axis=1,
        )
        new_day = (told % 24 == 0) | (told // 24 != hour // 24)
        day = np.where(new_day[:, None], rows["day"][models], 0.0)
        eta = self._exponents(models, hour, rate)
        bets = volume.log_e(sums[:, 0], sums[:, 4], sums[:, 5], eta[0])
        of_day = volume.log_e(day[:, 0], day[:, 2] / tolerance, day[:, 3] * tolerance, eta[1])
        nats = self._nats(models, stop - start)
        step = accumulate(rows["log_r"][models], np.concatenate([bets, of_day], axis=1), (-nats).astype(np.float32))
        self._budget.spend(SHARE, SEVERITY, len(CELLS) * np.exp(-nats), self._crowd(), models)
        rows["log_r"][models] = step.log_r
        calm = restarted(step.log_total, -nats, SUSPICIOUS * nats) & ~step.alarm
        rows["calm"][models[calm | np.isnan(rows["calm"][models])]] = end
        self._learn_scatter(models, sums, new_day, wide.max(axis=1) < expectation.OTHER_KIND)
        fade = np.exp(-(stop - start) / _PRESENT_SECONDS - sums[:, 1] / _PRESENT_EVENTS)[:, None]
        rows["present"][models] = rows["present"][models] * fade + sums[:, [0, 1, 4, 5]]
        self._decide(models, step.alarm, (step.log_total + nats) / nats, end, (step.log_total + nats) / _LN10, out)

    def _exponents(self, models: Indices, hour: int, rate: Array) -> tuple[Array, Array]:
        rows = self.rows
        ticks = (hour + 1 - rows["since"][models]) * HOUR / self.models.rows["tick"][models]
        clump = volume.clump(ticks, rows["squares"][models], rows["events"][models], rate)
        return volume.exponents(rows["of_hours"][models], rows["of_days"][models], 24.0 * rate.mean(axis=1), clump)

    def _learn_scatter(
        self, models: Indices, sums: Array, new_day: NDArray[np.bool_], known: NDArray[np.bool_]
    ) -> None:
        """What the hour, and at its end the day, say about how much this model's counts scatter."""
        rows = self.rows
        own = models[known]
        rows["of_hours"][own] = volume.scattered(
            rows["of_hours"][own], sums[known, 0], sums[known, 1], volume.HOURS_MEMORY
        )
        done = models[new_day & known & (rows["day"][models, 1] > 0.0)]
        day = rows["day"][done]
        rows["of_days"][done] = volume.scattered(rows["of_days"][done], day[:, 0], day[:, 1], volume.DAYS_MEMORY)
        rows["day"][models[new_day]] = 0.0
        rows["day"][models] += sums[:, :4]

    def _decide(
        self, models: Indices, alarm: NDArray[np.bool_], suspicion: Array, end: float, log10: Array, out: Watched
    ) -> None:
        """As with other cells: evidence and the present together begin it, neither for ``keep_firing`` ends it."""
        rows, policy = self.rows, self.models.rows
        events, _, low, high = rows["present"][models].T
        outside = (events > high) | (events < low)
        bad = outside | (suspicion > SUSPICIOUS)
        rows["last_bad"][models[bad]] = end
        state = rows["firing"][models]
        began = alarm & outside & (state == IDLE)
        rows["firing"][models[began]] = PENDING
        rows["alarmed"][models[began]] = end
        rows["firing"][models[(state == PENDING) & ~bad]] = IDLE
        held = rows["firing"][models] == PENDING
        held &= end - rows["alarmed"][models] >= policy["hold"][models]
        rows["firing"][models[held]] = FIRING
        for i in np.flatnonzero(held).tolist():
            out.alarms.append(self._volume_alarm(int(models[i]), float(log10[i]), end))
        over = (state == FIRING) & (end - rows["last_bad"][models] >= policy["keep_firing"][models])
        rows["firing"][models[over]] = IDLE
        out.cleared += [(model, "volume") for model in models[over].tolist()]

    def _volume_alarm(self, model: int, log10: float, end: float) -> TrafficAlarm:
        events, expected, _, _ = self.rows["present"][model].tolist()
        onset = onset_of(float(self.rows["calm"][model]), end, HOUR)
        return TrafficAlarm(
            model=model,
            detector="volume",
            events=events,
            expected=expected,
            seconds=end - onset,
            effect=abs(events / max(expected, 1e-9) - 1.0),
            tolerance=float(self.models.rows["tolerance_volume"][model]),
            evidence_log10=log10,
            onset_time=onset,
            fired_time=end,
        )
