"""What each process is told: the settings and the plan, in the process's own words."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gnomon.records.plan import Arm, Plan, Selector
from gnomon.records.process import Epoch, GatewayConfig, RunnerConfig, Upstream
from gnomon.records.trial import Trial
from gnomon.records.upkeep import UpkeepConfig
from gnomon.settings import Settings

CAPTURED_HEADERS: Final = (
    "content-type", "content-encoding", "accept", "accept-language", "x-request-id", "traceparent",
)  # fmt: skip
"""What a copy carries besides the headers that the plan names. Authorization and cookies never."""

SLICE_US: Final = 1_000_000
"""Length of a time slice without the shadow."""
_KEY: Final = "redaction.key"


def gateway_config_of(
    settings: Settings, trial: Trial, plan: Plan, epoch: Epoch, *, socket_name: str, probe_url: str = ""
) -> GatewayConfig:
    """All that a gateway needs to know."""
    folder = settings.trial_dir(trial.id)
    (folder / "counters").mkdir(mode=0o700, parents=True, exist_ok=True)
    named = {selector.name for selector in _of_requests(plan) if selector.where == "header"}
    control_socket = settings.run_dir / socket_name
    production, candidate = (_upstream(arm, settings.ca_file) for arm in (plan.production, plan.candidate))
    return GatewayConfig(
        trial=trial.id,
        production=production,
        candidate=candidate,
        routes=tuple((route.method, route.path) for route in plan.routes),
        mode=plan.fork.mode,
        shadow_rate=plan.fork.shadow_rate,
        sampling_key=trial.digest,
        per_second=plan.fork.per_second,
        capture_headers=tuple(sorted({*CAPTURED_HEADERS, *plan.fork.headers, *named})),
        epoch=epoch,
        runner_socket=str(settings.run_dir / "runner.sock"),
        control_socket=str(control_socket),
        counters_dir=str(folder / "counters"),
        epoch_file=str(folder / "epoch.json"),
        body_cap=settings.body_cap,
        capture_budget=settings.capture_budget,
        idle_us=round(settings.upstream_idle * 1e6),
        repeatable=tuple((route.method, route.path) for route in plan.routes if route.repeatable),
        pause_file=str(folder / "paused"),
        new_traces=settings.new_traces,
        head_us=_us(settings.head_time),
        body_pause_us=_us(settings.body_pause),
        body_limit=settings.body_limit,
        first_byte_us=_us(settings.first_byte),
        strata=plan.fork.strata,
        sticky=plan.fork.sticky,
        slice_us=SLICE_US if settings.off_slices else 0,
        slices=slices(settings),
        probe_url=probe_url,
        probe_socket=str(control_socket.with_suffix(".probe")) if probe_url else "",
    )


def slices(settings: Settings) -> int:
    """How many slices a block has: in one of them the shadow is off."""
    return round(1 / settings.off_slices) if settings.off_slices else 50


def runner_config_of(settings: Settings, trial: Trial, *, probe_url: str = "") -> RunnerConfig:
    """All that the runner needs to know."""
    folder = settings.trial_dir(trial.id)
    return RunnerConfig(
        trial=trial.id,
        data=str(settings.root),
        plan_document=trial.document,
        first_epoch=trial.first_epoch,
        started_us=trial.registered_us,
        runner_socket=str(settings.run_dir / "runner.sock"),
        counters_dir=str(folder / "counters"),
        inbox_url=settings.inbox_url(trial.id),
        log_url=settings.log_url(trial.id),
        flush_us=round(settings.flush * 1e6),
        probe_url=probe_url,
        redaction_key=redaction_key(folder),
        sampling_key=trial.digest,
        facts_file=str(settings.facts_file(trial.id)),
        ca_file=_path(settings.ca_file),
    )


def upkeep_config_of(settings: Settings, trial: Trial, plan: Plan) -> UpkeepConfig:
    """All that the upkeep of the log needs to know."""
    return UpkeepConfig(
        trial=trial.id,
        log_url=settings.log_url(trial.id),
        state_url=settings.state_url,
        lock_file=str(settings.trial_dir(trial.id) / "upkeep.lock"),
        keep_bodies_us=plan.record.keep_bodies_us,
    )


def redaction_key(folder: Path) -> str:
    """The secret with which `record.digest` is keyed, as hex: made once for each trial, and readable by its owner.

    Raises OSError when it can be neither read nor made.
    """
    path = folder / _KEY
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        found = path.read_text()
        if found:
            return found
        descriptor = os.open(path, os.O_WRONLY)  # a full disk left it empty
    key = secrets.token_hex(32)
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
    return key


def _of_requests(plan: Plan) -> Iterator[Selector]:
    """Every place of a request that the plan reads."""
    yield from (segment.of for segment in plan.segments)
    yield from (*plan.guards.context, *plan.guards.side_effects)
    strata = plan.fork.strata
    one = (plan.unit.cluster, plan.truth.key if plan.truth else None, strata.by if strata else None, plan.fork.sticky)
    yield from (selector for selector in one if selector is not None)


def _upstream(arm: Arm, ca_file: Path | None) -> Upstream:
    return Upstream(
        url=arm.url,
        version=arm.version,
        timeout_us=arm.timeout_us,
        authorization_env=arm.authorization_env,
        ca_file=_path(ca_file),
        paths=arm.rewrite.paths,
        headers=arm.rewrite.headers,
    )


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
