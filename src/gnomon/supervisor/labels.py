"""`POST /labels` on the admin port: ground truth over HTTP, for who has the token.

Promises  the same rules as `gnomon labels import`: a body with a mistake imports nothing, the same one
          twice counts once
"""

import hmac
import json
from collections.abc import Callable
from typing import Any, Final

from gnomon.errors import GnomonError

LIMIT: Final = 64 << 20
"""Bytes of one body; a larger import is a file's business."""

_KINDS: Final = {
    "text/csv": "csv",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/json": "jsonl",  # an object, or an array of them
    "application/vnd.apache.parquet": "parquet",
}

Import = Callable[[bytes, str], dict[str, Any]]
"""(content, format) to what the import did. Raises GnomonError."""
Answer = tuple[str, dict[str, Any]]
"""Status line and JSON body."""


def take(environ: dict[str, Any], token: str | None, import_: Import) -> Answer:
    """The answer to one request."""
    refused = _refused(environ, token)
    if refused is not None:
        return refused
    kind = _KINDS[_media_type(environ)]
    length = int(environ["CONTENT_LENGTH"])
    content = environ["wsgi.input"].read(length)
    if len(content) < length:
        return "400 Bad Request", {
            "error": f"the body ended after {len(content)} of {length} bytes; nothing was imported"
        }
    try:
        if _media_type(environ) == "application/json":
            content = _lines(content)
        return "200 OK", import_(content, kind)
    except GnomonError as error:
        return "422 Unprocessable Entity", {"error": str(error)}


def _refused(environ: dict[str, Any], token: str | None) -> Answer | None:
    """Why a request is not taken; its body is not read then."""
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    known = scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), (token or "").encode())
    length = environ.get("CONTENT_LENGTH") or ""
    size = int(length) if length.isdigit() else None
    kinds = ", ".join(_KINDS)
    found = environ.get("CONTENT_TYPE") or "none"
    words = (
        (environ["REQUEST_METHOD"] != "POST", "405 Method Not Allowed", "labels are sent with POST"),
        (
            not token,
            "403 Forbidden",
            "labels are off: set GNOMON_TOKEN for gnomon serve, and send it as a Bearer token",
        ),
        (not known, "401 Unauthorized", "send the token of GNOMON_TOKEN as: Authorization: Bearer ..."),
        (size is None, "411 Length Required", "send a Content-Length"),
        (
            (size or 0) > LIMIT,
            "413 Content Too Large",
            f"{size} bytes, at most {LIMIT} are taken; send it in parts, or as a file with gnomon labels import",
        ),
        (
            _media_type(environ) not in _KINDS,
            "415 Unsupported Media Type",
            f"Content-Type must be one of {kinds}: found {found}",
        ),
    )
    return next(((status, {"error": error}) for so, status, error in words if so), None)


def _lines(content: bytes) -> bytes:
    """A JSON object, or an array of them, as JSON lines.

    Raises GnomonError.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GnomonError(f"the body is not JSON: {error}; nothing was imported") from error
    rows = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(row) for row in rows).encode()


def _media_type(environ: dict[str, Any]) -> str:
    return str(environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
