"""Promotion: a plan that rewrites bodies for the candidate cannot be promoted, whatever is said for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gnomon.errors import StateError
from gnomon.promote import switch
from gnomon.records.trial import Trial
from gnomon.state import State, open_state
from tests.state.builders import DOCUMENT, register, url_of, verdict_of


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with open_state(url_of(tmp_path)) as opened:
        yield opened


def rewriting(state: State, rewrite: dict[str, Any]) -> Trial:
    trial = register(state, candidate=DOCUMENT["candidate"] | {"rewrite": rewrite})
    state.save_verdict(trial.id, verdict_of(trial), now_us=2, actor="ada")
    return trial


@pytest.mark.parametrize("override", [None, "we need it"])
def test_a_body_rewrite_cannot_be_promoted_and_nothing_is_changed(state: State, override: str | None) -> None:
    trial = rewriting(state, {"body": {"/model": "fraud-2", "/a": 1}, "path": {"/predict": "/v2/predict"}})
    before = state.epochs(trial.id), state.audit()
    with pytest.raises(StateError) as caught:
        switch.promote(state, trial, verify=lambda _: pytest.fail("asked"), override=override, actor="ada", now_us=3)
    assert "fraud.1 cannot be promoted, with an override neither" in str(caught.value)
    assert "(candidate.rewrite.body: /a, /model)" in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert (state.epochs(trial.id), state.audit()) == before


@pytest.mark.parametrize("rewrite", [{"path": {"/predict": "/v2/predict"}}, {"headers": {"x-model": "fraud-2"}}])
@pytest.mark.parametrize("override", [None, "we need it"])
def test_a_rewrite_of_the_head_is_promoted_with_the_candidate(
    state: State, rewrite: dict[str, Any], override: str | None
) -> None:
    trial = rewriting(state, rewrite)
    verified: list[object] = []
    epoch = switch.promote(state, trial, verify=verified.append, override=override, actor="ada", now_us=3)
    assert epoch.serving == "candidate"
    assert len(verified) == (override is None)
