"""The statistics of many tests at once: e-values, intervals, estimates. All plain ones stand in one table."""

from collections.abc import Sequence
from fractions import Fraction

from gnomon.decide import claims, precision, ratio
from gnomon.decide.rows import Levels, Numbers, Row, digits, nine
from gnomon.records.evidence import Evidence
from gnomon.records.plan import Plan
from gnomon.stats import betting


def compute(plan: Plan, evidence: Evidence, rows: Sequence[Row], levels: Levels) -> list[Numbers]:
    """The statistics of every row, in their order."""
    found: dict[int, Numbers] = {}
    flags = [index for index, row in enumerate(rows) if row.is_precision]
    tails = [index for index, row in enumerate(rows) if row.is_latency_ratio]
    plain = [index for index, row in enumerate(rows) if not (row.is_precision or row.is_latency_ratio)]
    found.update(zip(flags, precision.numbers([rows[index] for index in flags], levels), strict=True))
    found.update(zip(tails, ratio.numbers(plan, evidence, [rows[index] for index in tails], levels), strict=True))
    found.update(zip(plain, _plain([rows[index] for index in plain], levels), strict=True))
    return [found[index] for index in range(len(rows))]


def _plain(rows: Sequence[Row], levels: Levels) -> list[Numbers]:
    """Tests whose claim is about the mean of one D."""
    each = [claims.claim(row.gate, row.test) for row in rows]
    low, low_values, low_weights = betting.tabulate_weighted(
        [[(part.factor, part.low) for part in row.parts] for row in rows]
    )
    high, high_values, high_weights = betting.tabulate_weighted(
        [[(part.factor, part.high) for part in row.parts] for row in rows]
    )
    promote = betting.e_promote(low, low_values, each, low_weights)
    reject = betting.e_reject(high, high_values, each, high_weights)
    lower = betting.lower_bounds(low, low_values, each, levels.alpha, low_weights)
    upper = betting.upper_bounds(high, high_values, each, levels.alpha, high_weights)
    # The interval of a hybrid test ends where its own e-value, which has half of alpha, says so.
    halves = [index for index, row in enumerate(rows) if row.test.n_max is not None]
    if halves:
        lower[halves] = betting.lower_bounds(
            low[halves], low_values, [each[index] for index in halves], levels.alpha / 2, low_weights
        )
    found = []
    for index, row in enumerate(rows):
        production, candidate = _rates(row)
        found.append(
            Numbers(
                estimate=nine(row.mean),
                lower=nine(float(lower[index])) if row.cell.low else None,
                upper=nine(float(upper[index])) if row.cell.high else None,
                e_promote=digits(float(promote[index])),
                e_reject=digits(float(reject[index])),
                production=nine(production),
                candidate=nine(candidate),
                no_estimate="no settled units" if row.mean is None else None,
            )
        )
    return found


def _rates(row: Row) -> tuple[Fraction | None, Fraction | None]:
    """What the gate is named after, of each arm: how often it is right, agrees, fails, refuses, says the value."""
    if not row.known:
        return None, None
    production, candidate = row.shares
    if row.gate.kind in {"error_rate", "refusal_rate"}:
        return 1 - production, 1 - candidate
    if row.gate.kind == "agreement" and not row.gate.against_twin:
        return None, candidate  # production agrees with itself by definition
    return production, candidate
