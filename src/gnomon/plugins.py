"""Plugins: built-ins by name, then installed entry points. Nothing is imported before it is asked for.

Add here  a built-in: one row in BUILTINS, its file, its test
"""

import hashlib
import inspect
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, Literal

from gnomon.errors import GnomonError
from gnomon.ports import Comparator, ModelProtocol
from gnomon.records.plan import Output

Kind = Literal["comparators", "protocols", "gates"]

BUILTINS: Final[dict[Kind, dict[str, str]]] = {
    "comparators": {
        "exact": "gnomon.compare.comparators.exact:Exact",
        "number": "gnomon.compare.comparators.number:Number",
        "json_fields": "gnomon.compare.comparators.json_fields:JsonFields",
    },
    "protocols": {
        "json": "gnomon.protocols.json:Json",
        "open_inference": "gnomon.protocols.open_inference:OpenInference",
    },
    "gates": {},
}


def comparator(output: Output) -> Comparator:
    """The comparator that an output declares.

    Raises GnomonError when nothing of that name is there.
    """
    made: Comparator = _load("comparators", output.compare)(output)
    return made


def protocol(name: str) -> ModelProtocol:
    """The protocol of that name.

    Raises GnomonError when nothing of that name is there.
    """
    made: ModelProtocol = _load("protocols", name)()
    return made


def gate(function: str) -> tuple[Callable[..., Any], str]:
    """The function of a custom gate, and the SHA-256 (64 hex digits) of the source file in which it is defined.

    `function` is `module:function`, or the name of an installed entry point of `gnomon.gates`.

    Raises GnomonError when it cannot be imported, is no function, or has no source file.
    """
    made = _imported(function) if ":" in function else _load("gates", function)
    if not callable(made):
        raise GnomonError(f"{function} is no function, it is {type(made).__name__}; name a function of a pair")
    return made, _source_digest(made, function)


def _imported(function: str) -> Any:  # noqa: ANN401  whatever stands there
    """What stands at `module:function`. A module's code may raise anything, `SystemExit` too."""
    module, _, attributes = function.partition(":")
    try:
        found: Any = import_module(module)
    except (Exception, SystemExit) as error:
        raise GnomonError(
            f"{function} cannot be imported: {error!r}; install it, or put its folder into PYTHONPATH"
        ) from error
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise GnomonError(f"{function} cannot be imported: {module} has no {attribute or 'name after the colon'}")
        found = getattr(found, attribute)
    return found


def _source_digest(made: Callable[..., Any], function: str) -> str:
    """Where it is defined, and not where it is named: a module may only pass on what another one holds."""
    of = made if hasattr(made, "__module__") and isinstance(made.__module__, str) else type(made)
    try:
        path = inspect.getsourcefile(sys.modules[of.__module__])
        content = Path(path or "").read_bytes()
    except (KeyError, TypeError, OSError):
        raise GnomonError(f"{function} has no source file that could be digested; write it in Python") from None
    return hashlib.sha256(content).hexdigest()


def names(kind: Kind) -> tuple[str, ...]:
    """Every name there is, built-ins first."""
    installed = sorted(point.name for point in entry_points(group=f"gnomon.{kind}"))
    return (*BUILTINS[kind], *(name for name in installed if name not in BUILTINS[kind]))


def _load(kind: Kind, name: str) -> Callable[..., Any]:
    if name in BUILTINS[kind]:
        module, _, attribute = BUILTINS[kind][name].partition(":")
        made: Callable[..., Any] = getattr(import_module(module), attribute)
        return made
    found = list(entry_points(group=f"gnomon.{kind}", name=name))
    if not found:
        there = names(kind)
        near = get_close_matches(name, there, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(there) or 'none'}"
        raise GnomonError(f"no {kind[:-1]} is named {name!r}; {hint}")
    if len(found) > 1:
        where = ", ".join(sorted(point.value for point in found))
        raise GnomonError(f"{len(found)} installed {kind} are named {name!r} ({where}); uninstall all but one")
    try:
        loaded: Callable[..., Any] = found[0].load()
    except Exception as error:
        raise GnomonError(f"{kind[:-1]} {name!r} ({found[0].value}) cannot be imported: {error!r}") from error
    return loaded
