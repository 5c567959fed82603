"""Every score the harness reports, as data: an id, one formula, a direction, a source.

"Average accuracy" means five things in the literature, "forgetting" at least six. Each meaning has an id of
its own here, so a table can say which one it shows and a number printed by another tool can be recomputed
from our record (metrics/rosetta.py says which tool prints which).

In all formulas rows are i = 0..T (tasks trained so far, 0 = untrained), tasks are j = 1..T, R[i][j] is the
accuracy on task j after training i tasks, J is the matrix of the joint method (upper bound, same backbone).
All values are fractions in [0, 1] or differences of such. A score that needs a cell which was not evaluated
is NaN: no average runs over fewer cells than its formula names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from metrics import formulas
from metrics.accuracy_matrix import AccuracyMatrix
from scenarios.nearest import nearest

Need = Literal["joint", "untrained row", "unseen tasks"]


@dataclass(frozen=True)
class Score:
    """One way to sum up an accuracy matrix.

    id: what settings, tables and the gate call it. name: for a column head or tooltip.
    formula: one line of plain text in the notation of this module.
    direction: whether "higher" or "lower" is better.
    function: takes the matrix, and the joint matrix as a second argument where "joint" is needed.
    source: paper, equation or code base.
    kind: "fraction" lies in [0, 1], "difference" in [-1, 1].
    needs: what the score needs beyond the accuracies on tasks seen so far in rows 1..T, else it is NaN: the
        record of "joint", the "untrained row", accuracies on "unseen tasks" (i < j).
    """

    id: str
    name: str
    formula: str
    direction: Literal["higher", "lower"]
    function: Callable[..., formulas.Array]
    source: str
    kind: Literal["fraction", "difference"] = "fraction"
    needs: tuple[Need, ...] = ()


def score(id: str, matrix: AccuracyMatrix, joint: AccuracyMatrix | None = None) -> float:
    """The score called `id` of this matrix: a fraction or a difference of fractions.

    NaN where the score is undefined: with too few tasks (bwt of one task), where a cell its formula names was
    not evaluated, or where it needs `joint` and there is none.
    Raises ValueError for an unknown id, naming the nearest ones, and for a joint matrix with other tasks.
    """
    if id not in SCORES:
        raise ValueError(f"unknown score {id!r}{nearest(id, SCORES, 'known: ' + ', '.join(SCORES))}")
    wanted = SCORES[id]
    if "joint" not in wanted.needs:
        return float(wanted.function(matrix))
    if joint is None:
        return float("nan")
    if joint.n_tasks != matrix.n_tasks:
        raise ValueError(f"{id}: the joint matrix has {joint.n_tasks} tasks, the method's has {matrix.n_tasks}")
    return float(wanted.function(matrix, joint))


_GEM = "Lopez-Paz & Ranzato 2017"
_GEM_CODE = "released code of Lopez-Paz & Ranzato 2017"
_DIAZ = "Díaz-Rodríguez et al. 2018"
_CHAUDHRY = "Chaudhry et al. 2018"
_DNE = "Hu et al. 2023 (DNE), section 4"
_ARTICLE = "readme of the article on the three scenarios"
_CONTINUUM = "Continuum 1.2.7, continuum/metrics/metrics.py"
_A_I = "A_i = correct / samples over the tests of tasks 1..i after task i"

# fmt: off
_HEADLINE = [
    Score("acc", "average accuracy", "mean over j of R[T][j]",
          "higher", formulas.acc, f"{_GEM}, equation 2"),
    Score("bwt", "backward transfer", "mean over j<T of R[T][j] - R[j][j]",
          "higher", formulas.bwt, f"{_GEM}, equation 3", kind="difference"),
    Score("fwt", "forward transfer", "mean over j>1 of R[j-1][j] - R[0][j]",
          "higher", formulas.fwt, f"{_GEM}, equation 4, the untrained model as baseline", kind="difference",
          needs=("untrained row", "unseen tasks")),
    Score("fm.mean", "forgetting measure", "mean over j<T of (max over j<=i<T of R[i][j]) - R[T][j]",
          "lower", formulas.fm_mean, f"{_CHAUDHRY}, equation 3, averaged over the tasks", kind="difference"),
    Score("fm.max", "largest forgetting", "max over j<T of R[j][j] - R[T][j]",
          "lower", formulas.fm_max, _ARTICLE, kind="difference"),
    Score("la", "last accuracy", f"A_T, where {_A_I}",
          "higher", formulas.la, f"{_DNE}: LA"),
    Score("aa", "average incremental accuracy", f"mean over i=1..T of A_i, where {_A_I}",
          "higher", formulas.aa, f"{_DNE}: AA; Rebuffi et al. 2017"),
    Score("d", "difference to joint", f"A_T of joint - A_T, same backbone, where {_A_I}",
          "lower", formulas.d, f"{_DNE}: D", kind="difference", needs=("joint",)),
    Score("intransigence", "intransigence", "mean over j of J[j][j] - R[j][j], joint trained on tasks 1..j",
          "lower", formulas.intransigence, f"{_CHAUDHRY}, averaged over the tasks", kind="difference",
          needs=("joint",)),
    Score("zero_shot", "zero-shot accuracy", "mean over j>1 of R[j-1][j]",
          "higher", formulas.zero_shot, _ARTICLE, needs=("unseen tasks",)),
    Score("learning_accuracy", "learning accuracy", "mean over j of R[j][j]",
          "higher", formulas.learning_accuracy, "Riemer et al. 2019"),
]

# What other papers and tools print under one of the names above.
_VARIANTS = [
    Score("acc.diaz", "accuracy over the whole training", "mean over i>=j>=1 of R[i][j]",
          "higher", formulas.acc_diaz, f"{_DIAZ}: A"),
    Score("aa.mean", "average incremental accuracy, tasks weighted equally",
          "mean over i=1..T of the mean over j<=i of R[i][j]",
          "higher", formulas.aa_mean, "average of acc after each task; equals aa where all tests have one size"),
    Score("aa.excluding_first", "average incremental accuracy without the first task",
          f"mean over i=2..T of A_i, where {_A_I}",
          "higher", formulas.aa_excluding_first, "Wu et al. 2019 (BiC), Zhao et al. 2020 (WA)"),
    Score("bwt.gem", "backward transfer over all tasks", "mean over j<=T of R[T][j] - R[j][j], the last term 0",
          "higher", formulas.bwt_gem, _GEM_CODE, kind="difference"),
    Score("bwt.diaz", "backward transfer over all pairs", "mean over i>j>=1 of R[i][j] - R[j][j]",
          "higher", formulas.bwt_diaz, f"{_DIAZ}: BWT", kind="difference"),
    Score("bwt.diaz.positive", "positive backward transfer", "max(0, bwt.diaz)",
          "higher", formulas.bwt_diaz_positive, f"{_DIAZ}: BWT+"),
    Score("bwt.diaz.remembering", "remembering", "1 - |min(0, bwt.diaz)|",
          "higher", formulas.bwt_diaz_remembering, f"{_DIAZ}: REM"),
    Score("bwt.continuum", "backward transfer as in Continuum",
          "sum over i>j+1, j>=1 of R[i][j] - R[j][j], over T(T-1)/2",
          "higher", formulas.bwt_continuum, _CONTINUUM, kind="difference"),
    Score("bwt.continuum.positive", "positive backward transfer as in Continuum", "max(0, bwt.continuum)",
          "higher", formulas.bwt_continuum_positive, _CONTINUUM),
    Score("bwt.continuum.remembering", "remembering as in Continuum", "1 - |min(0, bwt.continuum)|",
          "higher", formulas.bwt_continuum_remembering, _CONTINUUM),
    Score("fwt.gem", "forward transfer over all tasks", "mean over j>=1 of R[j-1][j] - R[0][j], the first term 0",
          "higher", formulas.fwt_gem, _GEM_CODE, kind="difference", needs=("untrained row", "unseen tasks")),
    Score("fwt.diaz", "forward transfer over all pairs", "mean over 1<=i<j of R[i][j]",
          "higher", formulas.fwt_diaz, f"{_DIAZ}: FWT", needs=("unseen tasks",)),
    # The number zero_shot gives. It has an id of its own because it is printed as "FWT", which it is not:
    # without a baseline an untrained model scores chance, not 0.
    Score("fwt.nobaseline", "forward transfer without a baseline", "mean over j>1 of R[j-1][j]",
          "higher", formulas.zero_shot, _ARTICLE, needs=("unseen tasks",)),
    Score("fwt.continuum", "forward transfer as in Continuum", "mean over i>j>=1 of R[i][j], tasks already seen",
          "higher", formulas.fwt_continuum, _CONTINUUM),
    Score("fm.final", "forgetting since learning", "mean over j<T of R[j][j] - R[T][j]",
          "lower", formulas.fm_final, "Avalanche: StreamForgetting; the negative of bwt", kind="difference"),
    Score("fm.clamped", "forgetting, gains counted as 0",
          "mean over j<T of max(0, (max over j<=i<T of R[i][j]) - R[T][j])",
          "lower", formulas.fm_clamped, "PyCIL: Forgetting"),
    Score("fm.anytime", "forgetting from the best of all rows",
          "mean over j<T of (max over 1<=i<T of R[i][j]) - R[T][j], also before j was learned",
          "lower", formulas.fm_anytime, f"{_CHAUDHRY}, equation 3 with its l from 1, as in the authors' A-GEM code",
          kind="difference", needs=("unseen tasks",)),
    Score("fm.mammoth", "forgetting as in mammoth",
          "mean over j<T of (max over i>=1, j-1<=i<=T of R[i][j]) - R[T][j]",
          "lower", formulas.fm_mammoth, "mammoth, utils/metrics.py and utils/training.py",
          needs=("unseen tasks",)),
    Score("fm.continuum", "forgetting as in Continuum",
          "sum over j<T-1 of (max over j<=i<T-1 of R[i][j]) - R[T][j], over T-1",
          "lower", formulas.fm_continuum, _CONTINUUM, kind="difference"),
    Score("intransigence.last", "intransigence on the last task", "J[T][T] - R[T][T]",
          "lower", formulas.intransigence_last, f"{_CHAUDHRY} with k = T", kind="difference", needs=("joint",)),
    Score("intransigence.final", "intransigence against the final joint model", "mean over j of J[T][j] - R[j][j]",
          "lower", formulas.intransigence_final, f"{_CHAUDHRY}, for a joint model trained once on all tasks",
          kind="difference", needs=("joint",)),
    Score("intransigence.article", "missing accuracy on the last task", "1 - R[T][T]",
          "lower", formulas.intransigence_article, _ARTICLE),
]
# fmt: on

SCORES: dict[str, Score] = {entry.id: entry for entry in [*_HEADLINE, *_VARIANTS]}
