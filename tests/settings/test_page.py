"""docs/settings.md: every setting with the default it has, and no other."""

import re
from pathlib import Path

import pytest

from gnomon.settings import FORK, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
ROWS = {row[1]: row for row in re.finditer(r"^\| `(\w+)` \| (.*?) \|.*$", PAGE, re.MULTILINE)}


def test_every_setting_is_on_the_page_and_nothing_else():
    assert set(ROWS) == set(Settings.model_fields)


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_the_default_on_the_page_is_the_one_in_force(name):
    default = Settings.model_fields[name].default
    shown = ROWS[name][2]
    if default is None:
        assert shown in {"none", "in the data folder", "SQLite in the data folder"}
    else:
        assert shown.split()[0] == f"`{default}`"


def test_what_a_replacement_takes_up_is_the_second_table():
    second = PAGE.split("## What a gateway puts up with")[1].split("## When")[0]
    assert {name for name, row in ROWS.items() if row[0] in second} == FORK


def test_every_setting_says_what_it_is():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
