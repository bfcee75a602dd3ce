"""The segment of a request: from the request alone, never from an answer, which would let the candidate choose."""

import math
from bisect import bisect_right
from functools import cache
from operator import attrgetter

from gnomon.ports import MISSING, ModelProtocol
from gnomon.protocols.canonical import text
from gnomon.records.frames import Request
from gnomon.records.plan import BELOW, OTHER, Segment
from gnomon.records.plan import MISSING as MISSING_CELL


def segment_value(protocol: ModelProtocol, segment: Segment, request: Request) -> str:
    """The name of the declared value or bin that a request falls into, or `other`, `missing`, `below`.

    A value is matched by its text: 7, 7.0, "7" and a header `7` are all the declared `7`; true is `true`. A bin takes a
    number, or text that reads as one; what is neither is `other` there. null and nothing are `missing`.
    """
    value = protocol.read_request(segment.of, request)
    if value is MISSING or value is None:
        return MISSING_CELL
    if segment.edges:
        return _bin(segment, value)
    try:
        found = text(value)
    except (ValueError, RecursionError):
        return OTHER
    return found if found in segment.values else OTHER


def _bin(segment: Segment, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return OTHER
    if isinstance(value, str) and "_" in value:  # Python's own notation
        return OTHER
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return OTHER
    if math.isnan(number) or math.isinf(number):
        return OTHER
    index = bisect_right(segment.edges, number)
    return _labels(segment)[index - 1] if index else BELOW


_labels = cache(attrgetter("labels"))  # made once for each segment, not for each request
