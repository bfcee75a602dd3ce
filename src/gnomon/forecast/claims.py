"""The planner's table under the claims that the decision bets on."""

from gnomon.decide.claims import claim
from gnomon.plan import size as sizes
from gnomon.plan.sized import Sizing
from gnomon.plan.traffic import Traffic
from gnomon.records.plan import Gate, Plan
from gnomon.stats.betting import Claim


def size(plan: Plan, known: Traffic, *, price: float | None = None) -> Sizing:
    """The planner's table of a plan under a traffic. `price`: of one call."""
    return sizes.size(plan, known, claims(plan), price=price)


def claims(plan: Plan) -> list[Claim | None]:
    """The claim of each test of the gates, then of the targets; None: it is no claim about one mean."""
    return [None if _several(gate) else claim(gate, test) for gate in plan.judged for test in gate.tests]


def _several(gate: Gate) -> bool:
    """Whether a test of the gate is made of several bets."""
    return gate.kind == "precision" or (gate.kind == "latency" and gate.ratio is not None)
