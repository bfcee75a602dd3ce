"""Plugins: built-ins by name, then installed entry points. Nothing is imported before it is asked for.

Add here  a built-in: one row in BUILTINS, its file, its test
"""

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, Literal

from gnomon.errors import GnomonError
from gnomon.ports import Comparator, ModelProtocol
from gnomon.records.plan import Output

Kind = Literal["comparators", "protocols"]

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
        hint = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(there)}"
        raise GnomonError(f"no {kind[:-1]} is named {name!r}; {hint}")
    if len(found) > 1:
        where = ", ".join(sorted(point.value for point in found))
        raise GnomonError(f"{len(found)} installed {kind} are named {name!r} ({where}); uninstall all but one")
    try:
        loaded: Callable[..., Any] = found[0].load()
    except Exception as error:
        raise GnomonError(f"{kind[:-1]} {name!r} ({found[0].value}) cannot be imported: {error!r}") from error
    return loaded
