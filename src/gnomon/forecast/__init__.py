"""Forecast: what a plan takes, and what it would decide, before a single request is spent.

size       the planner's table (`gnomon.plan.size`), under the claims that the decision bets on
pilot      what an earlier trial's log says about the traffic, in the cells and gates of the plan
rehearse   the very plan on drawn counts (`gnomon.plan.rehearse`), through `gnomon.decide`

Promises  nothing here moves a decision: a forecast that is wrong costs time
"""

from gnomon.forecast.claims import claims, size
from gnomon.forecast.rehearsal import rehearse

__all__ = ["claims", "rehearse", "size"]
