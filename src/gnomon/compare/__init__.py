"""Compare: one exchange and the candidate's answer in, one row of `comparisons` out.

Reads     Plan, Request, both Answers
Appends   a row of `comparisons`, by the runner
Promises  an arm that failed is kept with its outcome, never left out; the row depends on nothing but its arguments
Add here  a comparator: one file in `comparators/`, one row in `gnomon.plugins.BUILTINS`, its test
"""

from gnomon.compare.row import Comparing, compare

__all__ = ["Comparing", "compare"]
