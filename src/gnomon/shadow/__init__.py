"""Shadow: run the candidate on copies of requests, off the path, and log what came of it.

Reads     frames from the gateways
Appends   exchanges, comparisons, ledger
Promises  what was acknowledged is in the log exactly once, whatever is killed and whenever; the candidate may be called
          more than once for it; nothing here is ever waited for by a user
"""
