"""Charts as Altair objects: they show in a notebook, save as SVG or PNG, and stand inline in the HTML report.

Right is better for the candidate, everywhere. No fact is in a colour alone: results have a shape and a word, arms a
shape, cells of a matrix their count. Texts that come from models and users are data of the chart and never markup.
"""

from gnomon.report.charts.bars import ledger, progress
from gnomon.report.charts.dress import PALETTE, Chart, inline, png, save, svg
from gnomon.report.charts.evalues import e_values
from gnomon.report.charts.forest import forest
from gnomon.report.charts.latency import latency
from gnomon.report.charts.matrix import agreement

__all__ = [
    "PALETTE",
    "Chart",
    "agreement",
    "e_values",
    "forest",
    "inline",
    "latency",
    "ledger",
    "png",
    "progress",
    "save",
    "svg",
]
