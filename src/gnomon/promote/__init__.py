"""Promote: change who serves, on a verdict that can be recomputed, and back at any time.

Reads     Trial, Verdict, Epoch, Pause
Appends   Epoch, Pause, an audit row
Promises  a promotion rests on a `promote` verdict that `verify` recomputes, or on a reason that a person gave;
          a rollback needs no gate; a pause is no epoch, so the evidence goes on when it ends
"""
