"""Gnomon: shadow deployment for AI models.

    import gnomon

    trial = gnomon.open("fraud-v2")  # see docs/notebook.md

Importing this does next to nothing: every process of Gnomon does it first.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs more than all the rest
    from typing import Any

__version__ = "0.1.0"

_PUBLIC = {"open": ("gnomon.notebook", "open_trial")}
"""Name, and where it is; imported when it is asked for, by name: what stands below leans on nothing above."""


def __getattr__(name: str) -> "Any":  # noqa: ANN401  whatever the name stands for
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
