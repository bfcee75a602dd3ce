"""What the upkeep of a trial's log is told. Written as JSON into the run directory, read once at its start."""

from gnomon.records import Record


class UpkeepConfig(Record, frozen=True, kw_only=True):
    """All that the upkeep process needs."""

    trial: str
    log_url: str
    state_url: str
    """Whose verdicts name the versions that stay."""
    lock_file: str
    """Held while it works: a second one ends at once."""
    keep_bodies_us: int | None = None
    """`plan.record.keep_bodies_us`; None: bodies stay."""
    safe_age_us: int = 600_000_000
    """A version that was the newest one within this time stays, for readers that have just pinned it; no look may take
    longer."""
    orphan_age_us: int = 86_400_000_000
    """A data file that no commit took is removed after this time; no writer may be stopped for longer."""
