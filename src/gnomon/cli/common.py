"""What several commands share: the options, the opened trial, and how a result is printed."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # the state database costs 200 ms to import; `gnomon --help` does not need it
    from gnomon.records.trial import Trial
    from gnomon.settings import Settings
    from gnomon.state import State

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PlanFile = Annotated[Path, typer.Argument(help="The plan.", metavar="PLAN")]


@contextmanager
def opened(trial: str = "") -> "Iterator[tuple[Settings, State, Trial]]":
    """Settings, the state database and one trial."""
    from gnomon import settings as settings_module
    from gnomon.errors import NotFound
    from gnomon.state import open_state

    settings = settings_module.load()
    if settings.state is None and not (settings.root / "state.db").exists():
        raise NotFound(f"no trial in {settings.root}; start one with: gnomon serve plan.yaml (or set GNOMON_DATA)")
    with open_state(settings.state_url) as state:
        try:
            chosen = state.trial(trial) if trial else _newest(settings, state)
        except NotFound as error:
            from gnomon.supervisor import learn

            if not learn.under_way(settings):
                raise
            missing = f"trial {trial!r} is not sealed" if trial else f"no trial is sealed in {settings.root}"
            raise NotFound(
                f"{missing} yet: gnomon serve is learning the top values of segments before it seals the plan; "
                f"http://{settings.admin}/status says how far it is"
            ) from error
        yield settings, state, chosen


def _newest(settings: "Settings", state: "State") -> "Trial":
    from gnomon.errors import NotFound

    trials = state.trials()
    if not trials:
        raise NotFound(f"no trial in {settings.root}; start one with: gnomon serve plan.yaml")
    return max(trials, key=lambda each: each.registered_us)


def say(text: str) -> None:
    """A line for the person at the terminal, if there is still one: a supervisor outlives it."""
    with suppress(OSError):
        typer.echo(text, err=True)


def put(value: Any) -> None:  # noqa: ANN401  whatever JSON holds
    """Print JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def builtin(value: Any) -> Any:  # noqa: ANN401  any record
    """A record as JSON values."""
    import msgspec

    return msgspec.to_builtins(value)
