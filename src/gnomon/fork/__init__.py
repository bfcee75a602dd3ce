"""Fork: the gateway in front of production. The user's bytes are production's bytes; the copy waits for nobody.

Reads     its configuration, epochs from the control socket
Appends   frames to the runner, counters to a memory-mapped file
Promises  an invalid head never reaches a model; a fault in shadow code costs the copy, never the answer; captured and
          unacknowledged data stays inside one byte budget; every valid head ends in exactly one state of the ledger
Imports   the standard library, msgspec, httptools and uvloop
"""
