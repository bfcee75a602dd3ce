"""The fixed-size test of a hybrid gate: one look, at the deadline, at half of alpha.

A gate with a sealed `n_max` passes when its e-value reaches 2/alpha, or when this test has p <= alpha/2. It is valid
beside any number of looks at the e-value by the union bound, as long as it is one test of one sample that no result has
chosen. So

- the sample is everything on closed cycles before the sealed deadline, and the test is not made before that sample is
  whole: the deadline and the time for truth are over, and the log is settled up to the deadline;
- it is made only if the sample has the sealed size at least: how much traffic came says nothing about which arm is
  better. Where somebody stopped the shadow by hand for a while, results may have been seen first, and it is not made;
- a truth that comes still later replaces an imputed loss and can only raise every D, which only lowers p. So each look
  understates the one test on the whole truth, and the probability that any of them passes is that of the whole one.

Source    Tango, Stat. Med. 17:891, 1998; Nam, Biometrics 53, 1997; for two outcomes the exact binomial
"""

from scipy import special

from gnomon.decide.claims import PPM
from gnomon.decide.rows import Row
from gnomon.records.evidence import Evidence
from gnomon.records.plan import Plan
from gnomon.stats import paired

_PAUSED = "shed:paused"


def p_value(plan: Plan, evidence: Evidence, row: Row, *, started_us: int, over_deadline: bool) -> float | None:
    """The p of the one test; None: the gate has none, or it is not made (yet)."""
    n_max, deadline_us = row.test.n_max, plan.duration.deadline_us
    if n_max is None or deadline_us is None or not over_deadline or row.cell.by_rate:
        return None
    whole = row.cell.frontier_us >= started_us + deadline_us
    if not whole or row.cell.units < max(1, n_max) or evidence.ledger.get(_PAUSED, 0):
        return None
    counts = dict(row.cell.low)
    if not counts.keys() <= {-row.cell.grid, 0, row.cell.grid}:
        return None  # units of several exchanges: neither test knows of halves
    better, worse = counts.get(row.cell.grid, 0), counts.get(-row.cell.grid, 0)
    return _p(row, better, worse, row.cell.units)


def _p(row: Row, better: int, worse: int, units: int) -> float:
    margin = row.test.margin_ppm / PPM
    if row.gate.top == 0:
        return float(special.bdtr(worse, units, margin))  # P(at most as many bad ones, if the rate were the margin)
    return float(paired.tango_test(better, worse, units, margin).p)
