"""Evidence: the only place where records become numbers. Ibis expressions in, a few dozen integers out.

Reads     comparisons, ledger, truths, at pinned versions
Promises  integers only, so that any engine gives the same; what is unknown is taken as worst for the candidate
          where it could promote and as best where it could reject; no data gives empty counts, never an error
Add here  a gate's definition of D: one function in `observed.py` or `truthful.py`
"""

from gnomon.evidence.look import catches_all, gather

__all__ = ["catches_all", "gather"]
