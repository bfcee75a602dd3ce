"""Custom gates: where their code is found, and the digest that goes into the seal."""

import hashlib
import sys
from pathlib import Path

import pytest

from gnomon import plugins
from gnomon.errors import GnomonError, PlanError
from gnomon.plan import load
from tests.plan import custom_gates
from tests.plan.every_kind import CODE, KINDS


def test_a_function_comes_with_the_digest_of_its_source_file() -> None:
    made, digest = plugins.gate("tests.plan.custom_gates:shorter")
    assert made is custom_gates.shorter
    assert digest == CODE == hashlib.sha256(Path(custom_gates.__file__).read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user's modules stand; they are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("users_"):
            del sys.modules[name]


def test_a_module_that_only_passes_a_function_on_is_not_its_source(folder: Path) -> None:
    (folder / "users_code.py").write_text("def gate(pair):\n    return 0.0\n")
    (folder / "users_names.py").write_text("from users_code import gate\n")
    _, digest = plugins.gate("users_names:gate")
    assert digest == hashlib.sha256((folder / "users_code.py").read_bytes()).hexdigest()


def test_an_installed_entry_point_is_a_name(folder: Path) -> None:
    (folder / "users_code.py").write_text(
        "class Gates:\n    @staticmethod\n    def margin(pair):\n        return 0.0\n"
    )
    installed = folder / "users_gates-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: users-gates\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[gnomon.gates]\nmargin-kept = users_code:Gates.margin\n")
    made, digest = plugins.gate("margin-kept")
    assert made(None) == 0.0
    assert digest == hashlib.sha256((folder / "users_code.py").read_bytes()).hexdigest()
    assert "margin-kept" in plugins.names("gates")
    gate = {"function": "margin-kept", "digest": digest, "better_than": "production"}
    plan = load.from_document(KINDS | {"gates": [{"custom": gate}], "targets": []})
    assert plan.gates[0].custom is not None
    assert plan.gates[0].custom.function == "margin-kept"


@pytest.mark.parametrize("code", ["raise RuntimeError('no')", "import users_nothing", "def (", "raise SystemExit(3)"])
def test_code_that_fails_as_it_is_imported_is_one_clear_message(folder: Path, code: str) -> None:
    (folder / "users_broken.py").write_text(code + "\n")
    with pytest.raises(
        GnomonError, match=r"users_broken:gate cannot be imported: .*; install it, or put its folder into"
    ):
        plugins.gate("users_broken:gate")


def test_changed_code_no_longer_fits_a_sealed_document(folder: Path) -> None:
    source = folder / "users_gate.py"
    source.write_text("def gate(pair):\n    return 0.0\n")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    gate = {"function": "users_gate:gate", "digest": digest, "better_than": "production"}
    document = KINDS | {"gates": [{"custom": gate}], "targets": []}
    assert load.from_document(document).customs
    source.write_text("def gate(pair):\n    return 1.0\n")
    with pytest.raises(PlanError) as caught:
        load.from_document(document, name="fraud-v2.1")
    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == ("fraud-v2.1", "gates[0].custom.digest")
    assert "its code has changed since" in problem.do
    source.unlink()
    assert load.from_document(document, sealed=True).customs  # verdicts are read, and recomputed from the log
