"""Was it the same model all the time? What the arms said they are, as anomalies and notes."""

from collections.abc import Sequence
from datetime import UTC, datetime

from gnomon.records.facts import Reading
from gnomon.records.plan import Arm, ArmName, Plan


def exchanged(plan: Plan, readings: Sequence[Reading], *, as_of_us: int) -> tuple[list[str], list[str]]:
    """(anomalies, notes) of the readings up to a moment, in their order.

    A change in either arm mixes two models in one trial: an anomaly. That a declared identity was never read is a note.
    """
    anomalies, notes = [], []
    arms: tuple[tuple[ArmName, Arm], ...] = (("production", plan.production), ("candidate", plan.candidate))
    for name, arm in arms:
        said = [each for each in readings if each.arm == name and each.time_us <= as_of_us]
        changed = next((each for each in said if each.digest != said[0].digest), None)
        if changed is not None:
            anomalies.append(
                f"{name} was exchanged in the middle of the trial: it said it is {said[0].shown}, and from "
                f"{_time(changed.time_us)} on {changed.shown}"
            )
        if arm.identity is not None and not said:
            notes.append(
                f"which model {name} is, could never be read from GET {arm.identity.path}: a model exchanged behind "
                "its address was not noticed"
            )
    return anomalies, notes


def _time(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
