"""Settings: where things live, and what a gateway puts up with. `docs/settings.md` shows each to people.

`gnomon.toml` in the working directory, and `GNOMON_*` variables, which win over it.
"""

import hashlib
import os
import ssl
import stat
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from gnomon.errors import GnomonError
from gnomon.tls import trusting

FILE = "gnomon.toml"
_SOCKET_PATH_LIMIT = 78  # a unix socket's path holds 107 bytes; the longest name is `/gateway-4194304-999999.probe`


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"must be host:port, such as 127.0.0.1:8080, got {text!r}")
    return text


Address = Annotated[str, AfterValidator(_address)]


def _none(value: object) -> object:
    """TOML and the environment have no word for nothing, so ours is `none`."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


Seconds = Annotated[float, Field(gt=0, le=86_400)]
MaybeSeconds = Annotated[Seconds | None, BeforeValidator(_none)]
Bytes = Annotated[int, Field(ge=0, le=1 << 40)]
MaybeBytes = Annotated[Bytes | None, BeforeValidator(_none)]


class Settings(BaseSettings):
    """Where things are and what a gateway puts up with; nothing that moves the inference: that says the plan."""

    model_config = SettingsConfigDict(env_prefix="GNOMON_", toml_file=FILE, extra="forbid", frozen=True)

    data: Path = Field(Path(".gnomon"), description="Folder of state, logs and queues; mode 0700.")
    listen: Address = Field("127.0.0.1:8080", description="Where clients reach the gateway.")
    admin: Address = Field("127.0.0.1:8081", description="Health, readiness, metrics and labels.")
    token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Who sends ground truth to /labels of the admin port must have it. none: nobody may.",
    )
    gateways: int = Field(1, ge=1, le=64, description="Gateway processes on the shared socket.")
    state: str | None = Field(
        None, description="SQLAlchemy URL of the state database; default: SQLite in the data folder."
    )
    log: str | None = Field(None, description="Folder or URL of the Delta tables; default: in the data folder.")
    queue: str | None = Field(
        None, description="URL of the folder with a queue for each trial, such as sqlite:////var/lib/gnomon."
    )
    flush: float = Field(5.0, gt=0, le=60, description="Seconds between two appends to the log.")
    probe_every: MaybeSeconds = Field(
        300.0, description="Seconds between two rounds of probes through every gateway to the log. none: no probes."
    )
    probe_patience: Seconds = Field(
        30.0, description="Seconds in which a probe must come to the log, beside three flushes; then it is lost."
    )
    upkeep_every: MaybeSeconds = Field(
        600.0, description="Seconds between two rounds of the log's upkeep: compaction, retention. none: no upkeep."
    )
    off_slices: float = Field(
        0.02, ge=0, le=0.2, description="Share of the time with the shadow off, to measure what it costs. 0: none."
    )
    ca_file: Path | None = Field(
        None, description="PEM file of certificates that are trusted beside the system's, for both arms."
    )
    new_traces: Literal["sampled", "unsampled", "none"] = Field(
        "sampled", description="What a request without `traceparent` gets; one that has it keeps it."
    )
    head_time: MaybeSeconds = Field(
        60.0, description="Seconds from a request's first byte to the end of its head; over it: 408. none: no limit."
    )
    body_pause: MaybeSeconds = Field(
        None, description="Seconds between two pieces of a request's body; over it: 408. none: no limit."
    )
    body_limit: MaybeBytes = Field(
        None, description="Bytes of a request's body that pass; over it: 413. none: no limit."
    )
    first_byte: MaybeSeconds = Field(
        None, description="Seconds from a request's last byte to its answer's first; over it: 504. none: no limit."
    )
    capture_budget: Bytes = Field(
        16 << 20, description="Bytes of copies that one gateway holds; what has no room in it is `shed:memory`."
    )
    body_cap: Bytes = Field(
        1 << 20, description="Bytes of one body that are copied; a larger one passes and is `guarded:too_large`."
    )
    upstream_idle: Seconds = Field(
        4.0, description="Seconds that an idle connection to a model is kept; below the model server's own limit."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def root(self) -> Path:
        """The data folder, absolute."""
        return self.data.absolute()

    @property
    def state_url(self) -> str:
        """Where plans, seals, epochs and the audit chain are."""
        return self.state or f"sqlite:///{self.root / 'state.db'}"

    @property
    def run_dir(self) -> Path:
        """Sockets and process configurations. A data folder with a long path gets a short one under the system's."""
        wanted = self.root / "run"
        if len(os.fsencode(wanted)) <= _SOCKET_PATH_LIMIT:
            return wanted
        short = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        # not tempfile's: TMPDIR may differ between the shell that serves and the one that promotes
        return Path("/tmp") / f"gnomon-{os.getuid()}-{short}"  # noqa: S108  owner and kind are checked in `prepare`

    def trial_dir(self, trial_id: str) -> Path:
        """The folder of one trial's queue and counters."""
        return self.root / "trials" / trial_id

    def log_url(self, trial_id: str) -> str:
        """The folder of one trial's Delta tables."""
        return f"{self.log.rstrip('/')}/{trial_id}" if self.log else str(self.trial_dir(trial_id) / "log")

    def facts_file(self, trial_id: str) -> Path:
        """Where the runner says how it is."""
        return self.trial_dir(trial_id) / "runner.facts.json"

    def probes_file(self, trial_id: str) -> Path:
        """Where the supervisor says what became of its probes."""
        return self.trial_dir(trial_id) / "probes.json"

    def inbox_url(self, trial_id: str) -> str:
        """The queue of one trial."""
        if self.queue:
            return f"{self.queue.rstrip('/')}/{trial_id}.db"
        return f"sqlite:///{self.trial_dir(trial_id) / 'inbox.db'}"

    def check_authorities(self) -> None:
        """The certificates of `ca_file` can be read.

        Raises GnomonError when they cannot.
        """
        if self.ca_file is None:
            return
        do = "set GNOMON_CA_FILE to a PEM file of certificates, or leave it out"
        try:
            trusting(self.ca_file)
        except ssl.SSLError as error:
            raise GnomonError(f"ca_file {self.ca_file} holds no certificate in PEM ({error.reason}); {do}") from error
        except OSError as error:
            raise GnomonError(f"ca_file {self.ca_file} cannot be read: {error.strerror}; {do}") from error

    def prepare(self) -> None:
        """Make the data folder, readable by its owner alone.

        Raises GnomonError when it cannot be written.
        """
        try:
            for folder in (self.root, self.run_dir, self.root / "trials", self.root / "logs"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                found = folder.lstat()
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                    raise GnomonError(
                        f"{folder} is not a folder of yours; remove it, or set GNOMON_DATA to another one"
                    )
                folder.chmod(0o700)
        except OSError as error:
            raise GnomonError(
                f"the data folder {self.root} cannot be used: {error.strerror}; set GNOMON_DATA to a folder you own"
            ) from error


FORK: Final = frozenset(
    {
        "new_traces", "head_time", "body_pause", "body_limit", "first_byte", "capture_budget", "body_cap",
        "upstream_idle",
    }
)  # fmt: skip
"""What gateways alone use: a gateway that is replaced takes it up."""


def renewed(running: Settings, wanted: Settings) -> tuple[Settings, list[str]]:
    """The settings that run, with what gateways alone use as it is wanted now; and what takes a new start to change."""
    changed = [name for name in Settings.model_fields if getattr(running, name) != getattr(wanted, name)]
    taken = {name: getattr(wanted, name) for name in changed if name in FORK}
    return running.model_copy(update=taken), [name for name in changed if name not in FORK]


def load() -> Settings:
    """The settings in force.

    Raises GnomonError that lists every wrong one with where it came from.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            place = f"GNOMON_{key.upper()}" if f"GNOMON_{key.upper()}" in os.environ else f"{FILE} {key}"
            found = "" if key == "token" else f", found {problem['input']!r}"  # a secret is not repeated
            lines.append(f"  {place}  {problem['msg']}{found}")
        raise GnomonError("settings are wrong:\n" + "\n".join(lines)) from error
    except ValueError as error:  # a file that is not TOML
        raise GnomonError(f"{FILE} cannot be read: {error}") from error
