"""Where things live: the environment wins over the file, and a wrong setting names its place."""

import stat

import pytest

from gnomon.errors import GnomonError
from gnomon.settings import load


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "LISTEN", "ADMIN", "GATEWAYS", "STATE", "LOG", "QUEUE", "FLUSH"):
        monkeypatch.delenv(f"GNOMON_{name}", raising=False)
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
    assert len(str(load().run_dir / "gateway-4194304-99.sock")) < 108
