"""Pause: shadow nothing for a while, and again. Who serves does not change, nor does the epoch that evidence is of.

What was not shadowed meanwhile is `shed:paused`, decided before either arm is called: it counts as not sampled.
"""

from gnomon.errors import StateError
from gnomon.records.trial import Pause, Trial
from gnomon.state import State


def pause(state: State, trial: Trial, *, reason: str, actor: str, now_us: int) -> tuple[Pause, bool]:
    """Shadow nothing from now on. The pause in force, and whether this began it.

    Raises StateError when no reason is given: nothing was changed.
    """
    if not reason.strip():
        raise StateError("a pause needs its reason: --reason 'why nothing is to be shadowed'; nothing was changed")
    began = state.set_paused(trial.id, paused=True, reason=reason.strip(), actor=actor, now_us=now_us)
    now = state.paused(trial.id)
    if now is None:
        raise StateError(f"{trial.id}: somebody resumed it in the same moment; see gnomon status {trial.id}")
    return now, began


def resume(state: State, trial: Trial, *, reason: str, actor: str, now_us: int) -> bool:
    """Shadow again; False: it was not paused, and nothing was changed."""
    return state.set_paused(trial.id, paused=False, reason=reason.strip() or "resume", actor=actor, now_us=now_us)
