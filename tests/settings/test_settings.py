"""Where things live: the environment wins over the file, and a wrong setting names its place."""

import os
import stat

import pytest
import trustme

from gnomon.errors import GnomonError
from gnomon.settings import FORK, Settings, load, renewed


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GNOMON_")]:
        monkeypatch.delenv(name)
    return tmp_path


def test_without_anything_all_stands_under_the_working_directory(here):
    settings = load()
    assert settings.root == here / ".gnomon"
    assert settings.state_url == f"sqlite:///{here}/.gnomon/state.db"
    assert settings.log_url("fraud.1") == f"{here}/.gnomon/trials/fraud.1/log"


def test_the_environment_wins_over_the_file(here, monkeypatch):
    (here / "gnomon.toml").write_text('listen = "127.0.0.1:1"\nadmin = "127.0.0.1:2"\n')
    monkeypatch.setenv("GNOMON_LISTEN", "127.0.0.1:3")
    assert (load().listen, load().admin) == ("127.0.0.1:3", "127.0.0.1:2")


def test_a_log_elsewhere_keeps_one_folder_for_each_trial(monkeypatch):
    monkeypatch.setenv("GNOMON_LOG", "s3://bucket/gnomon/")
    assert load().log_url("fraud.1") == "s3://bucket/gnomon/fraud.1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('listen = "8080"', ["gnomon.toml listen", "host:port", "8080"]),
        ("gateways = 0", ["gnomon.toml gateways", "greater than or equal to 1"]),
        ("head_time = 0", ["gnomon.toml head_time", "greater than 0"]),
        ('body_limit = "1 MiB"', ["gnomon.toml body_limit", "valid integer", "1 MiB"]),
        ("capture_budget = -1", ["gnomon.toml capture_budget", "greater than or equal to 0"]),
        ('new_traces = "some"', ["gnomon.toml new_traces", "'sampled', 'unsampled' or 'none'"]),
        ('upstream_idle = "none"', ["gnomon.toml upstream_idle", "valid number"]),
        ('lissen = "x"', ["gnomon.toml lissen"]),
        ("listen = ", ["gnomon.toml cannot be read"]),
    ],
)
def test_a_wrong_file_names_the_key(here, text, words):
    (here / "gnomon.toml").write_text(text)
    with pytest.raises(GnomonError) as error:
        load()
    assert all(word in str(error.value) for word in words), error.value


def test_a_wrong_variable_names_the_variable(monkeypatch):
    monkeypatch.setenv("GNOMON_FLUSH", "often")
    with pytest.raises(GnomonError, match="GNOMON_FLUSH"):
        load()


def test_the_data_folder_is_its_owners_alone(here):
    load().prepare()
    assert stat.S_IMODE((here / ".gnomon").stat().st_mode) == 0o700


def test_a_data_folder_that_cannot_be_made_is_one_message(here, monkeypatch):
    (here / "file").write_text("")
    monkeypatch.setenv("GNOMON_DATA", str(here / "file" / "data"))
    with pytest.raises(GnomonError, match="GNOMON_DATA"):
        load().prepare()


def test_sockets_fit_even_under_a_long_path(here, monkeypatch):
    monkeypatch.setenv("GNOMON_DATA", str(here / ("long" * 40)))
    assert len(str(load().run_dir / "gateway-4194304-999999.probe")) < 108


@pytest.mark.parametrize("spare", range(3))
def test_sockets_fit_at_the_longest_path_that_is_taken(here, monkeypatch, spare):
    """The data folder's own `run` is used as long as every name fits, and no longer."""
    folder = "/" + "d" * (107 - len("/run/gateway-4194304-999999.probe") - len("/") + spare)
    monkeypatch.setenv("GNOMON_DATA", folder)
    assert len(str(load().run_dir / "gateway-4194304-999999.probe")) <= 107
    assert str(load().run_dir).startswith(folder) == (spare == 0)


def test_a_limit_can_be_set_and_taken_away(here, monkeypatch):
    (here / "gnomon.toml").write_text('head_time = "none"\nbody_pause = 2.5\n')
    monkeypatch.setenv("GNOMON_BODY_PAUSE", "None")
    monkeypatch.setenv("GNOMON_BODY_LIMIT", "1048576")
    settings = load()
    assert (settings.head_time, settings.body_pause, settings.body_limit) == (None, None, 1 << 20)


def test_no_new_traces_is_a_value_and_not_nothing(monkeypatch):
    monkeypatch.setenv("GNOMON_NEW_TRACES", "none")
    assert load().new_traces == "none"


def test_certificates_that_can_be_read_are_taken(here, monkeypatch):
    trustme.CA().cert_pem.write_to_path(here / "authority.pem")
    monkeypatch.setenv("GNOMON_CA_FILE", "authority.pem")
    load().check_authorities()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "holds no certificate in PEM"),
        ("not a certificate\n", "holds no certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificate in PEM"),
    ],
)
def test_certificates_that_cannot_be_read_are_one_clear_message(here, monkeypatch, content, words):
    if content is not None:
        (here / "authority.pem").write_text(content)
    monkeypatch.setenv("GNOMON_CA_FILE", "authority.pem")
    with pytest.raises(GnomonError, match=f"^ca_file authority.pem {words}.*; set GNOMON_CA_FILE to a PEM file"):
        load().check_authorities()


def test_a_folder_is_no_certificate(here, monkeypatch):
    monkeypatch.setenv("GNOMON_CA_FILE", str(here))
    with pytest.raises(GnomonError, match=r"^ca_file .*; set GNOMON_CA_FILE"):
        load().check_authorities()


def test_a_replacement_takes_up_what_gateways_alone_use_and_names_the_rest():
    running = Settings(listen="127.0.0.1:1", body_limit=5, head_time=3)
    wanted = Settings(listen="127.0.0.1:2", head_time=None, first_byte=2, flush=1)
    taken, left = renewed(running, wanted)
    assert (taken.listen, taken.flush) == ("127.0.0.1:1", 5.0)
    assert (taken.body_limit, taken.head_time, taken.first_byte) == (None, None, 2)
    assert left == ["listen", "flush"]
    assert set(Settings.model_fields) > FORK
