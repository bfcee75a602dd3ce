"""Retention: bodies leave the log when they are old. Everything else of an exchange stays, and so does the evidence.

Files that hold an old body are written again without it; vacuum removes the old ones. The boundary moves in steps, so
that the file it lies in is written again a few times and not with every run: a body is gone at most a day, or a 24th
of its time, later than the plan says.
"""

from typing import Final

import pyarrow as pa
from deltalake import CommitProperties, Transaction

from gnomon.log import storage
from gnomon.log.read import opened

BODIES: Final = ("request_body", "production_body", "candidate_body")
_APPLICATION: Final = "upkeep bodies"
"""Its transaction number is the boundary up to which bodies were removed."""
_DAY_US: Final = 86_400_000_000


def boundary(now_us: int, keep_us: int) -> int:
    """The request time before which bodies are removed."""
    step = max(1, min(_DAY_US, keep_us // 24))
    return (now_us - keep_us) // step * step


def remove_bodies(log_url: str, *, before_us: int) -> int:
    """Remove the bodies of exchanges with an earlier request time; how many exchanges had one.

    Each boundary is looked at once; what comes late is removed with the next one. Raises OSError or deltalake's
    DeltaError when the store cannot be written, CommitFailedError when somebody changed the same files meanwhile: then
    nothing was changed.
    """
    there = opened(log_url, "exchanges")
    if there is None:
        return 0
    done = there.transaction_version(_APPLICATION)
    if done is not None and done >= before_us:
        return 0
    has_body = " OR ".join(f"{body} IS NOT NULL" for body in BODIES)
    metrics = there.update(
        updates=dict.fromkeys(BODIES, "NULL"),
        predicate=f"time_us < {before_us} AND ({has_body})",
        writer_properties=storage.properties(pa.schema(there.schema()), level=storage.COMPACTED),
        commit_properties=CommitProperties(app_transactions=[Transaction(_APPLICATION, before_us)]),
    )
    return int(metrics["num_updated_rows"])
