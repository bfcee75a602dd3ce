"""The demo's modules are scripts beside each other; its tests import them the way they import one another."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))
