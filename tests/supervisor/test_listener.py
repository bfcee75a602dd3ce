"""The listening socket: one clear line when it cannot be had."""

import socket

import pytest

from gnomon.errors import GnomonError
from gnomon.supervisor import listener


def test_a_taken_port_names_the_setting():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GnomonError, match=rf"listen 127.0.0.1:{port} cannot be opened: another .* GNOMON_LISTEN"):
            listener.bind(f"127.0.0.1:{port}", key="listen")


def test_an_address_of_another_machine_is_said():
    with pytest.raises(GnomonError, match="no such address"):
        listener.bind("192.0.2.1:0", key="listen")


def test_a_dead_gateways_socket_is_no_predecessor(tmp_path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "gateway-1-0.sock"))
    left.close()
    assert listener.adopt(tmp_path, "127.0.0.1:8080") == (None, [])


@pytest.mark.parametrize(("text", "parts"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80))])
def test_addresses_split(text, parts):
    assert listener.split(text) == parts
