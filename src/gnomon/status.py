"""What is known of a trial now, for `gnomon status`, `watch`, the admin port and the metrics.

Reads counter files, the runner's facts, the ledger table and the state database; asks no process, and a file that is
damaged or not there yet costs only what it would have said.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from gnomon import clock, schedule
from gnomon.errors import GnomonError
from gnomon.records import counters, slices
from gnomon.records.counters import Counters
from gnomon.records.facts import ProbeKind, ProbeResult, RunnerFacts
from gnomon.records.ledger import GATEWAY_STATES, RUNNER_INSTANCE, RUNNER_STATES, LedgerRow
from gnomon.records.plan import Plan
from gnomon.records.tax import Tax
from gnomon.records.trial import Trial
from gnomon.settings import Settings
from gnomon.state import State

KINDS: Final[tuple[ProbeKind, ...]] = ("equal", "different", "large", "streaming", "slow")


def status(settings: Settings, state: State, trial: Trial, plan: Plan, *, runner: bool) -> dict[str, Any]:
    """Everything, as JSON values. `runner`: whether the trial's runner listens."""
    log_url = settings.log_url(trial.id)
    epoch = state.epoch(trial.id)
    # The table first: what is counted there has been seen by the time the gateways' counters are read.
    logged, watermark, damage = _logged(log_url)
    gateways = of_requests(settings, trial)
    now_us = clock.now_us()
    lag = None if watermark is None else max(0.0, (now_us - watermark) / 1e6)
    last = state.last_verdict(trial.id)
    serving = plan.production if epoch.serving == "production" else plan.candidate
    alive = sorted({each.instance[-8:] for each in gateways if each.alive})
    paused = state.paused(trial.id)
    facts = runner_facts(settings, trial, now_us=now_us) if runner else None
    found = probes(settings, trial)
    return {
        "trial": trial.id,
        "question": plan.question,
        "digest": trial.digest,
        "registered_us": trial.registered_us,
        "attempt": trial.attempt,
        "serving": epoch.serving,
        "serving_version": serving.version,
        "epoch": epoch.number,
        "paused": None
        if paused is None
        else {"since_us": paused.since_us, "by": paused.actor, "reason": paused.reason},
        "health": health(
            settings,
            gateway=bool(alive),
            runner=runner,
            lag_s=lag,
            paused=trial.id if paused else "",
            found=found,
            damage=damage,
            now_us=now_us,
        ),
        "ledger": {**ledger(logged, gateways), **({"open": None} if damage else {})},
        "equalities": equalities(None if damage else logged, of_requests(settings, trial, one_moment=True)),
        "sampling": sampling(plan, gateways),
        "arms": arms(epoch.number, epoch.serving, gateways, facts),
        "inbox": None
        if facts is None
        else {
            "exchanges": facts.inbox,
            "age_s": None if facts.oldest_us is None else max(0.0, (now_us - facts.oldest_us) / 1e6),
            "in_flight": facts.in_flight,
        },
        "twins": None
        if facts is None or facts.twins is None
        else {**msgspec.to_builtins(facts.twins), "made": facts.twins.made},
        "identities": msgspec.to_builtins(state.identities(trial.id)),
        "problems": [*([damage] if damage else []), *(() if facts is None else facts.problems)],
        "tax": msgspec.to_builtins(tax(settings.trial_dir(trial.id) / "counters")),
        "probes": msgspec.to_builtins(found),
        "comparison_lag_s": None
        if facts is None
        else (0.0 if facts.oldest_us is None else max(0.0, (now_us - facts.oldest_us) / 1e6)),
        "progress": schedule.progress(
            plan,
            None if last is None else last[1],
            started_us=trial.registered_us,
            now_us=now_us,
            ended_us=schedule.ended(state.epochs(trial.id), trial.first_epoch),
        ),
        "watermark_us": watermark,
        "watermark_lag_s": lag,
        "verdict": None if last is None else {"verdict": last[1].verdict, "sentence": last[1].sentence},
        "processes": [
            *({"name": f"gateway {each}", "ready": True} for each in alive),
            *([{"name": "runner", "ready": True}] if runner else []),
        ],
    }


def _logged(log_url: str) -> tuple[list[LedgerRow], int | None, str]:
    """(the ledger's last rows without those of probes, the watermark, why they cannot be read)."""
    from gnomon.log import read

    try:
        return [row for row in read.ledger(log_url) if row.epoch > 0], read.watermark(log_url), ""
    except GnomonError as error:  # the rest is still known, above all who serves
        return [], None, str(error)


def of_requests(settings: Settings, trial: Trial, *, one_moment: bool = False) -> list[Counters]:
    """What the trial's gateways counted, probes left out."""
    folder = settings.trial_dir(trial.id) / "counters"
    return [each for each in counters.read_all(folder, one_moment=one_moment) if each.epoch > 0]


def ledger(logged: Iterable[LedgerRow], gateways: Iterable[Counters]) -> dict[str, Any]:
    """The sums by state: the gateways' own from their counter files, the runner's from the ledger table.

    `open` is what is in flight, buffered or in the inbox: seen minus every final state.
    """
    states = dict.fromkeys(GATEWAY_STATES, 0)
    seen = handed_over = invalid_head = 0
    for gateway in gateways:
        seen += gateway.seen
        handed_over += gateway.handed_over
        invalid_head += gateway.invalid_head
        for state, count in gateway.states.items():
            states[state] = states.get(state, 0) + count
    for row in logged:
        if row.state in RUNNER_STATES:
            states[row.state] = states.get(row.state, 0) + row.count
    shown = {state: count for state, count in states.items() if count}
    return {
        "seen": seen,
        "handed_over": handed_over,
        "invalid_head": invalid_head,
        "open": seen - sum(shown.values()),
        "states": shown,
    }


def equalities(logged: Iterable[LedgerRow] | None, gateways: Iterable[Counters]) -> dict[str, dict[str, Any]]:
    """The two that must hold at every flush: of the gateways, each at one moment, and of the runner at its last one.

    `holds` is None where it is not known: `logged` None is a ledger that cannot be read.
    """
    of_gateways = {"seen": 0, "final": 0, "handed_over": 0, "open": 0}
    holds = True
    for each in gateways:
        for name in of_gateways:
            of_gateways[name] += getattr(each, name)
        holds &= each.seen == each.final + each.handed_over + each.open
    of_runner = {"received": 0, "final": 0, "open": 0}
    known = False
    for row in logged or ():
        if not row.instance.startswith(RUNNER_INSTANCE):
            continue
        if row.state in {"received", "open"}:
            known |= row.state == "open"
            of_runner[row.state] += row.count
        elif row.state in RUNNER_STATES:
            of_runner["final"] += row.count
    equal = not known or of_runner["received"] == of_runner["final"] + of_runner["open"]
    return {
        "gateways": {**of_gateways, "holds": holds},
        "runner": {**of_runner, "holds": None if logged is None else equal},
    }


def sampling(plan: Plan, gateways: Iterable[Counters]) -> dict[str, dict[str, float | int]]:
    """By stratum: the declared rate, coins tossed, and how many of them said yes."""
    found: dict[str, dict[str, float | int]] = {
        name: {"rate": rate / 2**32, "drawn": 0, "sampled": 0} for name, rate in plan.fork.rates.items()
    }
    for each in gateways:
        for word, counts in (("drawn", each.drawn), ("sampled", each.sampled)):
            for stratum, count in counts.items():
                if stratum in found:
                    found[stratum][word] += count
    return found


def arms(
    epoch: int, serving: str, gateways: Iterable[Counters], facts: RunnerFacts | None
) -> dict[str, dict[str, Any] | None]:
    """How each arm does its part in the epoch in force: calls, failures, the last one. None: not known."""
    mine = [each for each in gateways if each.epoch == epoch]
    failed_us = max((each.failed_us for each in mine), default=0)
    user = {
        "calls": sum(each.answered for each in mine),
        "failed": sum(each.failed for each in mine),
        "failed_by": {},  # a gateway counts them together
        "last_failure_us": failed_us or None,
        "last_failure": "",
    }
    shadow = None
    if facts is not None:
        shadow = {
            "calls": facts.calls,
            "failed": sum(facts.failed.values()),
            "failed_by": dict(facts.failed),
            "last_failure_us": facts.last_failure_us,
            "last_failure": facts.last_failure,
        }
    other = "candidate" if serving == "production" else "production"
    return {serving: user, other: shadow}


def runner_facts(settings: Settings, trial: Trial, *, now_us: int) -> RunnerFacts | None:
    """What the runner said last, unless that was long ago."""
    try:
        facts = msgspec.json.decode(settings.facts_file(trial.id).read_bytes(), type=RunnerFacts)
    except (OSError, msgspec.MsgspecError):
        return None
    return facts if now_us - facts.time_us <= (3 * settings.flush + 5) * 1e6 else None


def tax(folder: Path) -> Tax:
    """What shadowing costs production, from the gateways' slices of time with and without it."""
    import numpy as np

    from gnomon.stats import switchback

    by_stratum: dict[str, Any] = {}
    for each in slices.read_all(folder):
        counts = np.array(each.counts, dtype=np.int64).reshape(slices.GROUPS, 2, slices.BUCKETS)
        by_stratum[each.stratum] = by_stratum.get(each.stratum, 0) + counts
    if not by_stratum:
        return Tax(
            p50_us=None, p50_lower_us=None, p50_upper_us=None, p99_us=None, p99_lower_us=None, p99_upper_us=None,
            on=0, off=0,
        )  # fmt: skip
    counts = np.stack([by_stratum[name] for name in sorted(by_stratum)])
    edges = np.array([slices.lower_edge(bucket) for bucket in range(slices.BUCKETS + 1)], dtype=float)
    p50, p99 = (each or (None, None, None) for each in switchback.differences(counts, edges, (0.5, 0.99)))
    on, off = counts.sum(axis=(0, 1, 3)).tolist()
    return Tax(
        p50_us=p50[0],
        p50_lower_us=p50[1],
        p50_upper_us=p50[2],
        p99_us=p99[0],
        p99_lower_us=p99[1],
        p99_upper_us=p99[2],
        on=on,
        off=off,
    )


# health --------------------------------------------------------------------------------------------------------------


def probes(settings: Settings, trial: Trial) -> tuple[ProbeResult, ...]:
    """The newest probe of each kind through each gateway; none when the file is damaged or not there."""
    try:
        return msgspec.json.decode(settings.probes_file(trial.id).read_bytes(), type=tuple[ProbeResult, ...])
    except (OSError, msgspec.MsgspecError):
        return ()


def health(
    settings: Settings,
    *,
    gateway: bool,
    runner: bool,
    lag_s: float | None,
    paused: str,
    found: tuple[ProbeResult, ...],
    damage: str = "",
    now_us: int,
) -> str:
    """A shadow path that carries nothing is UNKNOWN, not green. `paused` is the trial, when it is."""
    off = settings.probe_every is None
    doubt = "" if settings.probe_every is None else doubted(found, every_s=settings.probe_every, now_us=now_us)
    still = lag_s is not None and lag_s > 3 * max(settings.flush, 60)
    words = (
        (not gateway, "UNKNOWN: no gateway is running"),
        (damage, f"UNKNOWN: {damage}"),
        (not runner, "UNKNOWN: no runner; copies wait in the gateways or are shed"),
        (paused, f"PAUSED: nothing is shadowed until gnomon resume {paused}"),
        (doubt, f"UNKNOWN: {doubt}"),
        (lag_s is None, "UNKNOWN: nothing is in the log yet"),
        (still, f"UNKNOWN: the log stands still for {lag_s or 0:,.0f} s; see logs/runner.log in the data folder"),
        (off, "shadowing (probes are off)"),
    )
    return next((sentence for so, sentence in words if so), "shadowing")


def doubted(found: tuple[ProbeResult, ...], *, every_s: float, now_us: int) -> str:
    """Why the probes do not show that the path is whole; empty: they do."""
    for each in found:
        if each.lost_at is not None:
            return f"probe {each.kind} through {each.gateway} was lost at {each.lost_at}: {each.detail}"
    through = {each.gateway for each in found}
    whole = {(each.gateway, each.kind) for each in found if not each.pending}
    if not found or any((gateway, kind) not in whole for gateway in through for kind in KINDS):
        return "probes are under way"
    oldest_us = min(each.time_us for each in found)
    if now_us - oldest_us > 3e6 * every_s + 60e6:
        return f"no probe came through for {(now_us - oldest_us) / 1e6:,.0f} s"
    return ""
