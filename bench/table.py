"""The tables and the closing lines of `bench/fork.py`."""

import statistics

from rounds import DISTURBED_PERCENT, Rows, added, quiet_rows

COLUMNS = (
    ("per_second", "requests/s", ",.0f"),
    ("per_second_per_core", "per core", ",.0f"),
    ("cpu_us_per_request", "CPU us", ".1f"),
    ("p50_ms", "p50 ms", ".2f"),
    ("p99_ms", "p99 ms", ".2f"),
    ("rss_mib", "RSS MiB", ".0f"),
    ("others_percent", "others %", ".0f"),
)
AT_A_RATE = (
    ("p50_us", "p50 us", ",.0f"),
    ("p99_us", "p99 us", ",.0f"),
    ("cpu_us_per_request", "CPU us", ".1f"),
    ("others_percent", "others %", ".0f"),
)


def median(rows: list[dict[str, float]], name: str) -> float | None:
    values = [row[name] for row in rows if name in row]
    return statistics.median(values) if values else None


def cells(rows: list[dict[str, float]], columns: tuple[tuple[str, str, str], ...]) -> str:
    """Medians of the quiet rounds, and the sums over all of what must be none."""
    text = ""
    for name, _, form in columns:
        value = median(quiet_rows(rows), name)
        text += f"{'-' if value is None else format(value, form):>12}"
    lost = sum(row["lost"] for row in rows) if "lost" in rows[0] else None
    text += f"{'-' if lost is None else format(lost, ',.0f'):>9}{sum(row['errors'] for row in rows):>8,.0f}"
    return text + f"{len(quiet_rows(rows)):>8}"


def saturation_table(rows: Rows, connections: int) -> str:
    """What each arm can do. `others`: share of the proxies' core that somebody else took."""
    lines = [f"\n{connections} connections; medians of rounds in which others took at most {DISTURBED_PERCENT:.0f} %"]
    lines.append(f"{'':10}{header(COLUMNS)}")
    lines += [f"{arm:10}" + cells(each, COLUMNS) for arm, each in rows.items()]
    return "\n".join(lines)


def header(columns: tuple[tuple[str, str, str], ...]) -> str:
    return "".join(f"{title:>12}" for _, title, _ in columns) + f"{'lost':>9}{'errors':>8}{'rounds':>8}"


def ranged(found: dict[str, float] | None) -> str:
    """Median and range."""
    if found is None:
        return "no round counts"
    return f"{found['median']:,.0f} ({found['least']:,.0f} to {found['most']:,.0f})"


def latency_table(rows: Rows, rate: float) -> str:
    """What each arm adds at one rate."""
    lines = [f"\nopen loop, {rate:,.0f} requests/s for all (half of nginx's mirrored maximum); added: median (range)"]
    lines.append(f"{'':10}{header(AT_A_RATE)}{'p50 us added':>30}{'p99 us added':>34}")
    middle, tail = added(rows, "p50_us"), added(rows, "p99_us")
    for arm, each in rows.items():
        more = f"{ranged(middle[arm]):>30}{ranged(tail[arm]):>34}" if arm in middle else ""
        lines.append(f"{arm:10}{cells(each, AT_A_RATE)}{more}")
    return "\n".join(lines)


def ratio_lines(ours: str, ratio: dict) -> list[str]:
    """Each ratio with its spread, and with the peer's losses where it had some."""
    lines = [f"\n{ours} to each peer's row of the same round, requests/s per core: median (range); plain requests/s"]
    for connections, peers in ratio["by_connections"].items():
        for name, each in peers.items():
            core, plain = each["per_second_per_core"], each["per_second"]
            if core is None:
                lines.append(f"{connections:>4} {name:8} no round of the gateway's counts")
                continue
            line = (
                f"{connections:>4} {name:8} {core['median']:.2f} ({core['least']:.2f} to {core['most']:.2f}), "
                f"{each['rounds']} rounds; plain {plain['median']:.2f}"
            )
            if each["disturbed"]:
                line += f"; {each['disturbed']} disturbed rounds left out"
            if each["peer_lost_percent"]:
                line += f"; {name} lost {each['peer_lost_percent']:.2f} % of its copies, which favours it"
                line += " (those rounds left out)" if each["peer_lossless"] else " (in every round)"
            lines.append(line)
    return lines


def targets(result: dict) -> str:
    """The targets and whether they were reached."""
    kinds = {"fork on": result["ratio"], "compiled": result["ratio_compiled"]}
    delays = result["latency"]["added"]
    rows = [
        (f"{ours}, {name}: requests/s per core, ratio", ratio[name], ">=", least)
        for ours, ratio in kinds.items()
        for name, least in (("nginx", 1.5), ("envoy", 2.0))
    ]
    for ours in kinds:
        for name, each in delays.items():
            added, theirs = (each[arm] and each[arm]["median"] for arm in (ours, "nginx"))
            rows.append((f"{ours}, {name} added, nginx's mirror adds no less", added, "<=", theirs))
    idle = result["idle_mib"]
    rows.append((f"MiB at {idle['connections']:,} idle connections", idle["fork on"], "<", 60))
    rows.append(("ready, ms", result["start"]["ready_ms"], "<", 300))
    lines = [line for ours, ratio in kinds.items() for line in ratio_lines(ours, ratio)]
    runner = result["with_runner"]
    lines.append(
        f"\nwith runner and candidate: {runner['highest_rate']:,.0f} exchanges/s, none shed, all paired in the log"
        f" (tried {', '.join(format(row['rate'], ',.0f') for row in runner['rows'])})\n"
    )
    for what, value, sign, limit in rows:
        known = value is not None and limit is not None
        reached = known and (value >= limit if sign == ">=" else value <= limit)
        shown, aim = ("no round counts" if each is None else f"{each:,.2f}" for each in (value, limit))
        lines.append(f"{'reached' if reached else 'MISSED':8} {what:55} {shown:>15}  (target {sign} {aim})")
    return "\n".join(lines)
