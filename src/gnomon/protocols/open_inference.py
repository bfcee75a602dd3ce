"""Open Inference Protocol V2 over REST (KServe, Triton, MLServer): named tensors and parameters.

`input:NAME` and `parameter:NAME` of a request, `output:NAME` and `parameter:NAME` of an answer; `body:/...` points into
the JSON of either. A tensor of one element is that element, any other the flat list of its elements in row-major order.
"""

from typing import Any, Final

from gnomon.ports import MISSING, Unreadable, WrongShape
from gnomon.protocols.json import of_head
from gnomon.protocols.message import Bodies, at, decoded, pointed
from gnomon.records.frames import Answer, Request
from gnomon.records.plan import Selector

JSON_LENGTH: Final = "inference-header-content-length"
"""The binary data extension: so many bytes of JSON, then raw tensors."""


class _V2Bodies(Bodies):
    """Bodies that may carry raw tensors after their JSON."""

    __slots__ = ()

    def _content(self, body: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
        content = decoded(body, headers)
        length = next((value for name, value in headers if name == JSON_LENGTH), "")
        return content[: int(length)] if length.isascii() and length.isdigit() else content


class OpenInference:
    """Reads V2 requests and answers."""

    def __init__(self) -> None:
        self._bodies = _V2Bodies()

    def read_request(self, selector: Selector, request: Request) -> Any:  # noqa: ANN401  see ports
        """The value at `selector`, or MISSING."""
        if selector.where not in {"body", "input", "parameter"}:
            return of_head(selector, request)
        try:
            value = self._bodies.json(request.body, request.headers)
            if selector.where == "body":
                return at(value, selector.name)
            return _named(value, selector, "inputs")
        except (Unreadable, WrongShape):
            return MISSING

    def read_answer(self, selector: Selector, answer: Answer) -> Any:  # noqa: ANN401  see ports
        """The value at `selector`.

        Raises Unreadable or WrongShape.
        """
        value = self._bodies.json(answer.body, answer.headers)
        if selector.where == "body":
            return pointed(value, selector.name)
        return _named(value, selector, "outputs")


def _named(value: Any, selector: Selector, tensors: str) -> Any:  # noqa: ANN401  whatever JSON can hold
    if type(value) is not dict:
        raise WrongShape("the body is not a JSON object")
    if selector.where == "parameter":
        found = at(value.get("parameters"), "/" + selector.name.replace("~", "~0").replace("/", "~1"))
        if found is MISSING:
            raise WrongShape(f"there is no parameter {selector.name!r}")
        return found
    if selector.where + "s" != tensors:
        raise WrongShape(f"{selector} does not belong to this message")
    listed = value.get(tensors)
    if type(listed) is not list:
        raise WrongShape(f"the body has no list of {tensors}")
    for tensor in listed:
        if type(tensor) is dict and tensor.get("name") == selector.name:
            return _elements(tensor)
    raise WrongShape(f"there is no tensor {selector.name!r} in {tensors}")


def _elements(tensor: dict[str, Any]) -> Any:  # noqa: ANN401  a scalar or a list of them
    name = tensor.get("name")
    data = tensor.get("data")
    if type(data) is not list:
        raise WrongShape(f"tensor {name!r} has no JSON data (raw tensors are not read; ask for JSON)")
    flat = _flat(data)
    shape = tensor.get("shape")
    if type(shape) is list and all(type(side) is int and side >= 0 for side in shape) and _size(shape) != len(flat):
        raise WrongShape(f"tensor {name!r} says shape {shape} and holds {len(flat)} elements")
    return flat[0] if len(flat) == 1 else flat


def _flat(data: list[Any]) -> list[Any]:
    """Row-major elements of data that may be nested, level by level: no depth can exhaust the stack."""
    while any(type(item) is list for item in data):
        data = [inner for item in data for inner in (item if type(item) is list else (item,))]
    return data


def _size(shape: list[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
