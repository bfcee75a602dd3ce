"""The shadow tax: what shadowing costs production, measured."""

from gnomon.records import Record


class Tax(Record, frozen=True, kw_only=True):
    """Production's latency with the shadow on minus with it off, by quantile. None: not enough yet."""

    p50_us: float | None
    p50_lower_us: float | None
    p50_upper_us: float | None
    """The 95 % interval."""
    p99_us: float | None
    p99_lower_us: float | None
    p99_upper_us: float | None
    on: int
    """Requests measured with the shadow on."""
    off: int
