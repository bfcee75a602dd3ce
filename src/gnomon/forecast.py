"""Forecast: what a plan takes, and what it would decide, before a single request is spent.

size       the planner's table: `gnomon.plan.size`, under the claims that the decision bets on
pilot      what an earlier trial's log says about the traffic, in the cells and gates of the plan
rehearse   the very plan on drawn counts, through `gnomon.decide`
"""

from gnomon.decide.claims import claim
from gnomon.plan import size as sizes
from gnomon.plan.sized import Sizing
from gnomon.plan.traffic import Traffic
from gnomon.records.plan import Plan
from gnomon.stats.betting import Claim


def size(plan: Plan, known: Traffic, *, price: float | None = None) -> Sizing:
    """The planner's table of a plan under a traffic."""
    return sizes.size(plan, known, claims(plan), price=price)


def claims(plan: Plan) -> list[Claim | None]:
    """The claim of each test of the gates, then of the targets; None: it is no claim about one mean."""
    return [
        None if gate.kind == "precision" or (gate.kind == "latency" and gate.ratio is not None) else claim(gate, test)
        for gate in plan.judged
        for test in gate.tests
    ]


def rehearse(
    plan: Plan, known: Traffic, sizing: Sizing, *, trials: int, seed: int, advance: Callable[[str, float], None]
) -> Rehearsal:
    """What the plan would decide about candidates of every kind, by the public decision, look by look.

    `advance` hears what is being rehearsed, and which part of all is done. Raises GnomonError when the traffic is not
    known well enough.
    """
    part, bets, left_out = drawing.rehearsed(plan, claims(plan))
    drawing.ready(part, known)
    horizon = _horizon(plan, sizing)
    looks = drawing.look_days(plan, horizon)
    kinds = drawing.scenarios(part, known, bets)
    cases = []
    for index, scenario in enumerate(kinds):
        advance(scenario.name, index / len(kinds))
        stage = _Stage(part, bets, looks, [drawing.draw(part, known, scenario, gate, mine, trials) for gate, mine in _by_gate(part, bets)])
        cases.append(_case(scenario, stage.run(np.random.default_rng([seed, index]), trials), plan.alpha_ppm / PPM))
    advance("done", 1.0)
    return Rehearsal(
        trials=trials,
        seed=seed,
        looks=len(looks),
        days=looks[-1],
        cases=tuple(cases),
        left_out=left_out,
        notes=tuple(_notes(plan, sizing, left_out)),
    )
