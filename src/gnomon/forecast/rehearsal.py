"""Rehearsal: trials of drawn counts, looked at and decided like real ones.

At every look the e-values of all trials are computed at once, by the public functions of `gnomon.stats`. A trial in
which they are enough for an end is given to `gnomon.decide` as evidence, and its verdict counts: the first CONFIRMED of
each kind of candidate. As long as every verdict is what the e-values say, the others are taken from the e-values (a
decision computes intervals and sentences too, some milliseconds each); after the first that is not, all are decided.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from gnomon.decide import decide
from gnomon.errors import GnomonError
from gnomon.evidence import catches_all
from gnomon.forecast.claims import claims
from gnomon.plan import rehearse as drawing
from gnomon.plan.rehearse import Case, Drawn, Rehearsal, Scenario
from gnomon.plan.sized import Sizing
from gnomon.plan.traffic import Traffic
from gnomon.plan.units import DURATIONS, PPM
from gnomon.records.evidence import AtRate, Cell, Evidence, Histogram
from gnomon.records.plan import Plan, Test
from gnomon.stats import betting
from gnomon.stats.betting import Claim

Advance = Callable[[str, float], None]
Flags = NDArray[np.bool_]

CONFIRMED = 25
"""Ends of each kind of candidate that the decision itself makes, at least."""

_ALMOST = 1 - 1e-6  # decide compares rounded numbers: what is this close is given to it


def rehearse(
    plan: Plan, known: Traffic, sizing: Sizing, *, trials: int, seed: int, advance: Advance = lambda _what, _done: None
) -> Rehearsal:
    """What the plan would decide about candidates of every kind, by the public decision, look by look.

    `advance` hears what is being rehearsed, and which part of all is done. Raises GnomonError when the traffic is not
    known well enough, or no gate can be drawn.
    """
    part, bets, left_out = drawing.rehearsed(plan, claims(plan))
    drawing.ready(part, known)
    looks = drawing.look_days(plan, _horizon(sizing))
    kinds = drawing.scenarios(part, known, bets)
    cases, confirmed, ended = [], 0, 0
    for index, scenario in enumerate(kinds):
        advance(scenario.name, index / len(kinds))
        stage = _Stage.of(part, known, bets, scenario, trials)
        ends = stage.run(np.random.default_rng([seed, index]), looks)
        cases.append(_case(scenario, ends, plan.alpha_ppm / PPM))
        confirmed += stage.decided
        ended += sum(bool(end.verdict) for end in ends)
    advance("", 1.0)
    return Rehearsal(
        trials=trials,
        seed=seed,
        looks=len(looks),
        days=looks[-1],
        cases=tuple(cases),
        left_out=left_out,
        confirmed=confirmed,
        ended=ended,
        notes=tuple(drawing.notes(part, known, left_out, alpha=plan.alpha_ppm / PPM)),
    )


@dataclass(frozen=True, slots=True)
class _End:
    """How one trial ended."""

    verdict: str
    """`promote`, `reject`, or empty: neither until the last look."""
    days: float


@dataclass(slots=True)
class _Stage:
    """The trials of one kind of candidate."""

    plan: Plan
    bets: Sequence[Claim]
    drawn: Sequence[Drawn]
    trials: int
    decided: int = 0
    """Looks that were given to the decision."""
    trusted: bool = True
    """The e-values said the same so far. Not of a hybrid gate, which has a test of another kind."""

    @classmethod
    def of(cls, plan: Plan, known: Traffic, bets: Sequence[Claim], scenario: Scenario, trials: int) -> "_Stage":
        """Before the first request."""
        drawn, place = [], 0
        for gate in plan.gates:
            mine = dict(zip((test.cell for test in gate.tests), bets[place : place + len(gate.tests)], strict=True))
            place += len(gate.tests)
            drawn.append(drawing.draw(plan, known, scenario, gate, mine, trials))
        return cls(plan, bets, drawn, trials, trusted=all(test.n_max is None for test in plan.tests))

    def run(self, rng: np.random.Generator, looks: Sequence[float]) -> list[_End]:
        """Look by look, until each trial is promoted or rejected."""
        ends: dict[int, _End] = {}
        before = 0.0
        for days in looks:
            for each in self.drawn:
                each.advance(rng, self.trials, days - before)
            before = days
            active = np.array([trial for trial in range(self.trials) if trial not in ends])
            if not active.size:
                break
            passing, harmed = self._may_end(active, days, last=days == looks[-1])
            for place in np.flatnonzero(passing | harmed):
                trial = int(active[place])
                verdict = self._verdict(trial, days, said="reject" if harmed[place] else "promote")
                if verdict in {"promote", "reject"}:
                    ends[trial] = _End(verdict, days)
        return [ends.get(trial, _End("", looks[-1])) for trial in range(self.trials)]

    def _verdict(self, trial: int, days: float, *, said: str) -> str:
        """The verdict on one trial whose e-values say `said`."""
        if self.trusted and self.decided >= CONFIRMED:
            return said
        self.decided += 1
        verdict = self._decide(trial, days)
        self.trusted &= verdict == said
        return verdict

    def _tests(self) -> list[tuple[Drawn, Test, Claim]]:
        tests = [(drawn, test) for drawn in self.drawn for test in drawn.gate.tests]
        return [(drawn, test, claim) for (drawn, test), claim in zip(tests, self.bets, strict=True)]

    def _may_end(self, active: NDArray[np.int64], days: float, *, last: bool) -> tuple[Flags, Flags]:
        """In which trials the e-values are enough at this look: for a promotion, for a rejection."""
        alpha = self.plan.alpha_ppm / PPM
        tests = self._tests()
        early = days * DURATIONS["d"] < self.plan.duration.at_least_us
        passing, harmed = np.full(len(active), not early), np.zeros(len(active), dtype=bool)
        for drawn, test, claim in tests:
            table, values, weights = self._table(drawn, test, active)
            # where the sum of the weighted D + margin is not below 0 no bet on harm has won, and the other way round
            ahead = table @ (np.array(weights) * (np.array(values) / claim.grid + claim.margin))
            behind = np.flatnonzero((ahead < 0) & ~harmed)
            harmed[behind] = betting.e_reject(table[behind], values, [claim], weights) >= _ALMOST * len(tests) / alpha
            passing &= self._may_pass(test, claim, (table, values, weights), passing & (ahead > 0), last=last)
        return passing, harmed

    def _may_pass(
        self,
        test: Test,
        claim: Claim,
        counted: tuple[NDArray[np.int64], list[int], list[float]],
        open_: Flags,
        *,
        last: bool,
    ) -> Flags:
        """In which of the trials a test may pass, looking only where it is open."""
        table, values, weights = counted
        units = table.sum(axis=1)
        shown = np.zeros(len(table), dtype=bool)
        enough = units >= max(1, test.min_units)
        look = np.flatnonzero(open_ & enough)
        needed = _ALMOST * PPM / self.plan.alpha_ppm
        shown[look] = betting.e_promote(table[look], values, [claim], weights) >= needed
        if last and test.n_max is not None:
            shown |= enough & (units >= test.n_max)
        if catches_all(self.plan, test.segment, test.value):
            shown |= units == 0
        return shown

    def _table(
        self, drawn: Drawn, test: Test, active: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], list[int], list[float]]:
        """The counts of a test, one row for each trial and one column for each value and rate."""
        lowest = min(self.plan.fork.rates.values())
        counts = drawn.counts[test.cell][active]
        values = [value for _ in drawn.rates for value in drawn.values]
        weights = [lowest / rate for rate in drawn.rates for _ in drawn.values]
        return counts.reshape(len(active), -1), values, weights

    def _decide(self, trial: int, days: float) -> str:
        """The verdict of the public decision on one trial's evidence."""
        now_us = round(days * DURATIONS["d"])
        wait_us = self.plan.truth.expected_within_us if self.plan.truth is not None else 0
        cells = tuple(
            _cell(self.plan, drawn, test, drawn.counts[test.cell][trial], now_us) for drawn, test, _ in self._tests()
        )
        evidence = Evidence(
            trial=self.plan.trial,
            as_of_us=now_us + wait_us + 1,
            watermark_us=now_us,
            versions={},
            rows={"comparisons": sum(cell.seen for cell in cells)},
            digest="",
            cells=cells,
            lost_share_ppm={},
            ledger={},
            probes=1,
        )
        return decide(self.plan, evidence, trial="", plan_digest="", started_us=0, program="").verdict


def _cell(plan: Plan, drawn: Drawn, test: Test, counts: NDArray[np.int64], frontier_us: int) -> Cell:
    """The counts of a test as the evidence has them: everything settled, nothing lost."""
    units = int(counts.sum())
    whole = _histogram(drawn.values, counts.sum(axis=0))
    by_rate = tuple(
        AtRate(probability=rate, low=histogram, high=histogram)
        for rate, each in zip(drawn.rates, counts, strict=True)
        if (histogram := _histogram(drawn.values, each))
    )
    return Cell(
        gate=test.gate,
        segment=test.segment,
        value=test.value,
        low=whole,
        high=whole,
        exchanges=units,
        lost=0,
        imputed=0,
        waiting=0,
        seen=units,
        frontier_us=frontier_us,
        by_rate=by_rate if len(set(plan.fork.rates.values())) > 1 else (),
        grid=drawn.grid,
    )


def _histogram(values: Sequence[int], counts: NDArray[np.int64]) -> Histogram:
    return tuple((value, int(count)) for value, count in zip(values, counts, strict=True) if count)


def _horizon(sizing: Sizing) -> float:
    """Days to the last look: the deadline, or twice what 90 % of the trials take as planned."""
    if sizing.deadline_days is not None:
        return sizing.deadline_days
    if sizing.together is not None and sizing.together[2] is not None:
        return 2 * (sizing.together[2] - sizing.wait_days)
    raise GnomonError(
        "--simulate has no end: the plan has no deadline, and as planned it does not come to an end; "
        "add duration.deadline"
    )


def _case(scenario: Scenario, ends: Sequence[_End], alpha: float) -> Case:
    """The shares of how the trials ended."""
    number = len(ends)
    promoted = sum(end.verdict == "promote" for end in ends) / number
    rejected = sum(end.verdict == "reject" for end in ends) / number
    wrong = {"equal": rejected, "planned": None, "margin": promoted, "worse": promoted}[scenario.kind]
    slack = 3 * (alpha * (1 - alpha) / number) ** 0.5
    days = [end.days for end in ends if end.verdict]
    return Case(
        name=scenario.name,
        kind=scenario.kind,
        gate=scenario.gate,
        cell=scenario.test.cell if scenario.test is not None else "",
        promoted=promoted,
        rejected=rejected,
        undecided=1 - promoted - rejected,
        median_days=median(days) if days else None,
        limit=None if wrong is None else alpha,
        holds=None if wrong is None else wrong <= alpha + slack,
    )
