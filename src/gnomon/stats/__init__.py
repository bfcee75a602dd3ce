"""Stats: pure mathematics on counts. No I/O, no records, no randomness.

Use       import gnomon.stats as gs; gs.tango_interval(b=12, c=15, n=400). The equation and the source of each
          function are on docs/statistics/functions.md
Promises  integers in, the same bits out, however the counts were gathered; no data is no evidence (e = 1, p = 1, an
          interval of all that is possible, or NoEstimate and why); nothing returned is NaN, and no e-value infinite
Add here  one file for one family of methods, its source in the docstring, its check against an independent
          computation in `tests/stats`, its line on the page, its error rate in `bench/simulate.py`
"""

from gnomon.stats.agreement import Kappa, cohen_kappa
from gnomon.stats.betting import (
    CAP,
    GRID,
    Claim,
    e_holm,
    e_promote,
    e_reject,
    kelly,
    lower_bounds,
    relative_claim,
    tabulate,
    tabulate_weighted,
    upper_bounds,
)
from gnomon.stats.means import asymptotic_interval, mean_e, mean_interval, relative_e
from gnomon.stats.multiple import anytime_p, attempt_alpha, e_mean, holm
from gnomon.stats.paired import (
    connor_sample_size,
    discordant_e,
    mcnemar_exact,
    mcnemar_midp,
    nam_sample_size,
    newcombe_interval,
    tango_interval,
    tango_test,
)
from gnomon.stats.planning import (
    planned_units,
    ratio_units,
    rejection_units,
    smallest_detectable,
    stop_probability,
)
from gnomon.stats.proportions import clopper_pearson, conditional_binomial, farrington_manning, wilson_interval
from gnomon.stats.quantiles import (
    e_quantile_above,
    e_quantile_below,
    latency_edge,
    lower_rank,
    next_edge,
    ratio_e,
    ratio_e_reject,
    scan_e,
    scan_e_reject,
    upper_rank,
    uses_scan,
)
from gnomon.stats.results import Estimate, Interval, NoEstimate, Test
from gnomon.stats.weights import hajek, horvitz_thompson, horvitz_thompson_mean

__all__ = [
    "CAP",
    "GRID",
    "Claim",
    "Estimate",
    "Interval",
    "Kappa",
    "NoEstimate",
    "Test",
    "anytime_p",
    "asymptotic_interval",
    "attempt_alpha",
    "clopper_pearson",
    "cohen_kappa",
    "conditional_binomial",
    "connor_sample_size",
    "discordant_e",
    "e_holm",
    "e_mean",
    "e_promote",
    "e_quantile_above",
    "e_quantile_below",
    "e_reject",
    "farrington_manning",
    "hajek",
    "holm",
    "horvitz_thompson",
    "horvitz_thompson_mean",
    "kelly",
    "latency_edge",
    "lower_bounds",
    "lower_rank",
    "mcnemar_exact",
    "mcnemar_midp",
    "mean_e",
    "mean_interval",
    "nam_sample_size",
    "newcombe_interval",
    "next_edge",
    "planned_units",
    "ratio_e",
    "ratio_e_reject",
    "ratio_units",
    "rejection_units",
    "relative_claim",
    "relative_e",
    "scan_e",
    "scan_e_reject",
    "smallest_detectable",
    "stop_probability",
    "tabulate",
    "tabulate_weighted",
    "tango_interval",
    "tango_test",
    "upper_bounds",
    "upper_rank",
    "uses_scan",
    "wilson_interval",
]
