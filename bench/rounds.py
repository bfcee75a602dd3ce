"""Which rounds of `bench/fork.py` count, and what follows from them.

A row counts only without loss and error. One in which somebody else took much of the proxies' core says little about
the proxy: such rounds are left out where enough others remain, and the output says how many.
"""

import statistics

Row = dict[str, float]
Rows = dict[str, list[Row]]

DISTURBED_PERCENT = 15.0
ENOUGH = 3
"""Rounds that must remain; with fewer all count, disturbed or not."""
REPEATS = 1.3
"""How many times the wanted rounds there are at most."""


def clean(row: Row) -> bool:
    return not row["errors"] and not row.get("lost")


def undisturbed(rounds: list[tuple[Row, ...]]) -> list[tuple[Row, ...]]:
    return [each for each in rounds if max(row["others_percent"] for row in each) <= DISTURBED_PERCENT]


def quiet(rounds: list[tuple[Row, ...]]) -> list[tuple[Row, ...]]:
    """The undisturbed rounds, or all if those are too few."""
    found = undisturbed(rounds)
    return found if len(found) >= ENOUGH else rounds


def more(rows: Rows, wanted: int) -> bool:
    """Whether another round is to be run: a disturbed one is repeated, but not without end."""
    rounds = list(zip(*rows.values(), strict=True))
    return len(undisturbed(rounds)) < wanted and len(rounds) < wanted * REPEATS


def quiet_rows(rows: list[Row]) -> list[Row]:
    """The same for one arm."""
    return [row for (row,) in quiet([(row,) for row in rows])]


def spread(values: list[float]) -> dict[str, float] | None:
    """Median and range."""
    if not values:
        return None
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def ratio(ours: list[Row], theirs: list[Row]) -> dict[str, object]:
    """Of our rows to a peer's, round by round. Without a round in which the peer lost nothing, of all of its rounds."""
    paired = [(one, other) for one, other in zip(ours, theirs, strict=True) if clean(one)]
    lossless = [(one, other) for one, other in paired if clean(other)]
    counted = quiet(lossless or paired)
    made: dict[str, object] = {
        name: spread([one[name] / other[name] for one, other in counted])
        for name in ("per_second_per_core", "per_second")
    }
    made["rounds"] = len(counted)
    made["disturbed"] = len(lossless or paired) - len(counted)
    made["peer_lossless"] = bool(lossless)
    made["peer_lost_percent"] = 100 * sum(row["lost"] for row in theirs) / sum(row["requests"] for row in theirs)
    return made


def ratios(found: dict[int, Rows], ours: str, peers: tuple[str, ...]) -> dict[str, object]:
    """By peer the smaller median of all connection counts, and how it came about."""
    by_connections = {
        str(connections): {name: ratio(rows[ours], rows[name]) for name in peers} for connections, rows in found.items()
    }
    headline: dict[str, object] = {}
    for name in peers:
        cores = [each[name]["per_second_per_core"] for each in by_connections.values()]
        headline[name] = min(core["median"] for core in cores) if all(cores) else None
    return headline | {"by_connections": by_connections}


def added(rows: Rows, name: str) -> dict[str, dict[str, float] | None]:
    """What each proxy adds to the direct row of the same round: median and range."""
    found: dict[str, dict[str, float] | None] = {}
    for arm, each in rows.items():
        paired = [(one, plain) for one, plain in zip(each, rows["direct"], strict=True) if clean(one) and clean(plain)]
        if arm != "direct":
            found[arm] = spread([one[name] - plain[name] for one, plain in quiet(paired)])
    return found
