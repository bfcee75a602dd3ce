"""Decide: turn evidence into a verdict, by the plan and by nothing else.

Reads     Plan, Evidence
Promises  no data is never a pass; the same plan and evidence give the same bytes; looking is free
Add here  what a gate's numbers are called in a sentence: `wording.py`; its D stands in `gnomon.evidence.differences`
"""

from gnomon.decide.assess import assess
from gnomon.decide.verdict import decide

__all__ = ["assess", "decide"]
