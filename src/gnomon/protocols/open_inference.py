"""Open Inference Protocol V2 over REST (KServe, Triton, MLServer): named tensors and parameters.

`input:NAME` and `parameter:NAME` of a request, `output:NAME` and `parameter:NAME` of an answer; `body:/...` points into
the JSON of either. A tensor of one element is that element, any other the flat list of its elements in row-major order.
As a batch it is a list along its first dimension, whose items are read in the same way.
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

    def batch_of_request(self, selector: Selector, request: Request) -> Any:  # noqa: ANN401  see ports
        """The rows of an input, or MISSING."""
        try:
            return _rows(_tensor(self._bodies.json(request.body, request.headers), selector, "inputs"))
        except (Unreadable, WrongShape):
            return MISSING

    def batch_of_answer(self, selector: Selector, answer: Answer) -> list[Any]:
        """The rows of an output.

        Raises Unreadable or WrongShape.
        """
        return _rows(_tensor(self._bodies.json(answer.body, answer.headers), selector, "outputs"))


def _named(value: Any, selector: Selector, tensors: str) -> Any:  # noqa: ANN401  whatever JSON can hold
    if selector.where == "parameter":
        if type(value) is not dict:
            raise WrongShape("the body is not a JSON object")
        found = at(value.get("parameters"), "/" + selector.name.replace("~", "~0").replace("/", "~1"))
        if found is MISSING:
            raise WrongShape(f"there is no parameter {selector.name!r}")
        return found
    return _elements(_tensor(value, selector, tensors))


def _tensor(value: Any, selector: Selector, tensors: str) -> dict[str, Any]:  # noqa: ANN401  whatever JSON can hold
    if type(value) is not dict:
        raise WrongShape("the body is not a JSON object")
    if selector.where + "s" != tensors:
        raise WrongShape(f"{selector} does not belong to this message")
    listed = value.get(tensors)
    if type(listed) is not list:
        raise WrongShape(f"the body has no list of {tensors}")
    for tensor in listed:
        if type(tensor) is dict and tensor.get("name") == selector.name:
            return tensor
    raise WrongShape(f"there is no tensor {selector.name!r} in {tensors}")


def _elements(tensor: dict[str, Any]) -> Any:  # noqa: ANN401  a scalar or a list of them
    flat, _ = _read(tensor)
    return flat[0] if len(flat) == 1 else flat


def _rows(tensor: dict[str, Any]) -> list[Any]:
    """Along the first dimension: each a scalar or a list of them. Without a shape the data says what is first."""
    flat, shape = _read(tensor)
    if shape is None:
        rows = [_flat(item) if type(item) is list else [item] for item in tensor["data"]]
    elif not shape:
        rows = [flat]
    else:
        width = len(flat) // shape[0] if shape[0] else 0
        rows = [flat[width * row : width * (row + 1)] for row in range(shape[0])] if width else []
    return [row[0] if len(row) == 1 else row for row in rows]


def _read(tensor: dict[str, Any]) -> tuple[list[Any], list[int] | None]:
    """All elements, and the shape if it is one; they are of one size."""
    name = tensor.get("name")
    data = tensor.get("data")
    if type(data) is not list:
        raise WrongShape(f"tensor {name!r} has no JSON data (raw tensors are not read; ask for JSON)")
    flat = _flat(data)
    shape = tensor.get("shape")
    if type(shape) is not list or not all(type(side) is int and side >= 0 for side in shape):
        return flat, None
    if _size(shape) != len(flat):
        raise WrongShape(f"tensor {name!r} says shape {shape} and holds {len(flat)} elements")
    return flat, shape


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
