"""`make speed`: what a step costs over a lean loop (lean.py), images that are augmented over none (images.py), training
prompts over a bare loop (prompts.py), and how near extracting features comes to one (features.py)."""

from __future__ import annotations

import torch

from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.speed.features import report_features
from benchmarks.speed.images import report_images
from benchmarks.speed.lean import report_evaluation, report_steps
from benchmarks.speed.prompts import report_prompts
from scenarios import DataNotFound


def main() -> None:
    torch.set_num_threads(1)
    try:
        cell = make_grid(load_suite("mnist", methods=["finetune"], scenarios=["split-mnist/domain"], seeds=[0])).cells[
            0
        ]
        scenario = cell.scenario.build(0)
    except DataNotFound:  # steps of one batch of small images: what the harness adds weighs more
        digits = load_suite("digits", methods=["finetune"], scenarios=["permuted-digits/domain"], seeds=[0])
        cell = make_grid(digits).cells[0]
        scenario = cell.scenario.build(0)
    report_steps(scenario, cell.training, cell.model)
    report_evaluation(scenario, cell.training, cell.model)
    # seconds a step: three pairs of few steps are two minutes
    report_images("cpu", steps=2, pairs=3, warmup=1)
    report_prompts("cpu", 4, 5, 1, "timm:vit_tiny_patch16_224", 112)
    report_features("cpu", "timm:tf_efficientnet_lite0", 96, 512)
    if torch.cuda.is_available():
        report_images("cuda", steps=300, pairs=5, warmup=20)
        report_prompts("cuda", 100, 5, 10, "timm:vit_base_patch16_224", 224)
        report_features("cuda", "timm:vit_base_patch16_224", 224, 8192)


if __name__ == "__main__":
    main()
