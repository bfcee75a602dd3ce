"""The share of lost pairs: when it holds a promotion up, and when it makes a trial invalid.

A share over the limit blocks at once: that claims nothing. That a cell loses more than the limit is a claim, looked at
as often as all the others, so it takes an e-value: against "at most the limit is lost", D = -1 for each lost exchange.
Over all cells together it is wrong with a probability of at most alpha, however often one looks, as it takes as many
times 1/alpha as there are cells. When sampling has ended and nothing more can come, the plain share decides.
"""

from gnomon.decide.claims import PPM
from gnomon.decide.words import count, share
from gnomon.records.evidence import GRID, Evidence
from gnomon.records.plan import OVERALL, Plan
from gnomon.stats import betting


def over_limit(plan: Plan, evidence: Evidence) -> list[str]:
    """Cells whose share of lost pairs is over the limit, as it stands: a sentence each."""
    return [_sentence(plan, evidence, name) for name in evidence.sampled if _is_over(plan, evidence, name)]


def shown_over_limit(plan: Plan, evidence: Evidence) -> list[str]:
    """Those of which it is shown that they lose more than the limit, and which will therefore never be in order."""
    names = [name for name in evidence.sampled if _is_over(plan, evidence, name)]
    if not names:
        return []
    if plan.lost_ppm == 0:
        return [_sentence(plan, evidence, name) for name in names]  # one lost exchange is more than none
    limit = plan.lost_ppm / PPM
    counts = [
        ((-GRID, evidence.sampled[name][0]), (0, evidence.sampled[name][1] - evidence.sampled[name][0]))
        for name in names
    ]
    table, values = betting.tabulate(counts)
    e_values = betting.e_reject(table, values, [betting.Claim(margin=limit, disagreement=limit / 2, top=0)])
    needed = len(evidence.sampled) * PPM / plan.alpha_ppm
    return [_sentence(plan, evidence, name) for name, e in zip(names, e_values, strict=True) if e >= needed]


def _is_over(plan: Plan, evidence: Evidence, name: str) -> bool:
    lost, sampled = evidence.sampled[name]
    return lost * PPM > plan.lost_ppm * sampled


def _sentence(plan: Plan, evidence: Evidence, name: str) -> str:
    lost, sampled = evidence.sampled[name]
    where = name if name == OVERALL else f"on {name}"
    return f"{lost:,} of {count(sampled, 'sampled exchange')} {where} were lost, more than {share(plan.lost_ppm)}"
