"""Rows: single statements on the tables, inside the caller's transaction."""

import difflib
import json
from typing import Any

import msgspec
import sqlalchemy as sa

from gnomon.errors import IntegrityError, NotFound
from gnomon.records.facts import Reading
from gnomon.records.plan import ArmName
from gnomon.records.process import Epoch
from gnomon.records.trial import Pause, Sealed, Trial
from gnomon.records.verdict import Verdict
from gnomon.state import chain, schema
from gnomon.state.sealing import canonical, digest_of, operations

FIRST_EPOCH = 1


def new_trial(
    connection: sa.Connection,
    document: dict[str, Any],
    sealed: Sealed,
    latest: Trial | None,
    plan_path: str,
    program: str,
    now_us: int,
) -> Trial:
    """The next trial of a name, after `latest`."""
    table = schema.trials
    subject = _subject(document)
    earlier = connection.execute(sa.select(sa.func.count()).where(table.c.subject == subject)).scalar_one()
    number = latest.number + 1 if latest else 1
    trial = Trial(
        id=f"{document['trial']}.{number}",
        name=document["trial"],
        number=number,
        digest=sealed.digest,
        canonical=sealed.canonical.decode(),
        document=_text(document),
        plan_path=plan_path,
        parent=latest.id if latest else None,
        attempt=earlier + 1,
        registered_us=now_us,
        program=program,
        first_epoch=FIRST_EPOCH,
    )
    connection.execute(table.insert().values(**msgspec.structs.asdict(trial), subject=subject))
    return trial


def _subject(document: dict[str, Any]) -> str:
    """What attempts are counted by: a reworded question or another name does not reset them (statistics.md, 0b.15)."""
    routes = sorted({" ".join(route.split()[:2]) for route in document["routes"]})  # method and path
    return digest_of(canonical({"production": document["production"]["version"], "routes": routes}))


def record_operations(
    connection: sa.Connection, trial_id: str, document: dict[str, Any], plan_path: str, now_us: int, actor: str
) -> None:
    """Operation settings that differ from the last ones, and the document that holds them."""
    settings = operations(document)
    text = canonical(settings).decode()
    table = schema.operations
    query = sa.select(table.c.settings).where(table.c.trial == trial_id).order_by(table.c.number.desc()).limit(1)
    if connection.execute(query).scalar() != text:
        connection.execute(table.insert().values(trial=trial_id, time_us=now_us, actor=actor, settings=text))
        chain.append(
            connection,
            action="operation",
            trial=trial_id,
            actor=actor,
            time_us=now_us,
            detail={"settings": settings},
        )
    held = schema.trials
    connection.execute(held.update().where(held.c.id == trial_id).values(document=_text(document), plan_path=plan_path))


def action(connection: sa.Connection, trial_id: str, serving: ArmName, verdict_id: int | None) -> str:
    """What the audit row calls a change of who serves. Raises NotFound for a verdict of another trial."""
    if serving == "production":
        return "rollback"
    if verdict_id is None:
        return "override"
    table = schema.verdicts
    query = sa.select(table.c.verdict).where(table.c.id == verdict_id, table.c.trial == trial_id)
    verdict = connection.execute(query).scalar()
    if verdict is None:
        raise NotFound(f"{trial_id} has no verdict {verdict_id}; nothing was changed")
    return "promote" if verdict == "promote" else "override"


def insert_epoch(
    connection: sa.Connection,
    trial_id: str,
    number: int,
    serving: ArmName,
    now_us: int,
    reason: str,
    actor: str,
    verdict_id: int | None,
) -> None:
    """Who serves from now on."""
    row = {
        "trial": trial_id,
        "number": number,
        "serving": serving,
        "since_us": now_us,
        "reason": reason,
        "actor": actor,
        "verdict": verdict_id,
    }
    connection.execute(schema.epochs.insert().values(**row))


def epoch(connection: sa.Connection, trial_id: str) -> Epoch:
    """Who serves now."""
    table = schema.epochs
    query = sa.select(table.c.number, table.c.serving).where(table.c.trial == trial_id)
    row = connection.execute(query.order_by(table.c.number.desc()).limit(1)).one()
    return Epoch(number=row.number, serving=row.serving)


def pauses(connection: sa.Connection, trial_id: str) -> list[Pause]:
    """Every pause of a trial, oldest first; the last one may last."""
    table = schema.pauses
    query = sa.select(table).where(table.c.trial == trial_id).order_by(table.c.number)
    found: list[Pause] = []
    for row in connection.execute(query):
        if row.paused:
            found.append(Pause(since_us=row.since_us, actor=row.actor, reason=row.reason))
        elif found:
            ended = {"until_us": row.since_us, "ended_by": row.actor, "ended_because": row.reason}
            found[-1] = msgspec.structs.replace(found[-1], **ended)
    return found


def insert_pause(
    connection: sa.Connection, trial_id: str, *, paused: bool, now_us: int, reason: str, actor: str
) -> int:
    """Paused or not from now on; the row's number."""
    table = schema.pauses
    last = connection.execute(sa.select(sa.func.max(table.c.number)).where(table.c.trial == trial_id)).scalar()
    number = (last or 0) + 1
    row = {
        "trial": trial_id,
        "number": number,
        "paused": paused,
        "since_us": now_us,
        "reason": reason,
        "actor": actor,
    }
    connection.execute(table.insert().values(**row))
    return number


def identities(connection: sa.Connection, trial_id: str) -> list[Reading]:
    """What the models of a trial said they are, oldest first."""
    table = schema.identities
    query = sa.select(table).where(table.c.trial == trial_id).order_by(table.c.number)
    return [
        Reading(arm=row.arm, time_us=row.time_us, digest=row.digest, shown=row.shown)
        for row in connection.execute(query)
    ]


def insert_identity(connection: sa.Connection, trial_id: str, number: int, reading: Reading) -> None:
    """What a model is from now on."""
    values = {"trial": trial_id, "number": number, **msgspec.structs.asdict(reading)}
    connection.execute(schema.identities.insert().values(**values))


def latest(connection: sa.Connection, name: str) -> Trial | None:
    """The newest trial of a name."""
    table = schema.trials
    query = sa.select(table).where(table.c.name == name).order_by(table.c.number.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else trial(row)


def read_trial(connection: sa.Connection, trial_id: str) -> Trial:
    """The trial with an id that is known to be there."""
    table = schema.trials
    return trial(connection.execute(sa.select(table).where(table.c.id == trial_id)).mappings().one())


def find(connection: sa.Connection, name_or_id: str) -> Trial:
    """A trial by id, or the newest of a name. Raises NotFound with the near names."""
    table = schema.trials
    row = connection.execute(sa.select(table).where(table.c.id == name_or_id)).mappings().first()
    found = latest(connection, name_or_id) if row is None else trial(row)
    if found is not None:
        return found
    known = [known for row in connection.execute(sa.select(table.c.name, table.c.id)) for known in row]
    if not known:
        raise NotFound(f"there is no trial {name_or_id!r}, nor any other; start one with: gnomon serve plan.yaml")
    near = difflib.get_close_matches(name_or_id, list(dict.fromkeys(known)), n=3, cutoff=0.5)
    do = f"did you mean {' or '.join(near)}?" if near else "see gnomon trials"
    raise NotFound(f"there is no trial {name_or_id!r}; {do}")


def trial(row: sa.RowMapping) -> Trial:
    """The record of a row."""
    return Trial(**{name: row[name] for name in Trial.__struct_fields__})


def last_verdict(connection: sa.Connection, trial_id: str) -> tuple[int, str] | None:
    """Number and name of the newest one."""
    table = schema.verdicts
    query = sa.select(table.c.id, table.c.verdict).where(table.c.trial == trial_id)
    row = connection.execute(query.order_by(table.c.id.desc()).limit(1)).first()
    return None if row is None else (int(row.id), str(row.verdict))


def last_saved_us(connection: sa.Connection, trial_id: str) -> int:
    """When the newest verdict was saved, which is after the moment that it is of; 0: there is none."""
    table = schema.verdicts
    found = connection.execute(sa.select(sa.func.max(table.c.saved_us)).where(table.c.trial == trial_id)).scalar()
    return int(found or 0)


def verdict(number: int, record: str) -> Verdict:
    """The record of a row. Raises IntegrityError when it cannot be read."""
    try:
        return msgspec.json.decode(record, type=Verdict)
    except msgspec.DecodeError as error:
        raise IntegrityError(f"verdict {number} in the state database cannot be read: {error}") from error


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False)
