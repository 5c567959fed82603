"""What other tools print, in terms of our scores: the same matrix under each tool's own definitions.

Each peer's metric code was read (version or commit in `verified`) and its definitions re-expressed; nothing
was copied. Two runs agree in these numbers only if their matrices do: tools also differ in which test
samples, which output units and which moment they evaluate. Such differences are listed in `notes`.
"""

from __future__ import annotations

from dataclasses import dataclass

from metrics.accuracy_matrix import AccuracyMatrix
from metrics.scores import score
from scenarios.nearest import nearest


@dataclass(frozen=True)
class Peer:
    """One tool: `printed` maps each name it prints to the id of our score with the same definition.

    scale: 100 for a tool that prints percent, 1 for fractions.
    verified: what was read, or run, to establish the mapping.
    not_expressible: printed names that need more than the counts of the accuracy matrix, with the reason.
    """

    printed: dict[str, str]
    scale: int
    verified: str
    notes: tuple[str, ...] = ()
    not_expressible: tuple[tuple[str, str], ...] = ()


ROSETTA: dict[str, Peer] = {
    "avalanche": Peer(
        printed={
            "Top1_Acc_Stream": "la",
            "Accuracy_On_Trained_Experiences": "la",
            "StreamForgetting": "fm.final",
            "StreamBWT": "bwt",
            "StreamForwardTransfer": "fwt",
        },
        scale=1,
        verified="read: avalanche-lib 0.6.0, avalanche/evaluation/metrics (accuracy, forgetting_bwt, forward_transfer)",
        notes=(
            "values after the last evaluation of the whole test stream, one experience a task",
            "earlier in training Top1_Acc_Stream also averages over tasks not seen yet",
            "forward transfer takes the first evaluation as its baseline: evaluate once before training",
        ),
        not_expressible=(
            ("Top1_AMCA_Stream", "averages over classes"),
            ("CumulativeAccuracy, CumulativeForgetting", "mask the outputs of classes learned later"),
        ),
    ),
    "mammoth": Peer(
        printed={
            "Accuracy": "acc",
            "backward_transfer": "bwt",
            "forward_transfer": "fwt",
            "forgetting": "fm.mammoth",
        },
        scale=100,
        verified="read: utils/metrics.py at d75fe5f, utils/loggers.py and utils/training.py at 032b8a0",
        notes=(
            "Task-IL is the same matrix with the outputs of other tasks masked: give the masked counts",
            "all but Accuracy only with --enable_other_metrics",
            "the accuracy on a task before learning it is taken when its outputs are already active",
            "forgetting takes its best from all rows including the last, so a gain counts as 0",
        ),
    ),
    "pycil": Peer(
        printed={"Average Accuracy (CNN)": "aa", "Forgetting (CNN)": "fm.clamped"},
        scale=100,
        verified="read: trainer.py at a7e3038, utils/toolkit.py at 50f93d9",
        notes=(
            "the NME lines are the same scores of a second matrix, classified by nearest exemplar mean",
            "forgetting groups classes by ten: the same as ours only where every task has ten classes",
            "accuracies are rounded to 0.01 percent before averaging",
        ),
    ),
    "facil": Peer(
        printed={"TAg Acc Avg.": "acc", "TAg Forg Avg.": "fm.mean"},
        scale=100,
        verified="read: src/main_incremental.py at 3e1a0b0, src/utils.py at 74a826f",
        notes=(
            "the last line of each printed block",
            "TAw Acc and TAw Forg are the same scores of the matrix with the outputs of other tasks masked",
        ),
        not_expressible=(
            ("wavg_accs_tag", "weights tasks by their classes; equals la if all classes have as many test samples"),
        ),
    ),
    "continuum": Peer(
        printed={
            "accuracy": "la",
            "accuracy_A": "acc.diaz",
            "average_incremental_accuracy": "aa",
            "backward_transfer": "bwt.continuum",
            "positive_backward_transfer": "bwt.continuum.positive",
            "remembering": "bwt.continuum.remembering",
            "forward_transfer": "fwt.continuum",
            "forgetting": "fm.continuum",
        },
        scale=1,
        verified="run on the matrices of our tests: continuum 1.2.7, continuum/metrics/metrics.py",
        notes=(
            "logged on the tests of the tasks seen so far",
            "backward_transfer leaves out the pairs (j+1, j) but divides by their number too; published: bwt.diaz",
            "forgetting leaves out task T-1 and row T-1 but divides by T-1; published: fm.mean",
            "forward_transfer averages over tasks already seen (i > j); the published one, fwt.diaz, over i < j",
            "in older versions positive_backward_transfer and remembering had each other's names",
            "with a single task it returns 0 where ours is undefined",
        ),
    ),
    "gem-repo": Peer(
        printed={"Final Accuracy": "acc", "Backward": "bwt.gem", "Forward": "fwt.gem"},
        scale=1,
        verified="read: metrics/metrics.py and main.py at 34c6b8e",
        notes=(
            "averages over all T tasks; the paper divides backward and forward transfer by T - 1 (bwt, fwt)",
            "its evaluation never tests the last sample of a test set, but counts it in the total",
        ),
    ),
    "renate": Peer(
        printed={
            "average_accuracy": "acc",
            "micro_average_accuracy": "la",
            "forgetting": "fm.anytime",
            "backward_transfer": "bwt",
            "forward_transfer": "fwt",
        },
        scale=1,
        verified="read: src/renate/evaluation/metrics/classification.py at b7ad37d",
        notes=("with a single task it returns 0 where ours is undefined",),
    ),
    "three-scenarios": Peer(
        printed={
            "ACC": "acc",
            "BWT": "bwt",
            "FM": "fm.max",
            "FWT": "fwt.nobaseline",
            "Intransigence": "intransigence.article",
        },
        scale=1,
        verified="read: the readme of the article's repository, not its code",
        notes=("its matrix is transposed: R[i,j] there is task i after training task j",),
    ),
}


def as_printed_by(tool: str, matrix: AccuracyMatrix) -> dict[str, float]:
    """What `tool` would print for this matrix: its own names, definitions and unit (fraction or percent).

    NaN where the definition needs a cell that was not evaluated.
    Raises ValueError for an unknown tool, naming the nearest.
    """
    if tool not in ROSETTA:
        raise ValueError(f"unknown tool {tool!r}{nearest(tool, ROSETTA)}")
    peer = ROSETTA[tool]
    return {name: peer.scale * score(id, matrix) for name, id in peer.printed.items()}
