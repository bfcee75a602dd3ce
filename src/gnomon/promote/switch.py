"""Promotion and rollback. Who serves is an epoch in the state database; the supervisor carries it to the gateways."""

import json
from collections.abc import Callable
from typing import Final, Literal

from gnomon.errors import StateError
from gnomon.records.process import Epoch
from gnomon.records.trial import Trial
from gnomon.records.verdict import Verdict
from gnomon.state import State

Action = Literal["promote", "rollback"]

NEXT: Final[dict[str, dict[Action, Literal["production", "candidate"]]]] = {
    "production": {"promote": "candidate"},
    "candidate": {"rollback": "production"},
}
"""Who serves after which action. Whatever is not in it cannot happen."""


def promote(
    state: State,
    trial: Trial,
    *,
    verify: Callable[[Verdict], object],
    override: str | None,
    actor: str,
    now_us: int,
) -> Epoch:
    """Let the candidate serve; production becomes the shadow.

    `verify` recomputes the trial's last verdict and raises IntegrityError when it cannot. With `override` (a reason,
    kept in the audit chain) the verdict is not asked.

    Raises StateError when the last verdict is not `promote`, the candidate serves already, or the plan rewrites bodies
    (no override helps: users' requests are not rewritten, so another model than the one tried would serve): nothing
    was changed.
    """
    _check(state, trial, "promote")
    _refuse_body_rewrite(trial)
    if override is not None:
        if not override.strip():
            raise StateError("an override needs its reason: --override 'why this is right'")
        return state.set_serving(
            trial.id, "candidate", reason=f"override: {override.strip()}", actor=actor, now_us=now_us, verdict_id=None
        )
    last = state.last_verdict(trial.id)
    if last is None:
        raise StateError(f"{trial.id} has no verdict yet; run: gnomon decide {trial.id}")
    verdict_id, verdict = last
    if verdict.verdict != "promote":
        raise StateError(
            f"{trial.id} cannot be promoted: its last verdict is {verdict.verdict!r} ({verdict.sentence}); "
            "run gnomon decide again, or give a reason: --override 'why this is right'"
        )
    verify(verdict)
    return state.set_serving(
        trial.id, "candidate", reason="verdict: promote", actor=actor, now_us=now_us, verdict_id=verdict_id
    )


def rollback(state: State, trial: Trial, *, reason: str, actor: str, now_us: int) -> Epoch:
    """Let the old production serve again. Needs no gate.

    Raises StateError when it serves already.
    """
    _check(state, trial, "rollback")
    return state.set_serving(
        trial.id, "production", reason=reason or "rollback", actor=actor, now_us=now_us, verdict_id=None
    )


def _check(state: State, trial: Trial, action: Action) -> None:
    serving = state.epoch(trial.id).serving
    if action not in NEXT[serving]:
        raise StateError(f"{trial.id}: {serving} serves already; nothing was changed")


def _refuse_body_rewrite(trial: Trial) -> None:
    """Path and headers are rewritten for users too; a body is, in copies alone (fork.md, rule 20)."""
    body = json.loads(trial.canonical)["candidate"].get("rewrite", {}).get("body", {})
    if body:
        raise StateError(
            f"{trial.id} cannot be promoted, with an override neither: its plan rewrites the body for the candidate "
            f"(candidate.rewrite.body: {', '.join(sorted(body))}), which is done to copies and not to users' requests; "
            "nothing was changed. Let the candidate take requests as they come, and try it under a plan without it"
        )
