"""The store: trials, who serves, verdicts. Every change appends its audit row in the same transaction."""

import json
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from gnomon.errors import IntegrityError, StateError
from gnomon.records.facts import Reading
from gnomon.records.plan import ArmName
from gnomon.records.process import Epoch
from gnomon.records.trial import AuditRow, EpochRow, OperationRow, Pause, Sealed, Trial
from gnomon.records.verdict import Verdict
from gnomon.state import chain, crosscheck, rows, schema
from gnomon.state.database import Database
from gnomon.state.sealing import digest_of, seal


def open_state(url: str, *, migrate: bool = True) -> "State":
    """The state database at a SQLAlchemy URL, made or migrated if need be. Use it in a `with`.

    Raises StateError when it cannot be opened, is not ours, or is of a newer version; without `migrate` also when it is
    of an earlier one, which is left as it is.
    """
    return State(Database(url, migrate=migrate))


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
            latest = rows.latest(connection, document["trial"])
            if latest is None or latest.digest != sealed.digest:
                trial = rows.new_trial(connection, document, sealed, latest, plan_path, program, now_us)
                detail = {
                    "digest": trial.digest,
                    "parent": trial.parent,
                    "attempt": trial.attempt,
                    "program": program,
                    "epoch": rows.FIRST_EPOCH,
                }
                chain.append(connection, action="register", trial=trial.id, actor=actor, time_us=now_us, detail=detail)
                rows.insert_epoch(
                    connection, trial.id, rows.FIRST_EPOCH, "production", now_us, "registered", actor, None
                )
            else:
                trial = latest
            rows.record_operations(connection, trial.id, document, plan_path, now_us, actor)
            return rows.read_trial(connection, trial.id)

    def trials(self) -> list[Trial]:
        """Every trial, oldest first."""
        table = schema.trials
        with self._database.read() as connection:
            query = sa.select(table).order_by(table.c.registered_us, table.c.name, table.c.number)
            return [rows.trial(row) for row in connection.execute(query).mappings()]

    def trial(self, name_or_id: str) -> Trial:
        """One trial by id, or the latest of a name.

        Raises NotFound with the names that are near.
        """
        with self._database.read() as connection:
            return rows.find(connection, name_or_id)

    def attempts(self, trial_id: str) -> list[Trial]:
        """Every trial of the same production version on the same routes, this one among them, oldest first."""
        table = schema.trials
        with self._database.read() as connection:
            subject = sa.select(table.c.subject).where(table.c.id == trial_id).scalar_subquery()
            query = sa.select(table).where(table.c.subject == subject).order_by(table.c.attempt)
            return [rows.trial(row) for row in connection.execute(query).mappings()]

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
            return rows.epoch(connection, rows.find(connection, trial_id).id)

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
            trial = rows.find(connection, trial_id)
            now = rows.epoch(connection, trial.id)
            if now.serving == serving:
                raise StateError(f"{trial.id}: {serving} serves already (epoch {now.number}); nothing was changed")
            action = rows.action(connection, trial.id, serving, verdict_id)
            last = rows.last_verdict(connection, trial.id)
            if verdict_id is not None and last is not None and last[0] != verdict_id:
                raise StateError(
                    f"{trial.id}: verdict {last[0]} ({last[1]}) is newer than verdict {verdict_id}; nothing was changed"
                )
            if action == "override" and not reason.strip():
                raise StateError(
                    f"{trial.id}: a promotion without a promote verdict needs a reason; nothing was changed"
                )
            number = now.number + 1
            rows.insert_epoch(connection, trial.id, number, serving, now_us, reason, actor, verdict_id)
            detail = {"epoch": number, "serving": serving, "reason": reason, "verdict": verdict_id}
            chain.append(connection, action=action, trial=trial.id, actor=actor, time_us=now_us, detail=detail)
            return Epoch(number=number, serving=serving)

    # pauses --------------------------------------------------------------------------------------------------------

    def paused(self, trial_id: str) -> Pause | None:
        """The pause that lasts; None: nothing is paused. Raises NotFound."""
        found = self.pauses(trial_id)
        return found[-1] if found and found[-1].until_us is None else None

    def pauses(self, trial_id: str) -> list[Pause]:
        """Every pause of a trial, oldest first. Raises NotFound."""
        with self._database.read() as connection:
            return rows.pauses(connection, rows.find(connection, trial_id).id)

    def set_paused(self, trial_id: str, *, paused: bool, reason: str, actor: str, now_us: int) -> bool:
        """Shadow nothing from now on, or shadow again; False: it was so already, and nothing was changed.

        Raises NotFound.
        """
        with self._database.write() as connection:
            trial = rows.find(connection, trial_id)
            known = rows.pauses(connection, trial.id)
            if paused == bool(known and known[-1].until_us is None):
                return False
            number = rows.insert_pause(connection, trial.id, paused=paused, now_us=now_us, reason=reason, actor=actor)
            detail = {"number": number, "reason": reason}
            action = "pause" if paused else "resume"
            chain.append(connection, action=action, trial=trial.id, actor=actor, time_us=now_us, detail=detail)
            return True

    # which model it is -----------------------------------------------------------------------------------------------

    def identities(self, trial_id: str) -> tuple[Reading, ...]:
        """What each model of a trial said it is: its first reading and every change, oldest first. Raises NotFound."""
        with self._database.read() as connection:
            return tuple(rows.identities(connection, rows.find(connection, trial_id).id))

    def record_identity(self, trial_id: str, reading: Reading, *, actor: str) -> Reading | None:
        """Keep a reading if it is the arm's first one or not what the arm said before; else nothing is changed.

        Returns what the arm said before, if it was something else. Raises NotFound. A reading counts from when it is
        kept: a verdict that was saved before knew nothing of it, and must recompute without it.
        """
        with self._database.write() as connection:
            trial = rows.find(connection, trial_id)
            known = rows.identities(connection, trial.id)
            before = next((each for each in reversed(known) if each.arm == reading.arm), None)
            if before is not None and before.digest == reading.digest:
                return None
            number = len(known) + 1
            reading = msgspec.structs.replace(
                reading, time_us=max(reading.time_us, rows.last_saved_us(connection, trial.id) + 1)
            )
            rows.insert_identity(connection, trial.id, number, reading)
            detail = {"number": number, "arm": reading.arm, "digest": reading.digest, "shown": reading.shown}
            chain.append(
                connection, action="identity", trial=trial.id, actor=actor, time_us=reading.time_us, detail=detail
            )
            return before

    # verdicts ------------------------------------------------------------------------------------------------------

    def save_verdict(self, trial_id: str, verdict: Verdict, *, now_us: int, actor: str) -> int:
        """Keep a verdict; returns its number.

        Raises NotFound, StateError when it is of another trial or plan, or the trial was rejected: that is final.
        """
        with self._database.write() as connection:
            trial = rows.find(connection, trial_id)
            if (verdict.trial, verdict.plan_digest) != (trial.id, trial.digest):
                raise StateError(
                    f"the verdict is of {verdict.trial} (plan {verdict.plan_digest[:12]}), not of {trial.id} "
                    f"(plan {trial.digest[:12]}); nothing was kept"
                )
            last = rows.last_verdict(connection, trial.id)
            if last is not None and last[1] == "reject":
                raise StateError(f"{trial.id} was rejected by verdict {last[0]}, which is final; nothing was kept")
            record = msgspec.json.encode(verdict).decode()
            result = connection.execute(
                schema.verdicts.insert().values(trial=trial.id, saved_us=now_us, verdict=verdict.verdict, record=record)
            )
            (number,) = result.inserted_primary_key or (0,)
            detail = {"id": int(number), "verdict": verdict.verdict, "record": digest_of(record.encode())}
            chain.append(connection, action="verdict", trial=trial.id, actor=actor, time_us=now_us, detail=detail)
            return int(number)

    def verdict_numbers(self, trial_id: str) -> list[int]:
        """The numbers of a trial's verdicts, oldest first."""
        table = schema.verdicts
        with self._database.read() as connection:
            query = sa.select(table.c.id).where(table.c.trial == trial_id).order_by(table.c.id)
            return [int(number) for number in connection.execute(query).scalars()]

    def verdicts(self, trial_id: str, numbers: Collection[int] | None = None) -> list[tuple[int, Verdict]]:
        """Every verdict of a trial with its number, or those of some numbers (few), oldest first."""
        table = schema.verdicts
        with self._database.read() as connection:
            query = sa.select(table.c.id, table.c.record).where(table.c.trial == trial_id).order_by(table.c.id)
            if numbers is not None:
                query = query.where(table.c.id.in_(numbers))
            return [(row.id, rows.verdict(row.id, row.record)) for row in connection.execute(query)]

    def last_verdict(self, trial_id: str) -> tuple[int, Verdict] | None:
        """The newest verdict of a trial with its number; None: there is none yet."""
        table = schema.verdicts
        with self._database.read() as connection:
            query = sa.select(table.c.id, table.c.record).where(table.c.trial == trial_id)
            row = connection.execute(query.order_by(table.c.id.desc()).limit(1)).first()
            return None if row is None else (row.id, rows.verdict(row.id, row.record))

    # audit ---------------------------------------------------------------------------------------------------------

    def audit(self) -> list[AuditRow]:
        """The whole chain, oldest first."""
        with self._database.read() as connection:
            return chain.rows(connection)

    def check_chain(self) -> None:
        """The audit chain is whole, and trials, epochs, pauses, identities, settings and verdicts are what it says.

        Raises IntegrityError naming the first row that is not.
        """
        with self._database.read() as connection:
            links = chain.rows(connection)
            chain.check(links)
            crosscheck.check(connection, links)
