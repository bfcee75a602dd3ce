"""The store: trials, who serves, verdicts. Every change appends its audit row in the same transaction."""

import difflib
import json
from types import TracebackType
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from gnomon.errors import IntegrityError, NotFound, StateError
from gnomon.records.plan import ArmName
from gnomon.records.process import Epoch
from gnomon.records.trial import AuditRow, EpochRow, OperationRow, Sealed, Trial
from gnomon.records.verdict import Verdict
from gnomon.state import chain, crosscheck, schema
from gnomon.state.database import Database
from gnomon.state.sealing import canonical, digest_of, operations, seal

FIRST_EPOCH = 1


def open_state(url: str) -> "State":
    """The state database at a SQLAlchemy URL, made or migrated if need be. Use it in a `with`.

    Raises StateError when it cannot be opened, is not ours, or is of a newer version.
    """
    return State(Database(url))


class State:
    """What is known about trials. Its methods may be called from several threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    # trials --------------------------------------------------------------------------------------------------------

    def register(
        self,
        document: dict[str, Any],
        sealed: Sealed,
        *,
        plan_path: str,
        program: str,
        now_us: int,
        actor: str,
    ) -> Trial:
        """The trial of a checked document: the name's latest one if its seal is the same, else a new one.

        A new trial names the latest one as its parent, begins with epoch 1 (production serves) and counts how many
        trials of the same production version on the same routes came before it. Operation settings are recorded with
        their time whenever they differ from the last ones.
        """
        if seal(document) != sealed:
            raise ValueError("the seal is of another document")
        with self._database.write() as connection:
            latest = _latest(connection, document["trial"])
            if latest is None or latest.digest != sealed.digest:
                trial = _new_trial(connection, document, sealed, latest, plan_path, program, now_us)
                detail = {
                    "digest": trial.digest,
                    "parent": trial.parent,
                    "attempt": trial.attempt,
                    "program": program,
                    "epoch": FIRST_EPOCH,
                }
                chain.append(connection, action="register", trial=trial.id, actor=actor, time_us=now_us, detail=detail)
                _insert_epoch(connection, trial.id, FIRST_EPOCH, "production", now_us, "registered", actor, None)
            else:
                trial = latest
            _record_operations(connection, trial.id, document, plan_path, now_us, actor)
            return _read_trial(connection, trial.id)

    def trials(self) -> list[Trial]:
        """Every trial, oldest first."""
        table = schema.trials
        with self._database.read() as connection:
            query = sa.select(table).order_by(table.c.registered_us, table.c.name, table.c.number)
            return [_trial(row) for row in connection.execute(query).mappings()]

    def trial(self, name_or_id: str) -> Trial:
        """One trial by id, or the latest of a name.

        Raises NotFound with the names that are near.
        """
        with self._database.read() as connection:
            return _find(connection, name_or_id)

    def operations(self, trial_id: str) -> list[OperationRow]:
        """The operation settings of a trial and when they came into force, oldest first."""
        table = schema.operations
        with self._database.read() as connection:
            query = sa.select(table).where(table.c.trial == trial_id).order_by(table.c.number)
            return [
                OperationRow(
                    trial=row["trial"],
                    time_us=row["time_us"],
                    actor=row["actor"],
                    settings=json.loads(row["settings"]),
                )
                for row in connection.execute(query).mappings()
            ]

    def verify_seal(self, trial: Trial) -> None:
        """The stored plan is the one that was sealed.

        Raises IntegrityError with the reason.
        """
        if digest_of(trial.canonical.encode()) != trial.digest:
            raise IntegrityError(f"{trial.id}: the sealed plan in the state database was changed; its digest differs")
        try:
            again = seal(json.loads(trial.document))
        except (ValueError, AttributeError) as error:
            raise IntegrityError(f"{trial.id}: the plan in the state database is not JSON any more: {error}") from error
        if again.digest != trial.digest:
            raise IntegrityError(
                f"{trial.id}: the plan in the state database is not the one that was sealed "
                f"(digest {again.digest[:12]}, sealed {trial.digest[:12]})"
            )

    # who serves ----------------------------------------------------------------------------------------------------

    def epoch(self, trial_id: str) -> Epoch:
        """Who serves now. Raises NotFound."""
        with self._database.read() as connection:
            return _epoch(connection, _find(connection, trial_id).id)

    def epochs(self, trial_id: str) -> list[EpochRow]:
        """Who served when, oldest first."""
        table = schema.epochs
        with self._database.read() as connection:
            query = sa.select(table).where(table.c.trial == trial_id).order_by(table.c.number)
            return [
                EpochRow(
                    trial=row["trial"],
                    number=row["number"],
                    serving=row["serving"],
                    since_us=row["since_us"],
                    reason=row["reason"],
                    actor=row["actor"],
                    verdict_id=row["verdict"],
                )
                for row in connection.execute(query).mappings()
            ]

    def set_serving(
        self,
        trial_id: str,
        serving: ArmName,
        *,
        reason: str,
        actor: str,
        now_us: int,
        verdict_id: int | None,
    ) -> Epoch:
        """Let an arm serve from now on: the next epoch.

        The audit row says `rollback` for production; for the candidate `promote` when the verdict it names says so,
        else `override`, which needs its reason.

        Raises NotFound (trial, verdict), StateError when that arm serves already: nothing was changed.
        """
        with self._database.write() as connection:
            trial = _find(connection, trial_id)
            now = _epoch(connection, trial.id)
            if now.serving == serving:
                raise StateError(f"{trial.id}: {serving} serves already (epoch {now.number}); nothing was changed")
            action = _action(connection, trial.id, serving, verdict_id)
            if action == "override" and not reason.strip():
                raise StateError(
                    f"{trial.id}: a promotion without a promote verdict needs a reason; nothing was changed"
                )
            number = now.number + 1
            _insert_epoch(connection, trial.id, number, serving, now_us, reason, actor, verdict_id)
            detail = {"epoch": number, "serving": serving, "reason": reason, "verdict": verdict_id}
            chain.append(connection, action=action, trial=trial.id, actor=actor, time_us=now_us, detail=detail)
            return Epoch(number=number, serving=serving)

    # verdicts ------------------------------------------------------------------------------------------------------

    def save_verdict(self, trial_id: str, verdict: Verdict, *, now_us: int, actor: str) -> int:
        """Keep a verdict; returns its number.

        Raises NotFound, StateError when it is of another trial or plan.
        """
        with self._database.write() as connection:
            trial = _find(connection, trial_id)
            if (verdict.trial, verdict.plan_digest) != (trial.id, trial.digest):
                raise StateError(
                    f"the verdict is of {verdict.trial} (plan {verdict.plan_digest[:12]}), not of {trial.id} "
                    f"(plan {trial.digest[:12]}); nothing was kept"
                )
            record = msgspec.json.encode(verdict).decode()
            result = connection.execute(
                schema.verdicts.insert().values(trial=trial.id, saved_us=now_us, verdict=verdict.verdict, record=record)
            )
            (number,) = result.inserted_primary_key or (0,)
            detail = {"id": int(number), "verdict": verdict.verdict, "record": digest_of(record.encode())}
            chain.append(connection, action="verdict", trial=trial.id, actor=actor, time_us=now_us, detail=detail)
            return int(number)

    def verdicts(self, trial_id: str) -> list[tuple[int, Verdict]]:
        """Every verdict of a trial with its number, oldest first."""
        table = schema.verdicts
        with self._database.read() as connection:
            query = sa.select(table.c.id, table.c.record).where(table.c.trial == trial_id).order_by(table.c.id)
            return [(row.id, _verdict(row.id, row.record)) for row in connection.execute(query)]

    def last_verdict(self, trial_id: str) -> tuple[int, Verdict] | None:
        """The newest verdict of a trial with its number; None: there is none yet."""
        table = schema.verdicts
        with self._database.read() as connection:
            query = sa.select(table.c.id, table.c.record).where(table.c.trial == trial_id)
            row = connection.execute(query.order_by(table.c.id.desc()).limit(1)).first()
            return None if row is None else (row.id, _verdict(row.id, row.record))

    # audit ---------------------------------------------------------------------------------------------------------

    def audit(self) -> list[AuditRow]:
        """The whole chain, oldest first."""
        with self._database.read() as connection:
            return chain.rows(connection)

    def check_chain(self) -> None:
        """The audit chain is whole, and trials, epochs, operation settings and verdicts are what it says.

        Raises IntegrityError naming the first row that is not.
        """
        with self._database.read() as connection:
            rows = chain.rows(connection)
            chain.check(rows)
            crosscheck.check(connection, rows)


def _new_trial(
    connection: sa.Connection,
    document: dict[str, Any],
    sealed: Sealed,
    latest: Trial | None,
    plan_path: str,
    program: str,
    now_us: int,
) -> Trial:
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
        document=_json(document),
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
    routes = sorted({" ".join(route.split()) for route in document["routes"]})
    return digest_of(canonical({"production": document["production"]["version"], "routes": routes}))


def _record_operations(
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
    connection.execute(held.update().where(held.c.id == trial_id).values(document=_json(document), plan_path=plan_path))


def _action(connection: sa.Connection, trial_id: str, serving: ArmName, verdict_id: int | None) -> str:
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


def _insert_epoch(
    connection: sa.Connection,
    trial_id: str,
    number: int,
    serving: ArmName,
    now_us: int,
    reason: str,
    actor: str,
    verdict_id: int | None,
) -> None:
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


def _epoch(connection: sa.Connection, trial_id: str) -> Epoch:
    table = schema.epochs
    query = sa.select(table.c.number, table.c.serving).where(table.c.trial == trial_id)
    row = connection.execute(query.order_by(table.c.number.desc()).limit(1)).one()
    return Epoch(number=row.number, serving=row.serving)


def _latest(connection: sa.Connection, name: str) -> Trial | None:
    table = schema.trials
    query = sa.select(table).where(table.c.name == name).order_by(table.c.number.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else _trial(row)


def _read_trial(connection: sa.Connection, trial_id: str) -> Trial:
    table = schema.trials
    return _trial(connection.execute(sa.select(table).where(table.c.id == trial_id)).mappings().one())


def _find(connection: sa.Connection, name_or_id: str) -> Trial:
    table = schema.trials
    row = connection.execute(sa.select(table).where(table.c.id == name_or_id)).mappings().first()
    found = _latest(connection, name_or_id) if row is None else _trial(row)
    if found is not None:
        return found
    known = [known for row in connection.execute(sa.select(table.c.name, table.c.id)) for known in row]
    if not known:
        raise NotFound(f"there is no trial {name_or_id!r}, nor any other; start one with: gnomon serve plan.yaml")
    near = difflib.get_close_matches(name_or_id, list(dict.fromkeys(known)), n=3, cutoff=0.5)
    do = f"did you mean {' or '.join(near)}?" if near else "see gnomon trials"
    raise NotFound(f"there is no trial {name_or_id!r}; {do}")


def _trial(row: sa.RowMapping) -> Trial:
    return Trial(**{name: row[name] for name in Trial.__struct_fields__})


def _verdict(number: int, record: str) -> Verdict:
    try:
        return msgspec.json.decode(record, type=Verdict)
    except msgspec.DecodeError as error:
        raise IntegrityError(f"verdict {number} in the state database cannot be read: {error}") from error


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False)
