"""Expand the arms, the fork, the guards and the redaction."""

from typing import Any

import rfc8785

from gnomon.plan.language_fork import (
    ArmModel,
    CandidateModel,
    ForkModel,
    GuardsModel,
    IdentifiedModel,
    RecordModel,
    RewriteModel,
)
from gnomon.records.plan import Arm, Fork, Guards, Identity, Redaction, Rewrite, Strata


def arm(model: ArmModel) -> Arm:
    """One of the two models."""
    return Arm(
        version=model.version,
        url=model.url.rstrip("/"),
        timeout_us=model.timeout,
        authorization_env=model.authorization_env,
        identity=_identity(model.identity),
        rewrite=_rewrite(model.rewrite) if isinstance(model, CandidateModel) and model.rewrite else Rewrite(),
        capacity_ppm=model.capacity if isinstance(model, CandidateModel) else None,
    )


def fork(model: ForkModel) -> Fork:
    """How requests are copied."""
    return Fork(
        mode=model.mode,
        shadow_rate=model.shadow_rate,
        expires_after_us=model.expires_after,
        in_flight=model.budget.in_flight,
        per_second=model.budget.per_second,
        strata=strata(model),
        sticky=model.sticky,
        headers=tuple(model.headers or ()),
        twin=model.twin or 0,
    )


def strata(model: ForkModel) -> Strata | None:
    """The sampling classes; the shadow rate is what the others have when nothing else is said."""
    declared = model.strata
    if declared is None:
        return None
    otherwise = model.shadow_rate if declared.otherwise is None else declared.otherwise
    return Strata(by=declared.by, rates=tuple(declared.rates.items()), otherwise=otherwise)


def guards(model: GuardsModel) -> Guards:
    """What a request must not hold to be copied."""
    return Guards(context=tuple(model.context or ()), side_effects=tuple(model.side_effects or ()))


def redaction(model: RecordModel) -> Redaction:
    """What the log never holds."""
    return Redaction(
        drop=tuple(model.drop or ()),
        mask=tuple(model.mask or ()),
        digest=tuple(model.digest or ()),
        keep_bodies_us=model.keep_bodies,
    )


def _identity(model: Identity | IdentifiedModel | None) -> Identity | None:
    return Identity(path=model.path, header=model.header) if isinstance(model, IdentifiedModel) else model


def _rewrite(model: RewriteModel) -> Rewrite:
    return Rewrite(
        paths=tuple((model.path or {}).items()),
        headers=tuple((name.lower(), value) for name, value in (model.headers or {}).items()),
        body=tuple((pointer, _text(value)) for pointer, value in (model.body or {}).items()),
    )


def _text(value: Any) -> str:  # noqa: ANN401  whatever JSON holds
    """By RFC 8785, as in the seal: documents with the same digest put the same bytes there."""
    return bytes(rfc8785.dumps(value)).decode()
