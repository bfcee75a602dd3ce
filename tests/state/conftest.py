"""One empty state database a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gnomon.state import State, open_state
from tests.state.builders import url_of


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with open_state(url_of(tmp_path)) as opened:
        yield opened
