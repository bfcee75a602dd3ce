"""Stats: pure mathematics on counts. No I/O, no records, no randomness.

Promises  integers in, the same bits out, however the counts were gathered; no data is no evidence (e = 1);
          nothing returned is NaN or infinite
Add here  one file for one family of methods, its source in the docstring, its check against an independent
          computation in `tests/stats`, its error rate in `bench/simulate.py`
"""
