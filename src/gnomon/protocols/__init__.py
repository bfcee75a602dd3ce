"""Protocols: how model traffic is read. A selector and a message in, a value out.

Reads     Request, Answer
Promises  a body is parsed once, however many selectors look into it; what a client sent never raises; what an arm
          answered raises Unreadable or WrongShape, and nothing else
Add here  a protocol: one file, one row in `gnomon.plugins.BUILTINS`, its test
"""

from gnomon.protocols.canonical import canonical, text
from gnomon.protocols.segments import segment_value

__all__ = ["canonical", "segment_value", "text"]
