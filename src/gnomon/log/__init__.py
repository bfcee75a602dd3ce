"""Log: one folder of Delta tables per trial, append-only. Stages meet here and nowhere else.

Appends   exchanges, comparisons, ledger, truths
Promises  a batch is appended exactly once, however often it is tried; a pinned version reads the same next year
"""
