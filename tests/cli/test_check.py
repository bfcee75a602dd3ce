"""`gnomon check`: the table, the rehearsal, JSON, and one clear message for each mistake."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PAGE = (Path(__file__).parents[2] / "docs" / "planning.md").read_text(encoding="utf-8")
PLAN = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
EXAMPLES = re.findall(r"```\n\$ gnomon ([^\n]*)\n(.*?)```", PAGE, re.DOTALL)
SHARES = ("--share", "country=DE:60%", "--share", "country=FR:30%", "--share", "country=PT:10%")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


@pytest.mark.parametrize(("command", "printed"), EXAMPLES, ids=["table", "rehearsal"])
def test_the_page_shows_what_is_printed(run: Run, plan: Path, command: str, printed: str) -> None:
    done = run(*shlex.split(command))
    assert done.code == 0, done.err
    lines = [line.rstrip() for line in done.out.splitlines()]
    first = printed.splitlines()[0]
    assert first in lines
    assert "\n".join(lines[lines.index(first) :]) == printed.rstrip()
    assert max(map(len, printed.splitlines())) <= 100


def test_json_has_the_table_and_the_rehearsal(run: Run, plan: Path) -> None:
    done = run("check", "plan.yaml", "--offline", "--json", "--rate", "3k/d", *SHARES, "--price", "0.002", "--simulate",
               "--trials", "20", "--seed", "3")  # fmt: skip
    facts = json.loads(done.out)
    assert set(facts) == {"digest", "explanation", "endpoints", "size", "rehearsal"}
    size, rehearsal = facts["size"], facts["rehearsal"]
    assert size["requests_per_day"] == 3000
    assert (size["deadline_days"], size["wait_days"]) == (42, 14)
    assert {"context": "stateless", "side_effects": "none", "cost_per_day": "40 EUR"}.items() <= size["load"].items()
    assert size["load"]["priced"] == pytest.approx(0.002 * size["load"]["candidate_calls"])
    germany = next(test for test in size["tests"] if test["cell"] == "country=DE")
    assert set(germany) == {
        "gate", "cell", "soft", "share", "per_day", "units", "requests", "labels", "days", "sampling", "share_needed",
        "finds", "catches_all", "state", "approximate",
    }  # fmt: skip
    assert (germany["gate"], germany["share"], germany["state"]) == ("accuracy", 0.6, "reached")
    assert germany["units"] == sorted(germany["units"])
    assert (rehearsal["trials"], rehearsal["seed"], rehearsal["looks"]) == (20, 3, 6)
    for case in rehearsal["cases"]:
        assert case["promoted"] + case["rejected"] + case["undecided"] == pytest.approx(1)
    assert "rehearsing" not in done.err


def test_without_traffic_the_plan_is_explained_and_asked_for_it(run: Run, plan: Path) -> None:
    done = run("check", "plan.yaml", "--offline")
    assert done.code == 0
    assert "fraud-v2: Is fraud 2.0 as good as 1.4 in every country?" in done.out
    assert "add --rate 5/s, or --pilot" in done.out.replace("\n", " ")


def test_one_cell_that_is_too_small_is_a_warning_and_no_error(run: Run, plan: Path) -> None:
    done = run("check", "plan.yaml", "--offline", "--rate", "3k/d", "--share", "country=DE:60%", "--share",
               "country=FR:39%", "--share", "country=PT:1%")  # fmt: skip
    assert done.code == 0
    assert "warning: accuracy will be inconclusive in country=PT: needs " in done.out
    assert done.err == ""


def test_a_plan_of_which_nothing_can_be_shown_is_an_error_that_says_what_to_do(run: Run, plan: Path) -> None:
    done = run("check", "plan.yaml", "--offline", "--rate", "20/d", *SHARES)
    assert done.code == 2
    assert done.err.startswith("gnomon: no gate of fraud-v2 can be shown by the deadline of 42 d")
    assert "a wider margin, a coarser segment, a later duration.deadline, or a higher rate" in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rate", "fast"], ["--rate", "'fast'", "5/s"]),
        (["--rate", "3k/d", "--share", "country=DE"], ["--share", "country=DE:20%"]),
        (["--rate", "3k/d", "--share", "land=DE:5%"], ["'land'", "country"]),
        (["--rate", "3k/d", "--share", "label=block:0%", *SHARES], ["block", "0% of the traffic", "cannot be proven"]),
        (["--pilot", "nowhere"], ["no trial in", "data"]),
        (["--simulate"], ["--simulate", "--rate 5/s"]),
        (["--simulate", "--rate", "3k/d"], ["--simulate", "country=DE is not known", "--share equal"]),
    ],
    ids=["rate", "share", "segment", "class", "pilot", "simulate", "simulate without shares"],
)
def test_a_wrong_option_is_one_message_and_no_traceback(run: Run, plan: Path, options, words) -> None:
    done = run("check", "plan.yaml", "--offline", *options)
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    for word in ("gnomon: ", *words):
        assert word in done.err
