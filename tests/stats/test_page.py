"""The page of the functions names what there is, and the package can be used as it says."""

import re
import subprocess
import sys
from pathlib import Path

import gnomon.stats as gs

PAGE = (Path(__file__).parents[2] / "docs" / "statistics" / "functions.md").read_text(encoding="utf-8")


def test_every_exported_name_has_its_line_and_every_line_its_name() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    assert sorted(listed) == sorted(gs.__all__)
    assert all(hasattr(gs, name) for name in gs.__all__)


def test_every_function_says_what_it_does() -> None:
    assert all(getattr(gs, name).__doc__ for name in gs.__all__ if callable(getattr(gs, name)))


def test_the_example_runs() -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert example is not None
    names: dict[str, object] = {}
    exec(example.group(1), names)
    assert names["gs"] is gs


def test_importing_it_loads_neither_the_heavy_half_of_scipy_nor_the_rest_of_gnomon() -> None:
    code = "import sys, gnomon.stats; print([m for m in sys.modules if m in {'scipy.stats', 'duckdb', 'gnomon.log'}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
