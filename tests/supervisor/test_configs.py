"""What the supervisor tells its processes: the settings and the plan, in the processes' own words."""

import msgspec
import pytest

from gnomon.plan import load
from gnomon.records.process import Epoch, GatewayConfig
from gnomon.records.trial import Trial
from gnomon.settings import Settings
from gnomon.supervisor.configs import gateway_config_of, runner_config_of
from tests.plan.builders import DOCUMENT, edited

PLAN = load.from_document(DOCUMENT)
TRIAL = Trial(
    id="fraud.1", name="fraud", number=1, digest="ab" * 32, canonical="{}", document="{}", plan_path="plan.yaml",
    parent=None, attempt=1, registered_us=1, program="0", first_epoch=1,
)  # fmt: skip

DEFAULTS = {
    field.name: field.default
    for field in msgspec.structs.fields(GatewayConfig)
    if field.default is not msgspec.NODEFAULT
}
OF_THE_TRIAL = {"repeatable", "pause_file", "slice_us"}


def config(tmp_path, plan=PLAN, **settings):
    made = Settings(data=tmp_path, **settings)
    return gateway_config_of(made, TRIAL, plan, Epoch(number=1, serving="production"), socket_name="gateway-1-0.sock")


@pytest.mark.parametrize("name", sorted(DEFAULTS.keys() - OF_THE_TRIAL))
def test_a_setting_left_out_is_the_gateways_own_default(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert getattr(config(tmp_path), name) == DEFAULTS[name]


@pytest.mark.parametrize(
    ("setting", "value", "name", "told"),
    [
        ("body_cap", 7, "body_cap", 7),
        ("capture_budget", 0, "capture_budget", 0),
        ("upstream_idle", 0.5, "idle_us", 500_000),
        ("new_traces", "none", "new_traces", "none"),
        ("head_time", 1.5, "head_us", 1_500_000),
        ("head_time", None, "head_us", None),
        ("body_pause", 2, "body_pause_us", 2_000_000),
        ("body_limit", 0, "body_limit", 0),
        ("first_byte", 0.001, "first_byte_us", 1_000),
    ],
)
def test_every_limit_reaches_the_gateway_in_its_unit(tmp_path, setting, value, name, told):
    assert getattr(config(tmp_path, **{setting: value}), name) == told


def test_the_certificates_reach_both_arms_and_the_runner_as_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = config(tmp_path, ca_file="authority.pem")
    wanted = str(tmp_path / "authority.pem")
    assert (made.production.ca_file, made.candidate.ca_file) == (wanted, wanted)
    assert runner_config_of(Settings(data=tmp_path, ca_file="authority.pem"), TRIAL).ca_file == wanted
    assert config(tmp_path).production.ca_file is None


def test_only_repeatable_routes_may_be_repeated(tmp_path):
    plan = load.from_document(edited(("routes",), ["POST /predict repeatable", "POST /score"]))
    made = config(tmp_path, plan)
    assert made.routes == (("POST", "/predict"), ("POST", "/score"))
    assert made.repeatable == (("POST", "/predict"),)


def test_a_trial_has_its_own_file_for_the_pause(tmp_path):
    assert config(tmp_path).pause_file == str(tmp_path / "trials" / "fraud.1" / "paused")
