"""The noise floor: production against its own twin, beside the candidate, on pairs whose twin was drawn."""

from msgspec import structs

from gnomon.evidence.describe import describe
from gnomon.records.evidence import NoiseFloor
from tests.evidence.trial_log import a_log, a_plan, an_exchange, differs

TWIN = {"twin_outcome": "ok", "twin_repeat": False, "output_label_twin_agree": True}


def described(folder, plan, rows):
    log = a_log(folder, plan, rows)
    return describe(plan, log, log_url=str(folder), first_epoch=1)


def test_twins_are_counted_by_output_and_cell_without_what_a_cache_repeated(tmp_path):
    plan = a_plan()
    plan = structs.replace(plan, fork=structs.replace(plan.fork, twin=1 << 31))
    rows = [
        an_exchange(1, **TWIN),
        an_exchange(2, **TWIN | {"output_label_twin_agree": False}),
        differs(3, **TWIN, segment_source="news"),
        differs(4, **TWIN | {"twin_repeat": True}),
        an_exchange(5, **TWIN | {"twin_outcome": "5xx", "output_label_twin_agree": None}),  # agrees with nothing
        an_exchange(6, twin_outcome=None, twin_repeat=None, output_label_twin_agree=None),  # not drawn
    ]

    assert described(tmp_path, plan, rows).noise == (
        NoiseFloor(output="label", cell="overall", drawn=5, repeats=1, agree=2, candidate_agree=3),
        NoiseFloor(output="label", cell="source=tweets", drawn=4, repeats=1, agree=1, candidate_agree=3),
        NoiseFloor(output="label", cell="source=news", drawn=1, repeats=0, agree=1, candidate_agree=0),
    )


def test_without_a_twin_there_is_no_floor(tmp_path):
    assert described(tmp_path, a_plan(), [an_exchange(1)]).noise == ()


def test_a_twin_that_was_never_drawn_is_no_data(tmp_path):
    plan = a_plan()
    plan = structs.replace(plan, fork=structs.replace(plan.fork, twin=1))
    row = an_exchange(1, twin_outcome=None, twin_repeat=None, output_label_twin_agree=None)

    assert described(tmp_path, plan, [row]).noise == ()
