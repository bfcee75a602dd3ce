"""Sockets: one clear line when the listening one cannot be had; those of dead gateways are removed."""

import socket
import threading

import pytest

from gnomon.errors import GnomonError
from gnomon.supervisor import control, listener


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


def test_what_dead_gateways_left_is_swept_and_a_living_one_keeps_its_own(tmp_path):
    living, dead = (tmp_path / f"gateway-1-{number}.sock" for number in range(2))
    for path in (living, dead):
        for suffix in (".sock", ".json", ".probe"):
            path.with_suffix(suffix).touch()
    (tmp_path / "gateway-1-2.probe").touch()  # its control socket is gone already
    living.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(living))
        server.listen()
        answering = threading.Thread(target=answer_once, args=(server,))
        answering.start()
        control.sweep(tmp_path)
        answering.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "gateway-1-0.json", "gateway-1-0.probe", "gateway-1-0.sock",
    ]  # fmt: skip


def answer_once(server):
    connection, _ = server.accept()
    with connection:
        connection.recv(100)
        connection.sendall(b'{"pid": 1}\n')
