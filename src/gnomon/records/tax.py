"""The shadow tax: what shadowing costs production's latency."""

from gnomon.records import Record


class Tax(Record, frozen=True, kw_only=True):
    """Quantiles of production's latency with the shadow on, minus those with it off: microseconds, 95 % intervals.

    Measured in random slices of time without the shadow. None: not enough yet; then all three of a quantile are.
    """

    p50_us: float | None
    p50_lower_us: float | None
    p50_upper_us: float | None
    p99_us: float | None
    p99_lower_us: float | None
    p99_upper_us: float | None
    on: int
    """Requests measured with the shadow on."""
    off: int
    """And with it off."""
