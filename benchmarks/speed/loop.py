"""`make speed`: what the harness costs over a plain PyTorch loop that takes the same steps.

Both train the same MLP on the same images in turn, several times over; the ratio of each pair and the median of
the ratios are printed. MNIST where it is found, else digits enlarged by nothing: its own 8x8 images. Then what
augmented images cost (benchmarks/speed/images.py), and what training prompts does (benchmarks/speed/prompts.py).
"""

from __future__ import annotations

import statistics
import time

import torch
import torch.nn.functional as F

from benchmarks.cell.matmul_backend import fast_products
from benchmarks.cell.run import run_cell
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.speed.images import report_images
from benchmarks.speed.prompts import report_prompts
from methods import OptimizerSettings
from models import MLP, MLPSettings
from scenarios import DataNotFound, Scenario

PAIRS = 5
TARGET = 1.15


def plain_loop(
    scenario: Scenario, hidden: tuple[int, ...], epochs: int, batch_size: int, lr: float, momentum: float
) -> float:
    """Accuracy after a loop as one would write it by hand: float tensors in memory, SGD, evaluation after each task."""
    torch.manual_seed(0)
    backbone = MLP(scenario.image_shape[1] * scenario.image_shape[2], hidden)
    network = torch.nn.Sequential(backbone, torch.nn.Linear(backbone.features, scenario.layout.n_outputs))
    tests = [task.test.examples() for task in scenario.tasks]
    test_images = [scenario.normalise(t.images) for t in tests]
    accuracy = []
    for task in scenario.tasks:
        examples = task.train.examples()
        images, labels = scenario.normalise(examples.images), examples.labels
        optimizer = OptimizerSettings(lr=lr, momentum=momentum).build(network.parameters())
        for _ in range(epochs):
            for rows in torch.randperm(len(labels)).split(batch_size):
                loss = F.cross_entropy(network(images[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            accuracy = [
                (network(x).argmax(1) == t.labels).float().mean() for x, t in zip(test_images, tests, strict=True)
            ]
    return float(torch.stack(accuracy).mean())


def main() -> None:
    torch.set_num_threads(1)
    suite = load_suite("mnist", methods=["finetune"], scenarios=["split-mnist/domain"], seeds=[0])
    cell = make_grid(suite).cells[0]
    try:
        scenario = cell.scenario.build(0)
    except DataNotFound:
        suite = load_suite("digits", methods=["finetune"], scenarios=["permuted-digits/domain"], seeds=[0])
        cell = make_grid(suite).cells[0]
        scenario = cell.scenario.build(0)
    recipe = cell.training
    assert isinstance(cell.model, MLPSettings), "both suites train MLPs"
    assert recipe.epochs is not None, "both suites count epochs"
    optimizer = recipe.optimizer
    print(f"finetune on {cell.scenario_name}, one thread: the harness against a plain PyTorch loop, {PAIRS} pairs")
    ratios = []
    for pair in range(PAIRS):
        start = time.perf_counter()
        with fast_products("cpu"):  # as the harness has them: what is left is its overhead
            plain_loop(scenario, cell.model.hidden, recipe.epochs, recipe.batch_size, optimizer.lr, optimizer.momentum)
        plain = time.perf_counter() - start
        start = time.perf_counter()
        record = run_cell(cell)
        harness = time.perf_counter() - start
        assert record.steps is not None, "only scored predictions have none"
        ratios.append(harness / plain)
        print(
            f"  {pair + 1}: plain {plain:.2f} s, harness {harness:.2f} s, ratio {ratios[-1]:.3f}; "
            f"{1e3 * record.seconds['train'] / record.steps:.3f} ms a step"
        )
    median = statistics.median(ratios)
    verdict = "met" if median <= TARGET else "missed"
    print(f"median ratio {median:.3f} (target at most {TARGET}: {verdict})")
    # seconds a step: three pairs of few steps are two minutes
    report_images("cpu", steps=2, pairs=3, warmup=1)
    report_prompts("cpu", 4, 5, 1, "timm:vit_tiny_patch16_224", 112)
    if torch.cuda.is_available():
        report_images("cuda", steps=300, pairs=5, warmup=20)
        report_prompts("cuda", 100, 5, 10, "timm:vit_base_patch16_224", 224)


if __name__ == "__main__":
    main()
