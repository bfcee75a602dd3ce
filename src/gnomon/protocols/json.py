"""JSON over HTTP: JSON pointers into bodies; headers, query and path of requests."""

from typing import Any
from urllib.parse import parse_qsl, unquote

from gnomon.ports import MISSING, Unreadable, WrongShape
from gnomon.protocols.message import Bodies, at, pointed
from gnomon.records.frames import Answer, Request
from gnomon.records.plan import Selector


class Json:
    """Reads requests and answers whose bodies are JSON."""

    def __init__(self) -> None:
        self._bodies = Bodies()

    def read_request(self, selector: Selector, request: Request) -> Any:  # noqa: ANN401  see ports
        """The value at `selector`, or MISSING; a body that is not JSON has nothing in it."""
        if selector.where == "body":
            try:
                return at(self._bodies.json(request.body, request.headers), selector.name)
            except Unreadable:
                return MISSING
        return of_head(selector, request)

    def read_answer(self, selector: Selector, answer: Answer) -> Any:  # noqa: ANN401  see ports
        """The value at `selector` of an answer's body.

        Raises Unreadable or WrongShape.
        """
        if selector.where != "body":
            raise WrongShape(f"{selector} cannot be read from an answer of protocol json")
        return pointed(self._bodies.json(answer.body, answer.headers), selector.name)


def of_head(selector: Selector, request: Request) -> Any:  # noqa: ANN401  a string, or MISSING
    """A value from outside of the body: the first header or query value of that name, or part `name` of the path."""
    if selector.where == "header":
        return next((value for name, value in request.headers if name == selector.name), MISSING)
    path, _, query = request.target.partition("?")
    if selector.where == "query":
        pairs = parse_qsl(query, keep_blank_values=True)
        return next((value for name, value in pairs if name == selector.name), MISSING)
    if selector.where == "path":
        parts = path.strip("/").split("/")
        position = int(selector.name)
        return unquote(parts[position]) if position < len(parts) and parts[position] else MISSING
    return MISSING
