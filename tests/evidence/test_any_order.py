"""For every kind of gate: the order of rows, truths and files means nothing, and the worst is never over the best."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnomon.records.evidence import GRID
from gnomon.records.plan import OTHERWISE, Duration, Selector, Unit
from tests.evidence.test_engines import TWENTIETH, a_plan_of, every_kind, exchanges, truths
from tests.evidence.trial_log import ALWAYS, SECOND, TrialLog

UNITS = (None, Unit(cluster=Selector(where="header", name="x-s"), closes_after_us=4 * SECOND))


@given(
    seed=st.integers(0, 10**6),
    cycle=st.sampled_from([None, 9 * SECOND]),
    strata=st.booleans(),
    unit=st.sampled_from(UNITS),
)
@settings(max_examples=2, deadline=None)
@pytest.mark.timeout(600)
def test_every_kind_counts_the_same_in_any_order_and_any_files(
    seed: int, cycle: int | None, strata: bool, unit: Unit | None
) -> None:
    rng = random.Random(seed)
    gates = [structs.replace(gate, tests=gate.tests[:2]) for gate in every_kind()]
    if unit is not None:  # each gate and segment is a query of its own there
        gates = [gate for gate in gates if gate.kind in {"accuracy", "precision", "loss", "custom"}]
    rates = {"at": ALWAYS, OTHERWISE: TWENTIETH} if strata else None
    plan = a_plan_of(gates, duration=Duration(cycle_us=cycle), rates=rates, unit=unit)
    rows = exchanges(rng, plan, 60)
    told = truths(rng, rows)
    looks = []
    for files in (1, 3):
        with tempfile.TemporaryDirectory() as folder:
            log = TrialLog(Path(folder), plan)
            rng.shuffle(rows)
            rng.shuffle(told)
            for part in range(files):
                log.append("comparisons", rows[part::files])
                log.append("truths", told[part::files])
            log.flush(watermark=50, paired=40, unaccounted=1)
            looks.append(log.gather(as_of=45))
    one, many = (structs.replace(look, versions={}, digest="") for look in looks)
    assert one == many
    by_id = {gate.id: gate for gate in plan.gates}
    for test, cell in zip(plan.tests, one.cells, strict=True):
        gate = by_id[test.gate]
        least, most = gate.bottom(cell.grid), gate.top * cell.grid
        assert all(least <= value <= most for value, _ in (*cell.low, *cell.high))
        assert cell.exchanges >= max(cell.units, sum(count for _, count in cell.high)) or unit is not None
        if cycle is None and gate.kind not in {"recall", "precision"}:
            assert cell.units == sum(count for _, count in cell.high)
            assert sum(v * n for v, n in cell.low) <= sum(v * n for v, n in cell.high)
        assert cell.grid % GRID == 0
