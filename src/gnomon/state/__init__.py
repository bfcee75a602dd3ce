"""State: plans and their seals, trials, who serves, verdicts, and the audit chain. Small, transactional, SQL.

Reads     a checked document, its seal, verdicts
Appends   trials, operation settings, epochs, pauses, identities, verdicts, and an audit row with each, in the same
          transaction
Promises  what is recorded is never changed but for a trial's operation settings; every change is a link of the chain;
          two writers never lose a row of each other; a database of a newer version is refused
"""

from gnomon.state.store import State, open_state

__all__ = ["State", "open_state"]
