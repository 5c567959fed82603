"""What a run is judged by: the accuracy matrix, scores derived from it, statistics over seeds, FLOPs.

`metrics.flops` is imported by its own name: it needs torch, which takes a second to import.
"""

from metrics.accuracy_matrix import AccuracyMatrix
from metrics.formulas import average_accuracy_curve, mean_accuracy_curve, per_task_forgetting
from metrics.rosetta import ROSETTA, Peer, as_printed_by
from metrics.scores import SCORES, Score, score
from metrics.statistics import (
    Difference,
    Estimate,
    PairedDifference,
    PairedTest,
    Summary,
    average_ranks,
    best_method,
    critical_difference,
    half_width,
    holm,
    p_above,
    p_values_against,
    paired_difference,
    paired_p_values,
    paired_t_tests,
    paired_test,
    probability_of_improvement,
    standard_error,
    summarise,
    summarise_each,
    t_quantile,
    welch_difference,
)

__all__ = [
    "ROSETTA",
    "SCORES",
    "AccuracyMatrix",
    "Difference",
    "Estimate",
    "PairedDifference",
    "PairedTest",
    "Peer",
    "Score",
    "Summary",
    "as_printed_by",
    "average_accuracy_curve",
    "average_ranks",
    "best_method",
    "critical_difference",
    "half_width",
    "holm",
    "mean_accuracy_curve",
    "p_above",
    "p_values_against",
    "paired_difference",
    "paired_p_values",
    "paired_t_tests",
    "paired_test",
    "per_task_forgetting",
    "probability_of_improvement",
    "score",
    "standard_error",
    "summarise",
    "summarise_each",
    "t_quantile",
    "welch_difference",
]
