"""What is said of an exchange that is in the log."""

from collections.abc import Iterator
from typing import Any, Final

from gnomon.explain.coin import ONE, Toss, share, toss
from gnomon.explain.facts import About, Explanation, when
from gnomon.explain.known import Known, request_of
from gnomon.log.tables import output_columns, segment_column
from gnomon.records.plan import Plan
from gnomon.records.process import PROBE_EPOCH
from gnomon.records.trial import Trial

PROBE: Final = "It is a probe of Gnomon itself, to see whether copies reach the log; it counts nowhere."
ENDED: Final = {
    "paired": "Both arms answered it, and it is a pair.",
    "expired": "It waited too long for the candidate, which was not called: it is a lost pair.",
    "guarded:context": "The candidate was not called: the request leans on what production alone holds.",
    "guarded:side_effects": "The candidate was not called: what the request does would have been done twice.",
    "guarded:rewrite": "The candidate was not called: what it needs changed could not be changed in this request.",
    "unaccounted": "The log can never take it: it is unaccounted for, a lost pair.",
}


def logged(about: About, id_: bytes, found: Known) -> Explanation:
    """Explain it.

    Raises IntegrityError when its row is damaged.
    """
    row, exchange = found.comparison, found.exchange
    facts = row or exchange or {}
    stratum, probability = facts["stratum"], facts["probability"]
    probe = facts["epoch"] == PROBE_EPOCH
    tossed = Toss(coin=None, result="unknown")
    if not probe:
        request = None if exchange is None else request_of(exchange)
        tossed = toss(about.sampler, id_, request, stratum=stratum, probability=probability, redacted=about.redacted)
        tossed = _same_rows(tossed, row, exchange)
    what = f"{exchange['method']} {exchange['target']}" if exchange is not None else "a request"
    sentences = [f"{id_.hex()} is {what}, which came at {when(facts['time_us'])}."]
    if probe:
        sentences.append(PROBE)
    else:
        sentences += [sampled(stratum, probability), tossing(tossed)]
    sentences += _became(about.trial, about.plan, row, exchange)
    return Explanation(
        id=id_.hex(),
        trial=about.trial.id,
        time_us=facts["time_us"],
        place="log",
        state=None if row is None else row["state"],
        sampled=True,
        stratum=stratum,
        probability=probability,
        coin=tossed.coin,
        agrees=None if tossed.result == "unknown" else tossed.result == "agrees",
        sentences=tuple(sentences),
    )


def _same_rows(tossed: Toss, row: dict[str, Any] | None, exchange: dict[str, Any] | None) -> Toss:
    """The log's two tables say the same of it. Its row of `exchanges` is there before that of `comparisons`."""
    if row is None:
        return tossed
    if exchange is None:
        return Toss(coin=tossed.coin, result="differs", why="it is in comparisons, and not in exchanges")
    for name in ("time_us", "epoch", "stratum", "probability"):
        if row[name] != exchange[name]:
            said = f"its {name} is {row[name]} in comparisons and {exchange[name]} in exchanges"
            return Toss(coin=tossed.coin, result="differs", why=said)
    return tossed


def sampled(stratum: str, probability: int) -> str:
    """That it was copied, and how probable that was."""
    if probability >= ONE:
        return f"It was shadowed, as all of stratum {stratum} is."
    return f"It was shadowed: stratum {stratum} is, with a probability of {share(probability)}."


def tossing(found: Toss, where: str = "log") -> str:
    """What tossing its coin again said."""
    if found.result == "differs":
        return f"THE {where.upper()} DISAGREES WITH THE PLAN: {found.why}. One of the two was changed."
    if found.result == "unknown":
        return f"Its coin cannot be tossed again: {found.why}."
    said = "" if found.coin is None else f" is {found.coin / ONE:.6f} and"
    return f"Its coin, tossed again,{said} agrees with the {where}."


def _became(trial: Trial, plan: Plan, row: dict[str, Any] | None, exchange: dict[str, Any] | None) -> Iterator[str]:
    if row is None:
        yield "How its answers compare is not in the log yet."
    else:
        yield ENDED.get(row["state"], f"It ended as {row['state']}.")
    if exchange is not None:
        yield _answered(exchange, "production", "served the user")
        if exchange["candidate_outcome"] is not None:
            yield _answered(exchange, "candidate", "was called in the shadow")
        if exchange["rewritten"] != "{}":
            yield f"For the candidate it was changed: {exchange['rewritten']}."
    if row is None:
        return
    if row["state"] == "paired":
        yield from _outputs(plan, row)
    segments = [f"{each.name}={row[segment_column(each.name)]}" for each in plan.segments]
    if segments:
        yield f"Its segments: {', '.join(segments)}."
    if row["late"]:
        yield "The candidate's call could not start with production's: gates on latency leave it out."
    if row["epoch"] not in {trial.first_epoch, PROBE_EPOCH}:
        yield f"It is of epoch {row['epoch']}: no evidence, which is of epoch {trial.first_epoch} alone."


def _answered(exchange: dict[str, Any], arm: str, did: str) -> str:
    """One arm in words. The columns of production are those of the arm that served."""
    status, latency = exchange[f"{arm}_status"], exchange[f"{arm}_latency_us"]
    with_status = f" (status {status})" if status else ""
    took = "" if latency is None else f" in {latency / 1000:,.1f} ms"
    return f"Version {exchange[f'{arm}_version']} {did}: {exchange[f'{arm}_outcome']}{with_status}{took}."


def _outputs(plan: Plan, row: dict[str, Any]) -> Iterator[str]:
    for output in plan.outputs:
        ours, theirs, agree = (row[column] for column in output_columns(output.name))
        if agree is None:
            yield f"Output {output.name} is not compared: an arm failed."
        else:
            word = "they agree" if agree else "they differ"
            yield f"Output {output.name}: {_short(ours)} and {_short(theirs)}; {word}."


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
