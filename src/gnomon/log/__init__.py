"""Log: one folder of Delta tables per trial, append-only. Stages meet here and nowhere else.

Appends   exchanges, comparisons, ledger, truths
Promises  a batch is appended exactly once, however often it is tried; a version that a verdict names reads the same
          next year, whatever upkeep (compact, retention, vacuum) did; only bodies ever leave, and only by the plan
"""
