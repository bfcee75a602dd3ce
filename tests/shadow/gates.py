"""Custom gates, sound ones and others."""

import json
import os
import re
import sys
import time


def label(pair):
    """1 where the candidate says what production said, else -1."""
    return 1.0 if pair.candidate.json["label"] == pair.production.json["label"] else -1.0


def seen(pair):
    """A quarter for each thing that is as it should be."""
    there = (
        pair.request.json["country"] in {"DE", "FR"},
        pair.request.method == "POST" and pair.request.target == "/predict",
        pair.production.status == pair.candidate.status == 200 and pair.candidate.latency_us > 0,
        ("content-type", "application/json") in pair.request.headers and pair.candidate.body.startswith(b"{"),
    )
    return sum(there) / 4


def unkind(pair):
    """What its request asks for."""
    how = json.loads(pair.request.body).get("how", "well")
    print(pair.request.body, flush=True)
    return HOW[how]()


def _raises():
    raise ValueError("secret")


def _busy():
    """Holds the interpreter's lock for ever: no thread could be ended in it."""
    return re.match(r"(a|aa)+$", "a" * 200 + "b")


HOW = {
    "well": lambda: 0.5,
    "raises": _raises,
    "nan": lambda: float("nan"),
    "infinite": lambda: float("inf"),
    "large": lambda: 1.01,
    "text": lambda: "0.5",
    "true": lambda: True,
    "nothing": lambda: None,
    "whole": lambda: -1,
    "leaves": lambda: sys.exit(0),
    "crashes": lambda: os._exit(3),
    "sleeps": lambda: time.sleep(60),
    "busy": _busy,
}


def spoils(pair):
    """Changes what it was given."""
    pair.candidate.json["label"] = pair.production.json["label"] = "spoilt"
    return 0.0
