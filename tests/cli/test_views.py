"""What `gnomon decide` prints of a verdict: the numbers in the units of the report, the thresholds of the tests."""

from msgspec import structs

from gnomon.cli import views
from gnomon.records import verdict
from gnomon.records.plan import Gate, Plan
from tests.report import reports


def gate_of(name: str) -> tuple[Gate, Plan]:
    plan = reports.a_plan(gates=tuple(gate for gate, _ in reports.KINDS), targets=())
    return next(gate for gate in plan.gates if gate.id == name), plan


def printed(capsys, plan: Plan, *tests: verdict.TestResult, targets: tuple[verdict.TestResult, ...] = ()) -> str:
    found = structs.replace(reports.a_report(reports.EARLY).verdict, tests=tests, targets=targets)
    views.verdict(found, plan)
    return capsys.readouterr().out


def row(said: str, name: str) -> str:
    return " ".join(next(line for line in said.splitlines() if line.startswith(f"{name} overall")).split())


def test_every_gate_is_printed_in_its_own_unit(capsys):
    says = {
        "latency": {"estimate": 0.602, "lower": 0.58, "upper": 0.63, "margin_ppm": 100_000},
        "error_rate": {"estimate": 0.0053, "lower": -0.001, "upper": 0.012, "margin_ppm": 0},
        "custom": {"estimate": 0.002, "lower": -0.01, "upper": 0.014, "margin_ppm": 50_000},
        "agreement:least": {"estimate": -0.008, "lower": -0.02, "upper": -0.001, "margin_ppm": 100_000},
        "accuracy": {},
    }
    tests = []
    for name, fields in says.items():
        gate, plan = gate_of(name)
        tests.append(reports.a_result(gate, gate.tests[0], **fields))

    said = printed(capsys, plan, *tests)

    assert "0.602 x 0.58 x to 0.63 x below 1.2 x 3.1" in row(said, "latency")
    assert "+0.53 pp −0.10 pp to +1.2 pp above 0 pp 3.1" in row(said, "error_rate")
    assert "+0.002 −0.01 to +0.01 above −0.05 3.1" in row(said, "custom")
    assert "0.80 % 0.10 % to 2.0 % below 10 % 3.1" in row(said, "agreement:least")
    assert "+0.20 pp −1.1 pp to +1.4 pp above −1 pp 3.1" in row(said, "accuracy")


def test_a_test_without_an_estimate_says_so_instead_of_a_number(capsys):
    gate, plan = gate_of("accuracy")
    said = printed(capsys, plan, reports.a_result(gate, gate.tests[0], estimate=None, lower=None, upper=None))
    assert "none no data above −1 pp" in row(said, "accuracy")


def test_the_thresholds_are_those_of_the_tests(capsys):
    gate, plan = gate_of("accuracy")
    plain = reports.a_result(gate, gate.tests[0], promote_at=20.0, reject_at=40.0)
    hybrid = structs.replace(plain, promote_at=40.0)

    both = printed(capsys, plan, plain, hybrid)
    assert "promotes at e >= 20 (a hybrid one at e >= 40) and rejects at e >= 40; looking is free" in both
    assert "promotes at e >= 20 and rejects at e >= 40;" in printed(capsys, plan, plain)
    assert "promotes at e >= 40 and rejects at e >= 40;" in printed(capsys, plan, hybrid, hybrid)


def test_targets_stand_under_the_gates_and_are_named_as_what_they_are(capsys):
    gate, plan = gate_of("accuracy")
    wanted = structs.replace(
        gate, id="wanted", tests=tuple(structs.replace(test, gate="wanted") for test in gate.tests)
    )
    plan = structs.replace(plan, targets=(wanted,))
    target = reports.a_result(wanted, wanted.tests[0], soft=True, promote_at=60.0)

    said = printed(capsys, plan, reports.a_result(gate, gate.tests[0]), targets=(target,))

    lines = [line for line in said.splitlines() if " overall" in line]
    assert [line.split()[0] for line in lines[-2:]] == ["accuracy", "wanted"]
    assert lines[-1].startswith("wanted overall (target)")
    assert "rejects at e >= 200; the first target counts at e >= 60; looking is free" in said
