"""What the supervisor tells its processes. Written as JSON into the run directory, read once at their start."""

from typing import Literal

from gnomon.records import Record
from gnomon.records.plan import Selector, Strata

PROBE_EPOCH = -1
"""The epoch of probes: known-answer exchanges that take the real path to the built-in echo arm and count nowhere."""


class Epoch(Record, frozen=True, kw_only=True):
    """Who serves, since when. A higher number wins."""

    number: int
    serving: Literal["production", "candidate"]


class Upstream(Record, frozen=True, kw_only=True):
    """An arm as the gateway reaches it."""

    url: str
    version: str
    timeout_us: int | None
    authorization_env: str | None
    ca_file: str | None = None
    """Certificates that are trusted beside the system's, as PEM."""
    paths: tuple[tuple[str, str], ...] = ()
    """A request's path, and the path that this arm gets."""
    headers: tuple[tuple[str, str], ...] = ()
    """Lower-case name and value: set in place of the client's."""


class GatewayConfig(Record, frozen=True, kw_only=True):
    """All that a gateway process knows about the trial. It never opens the state database."""

    trial: str
    production: Upstream
    candidate: Upstream
    routes: tuple[tuple[str, str], ...]
    """Method and path of what is shadowed."""
    mode: Literal["sync", "async"]
    shadow_rate: int
    """Over 2**32."""
    sampling_key: str
    """Hex key of the keyed hash; from the plan's digest, so that a decision can be reproduced."""
    per_second: int | None
    capture_headers: tuple[str, ...]
    """Lower-case names of the headers that a copy may carry."""
    epoch: Epoch
    runner_socket: str
    control_socket: str
    counters_dir: str
    epoch_file: str
    body_cap: int = 1 << 20
    """Bytes of one body that are captured; a larger one passes and is `guarded:too_large`."""
    capture_budget: int = 16 << 20
    """Bytes of captured and unacknowledged data; over it: `shed:memory`."""
    idle_us: int = 4_000_000
    """Idle limit of a pooled upstream connection."""
    repeatable: tuple[tuple[str, str], ...] = ()
    """Routes whose request may be sent once more when a reused connection closed before any byte of its answer."""
    pause_file: str = ""
    """While this file exists nothing is shadowed; the gateway makes and removes it as it is told."""
    new_traces: Literal["sampled", "unsampled", "none"] = "sampled"
    """What a request without `traceparent` gets; one that has it keeps it."""
    head_us: int | None = 60_000_000
    """From a request's first byte to the end of its head; over it: 408."""
    body_pause_us: int | None = None
    """Between two pieces of a request's body; over it: 408."""
    body_limit: int | None = None
    """Bytes of a request's body that pass; over it: 413."""
    first_byte_us: int | None = None
    """From the request's last byte to the first of production's answer; over it: 504."""
    strata: Strata | None = None
    """In place of `shadow_rate`."""
    sticky: Selector | None = None
    slice_us: int = 0
    """Length of a time slice; in one of each `slices` nothing is shadowed, to measure what that costs. 0: never."""
    slices: int = 50
    probe_url: str = ""
    """The built-in echo arm; empty: no probes."""
    probe_socket: str = ""
    """Unix socket on which the supervisor sends probes."""


class RunnerConfig(Record, frozen=True, kw_only=True):
    """All that the runner process needs beside the plan."""

    trial: str
    data: str
    plan_document: str
    """The plan as JSON text, as sealed."""
    first_epoch: int
    started_us: int
    runner_socket: str
    counters_dir: str
    inbox_url: str
    log_url: str
    flush_us: int = 5_000_000
    """Time between two appends to the log."""
    probe_url: str = ""
    """The built-in echo arm: what is called for exchanges of PROBE_EPOCH."""
    redaction_key: str = ""
    """Hex key of `record.digest`: a secret of the data folder."""
    sampling_key: str = ""
    """Hex key of the twin's coin: that of the gateways' sampling. Empty: no twin can be drawn."""
    facts_file: str = ""
    """Where the runner says after each flush how it is (records.facts.RunnerFacts, JSON); empty: nowhere."""
    ca_file: str | None = None
    """Certificates that are trusted beside the system's, as PEM."""
