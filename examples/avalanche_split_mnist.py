"""Avalanche's Naive and Replay on a scenario of Retain's, from its manifest to files of predictions.

    retain manifest split-mnist-avalanche --output manifests
    python examples/avalanche_split_mnist.py manifests predictions --data-root data

It imports nothing of Retain, and needs avalanche-lib (0.6.0 was tried) and torchvision's MNIST. Network, epochs, batch
size, learning rate and buffer size are those that the manifest says of the suite. docs/other-tools.md tells what then
becomes of the predictions.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from avalanche.benchmarks import tensors_benchmark
from avalanche.models import IncrementalClassifier
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive, Replay
from torch import nn
from torchvision.datasets import MNIST


def load(root, manifest):
    """Normalised images and labels of each task, training and test, the rows that the manifest lists."""
    data = manifest["data"]
    parts = {"train": MNIST(root, train=True).data, "test": MNIST(root, train=False).data}
    tasks = {"train": [], "test": []}
    for task in manifest["tasks"]:
        for part, images in parts.items():
            pixels = images[torch.tensor(task[part]["ids"])].unsqueeze(1)
            if hashlib.sha256(pixels.numpy().tobytes()).hexdigest() != task[part]["sha256"]:
                raise SystemExit(f"task {task['task']}, {part}: not the images that the manifest was made of")
            x = (pixels / data["scale"] - data["mean"][0]) / data["std"][0]
            tasks[part].append((x, torch.tensor(task[part]["labels"])))
    return tasks


class MLP(nn.Module):
    """Hidden layers as the manifest says, and an output layer that grows with the classes seen."""

    def __init__(self, inputs, hidden):
        super().__init__()
        sizes = [inputs, *hidden]
        layers = [part for a, b in zip(sizes, sizes[1:]) for part in (nn.Linear(a, b), nn.ReLU())]
        self.features = nn.Sequential(nn.Flatten(), *layers)
        self.classifier = IncrementalClassifier(sizes[-1], initial_out_features=2)

    def forward(self, x):
        return self.classifier(self.features(x))


def train(name, manifest, tasks):
    """Trains one strategy over all tasks; yields how many tasks it has trained, and its network."""
    recipe, seed = manifest["protocol"]["training"], manifest["seed"]
    RNGManager.set_random_seeds(seed)
    model = MLP(int(np.prod(manifest["data"]["shape"])), manifest["protocol"]["model"]["hidden"])
    optimizer = torch.optim.SGD(
        model.parameters(), lr=recipe["optimizer"]["lr"], momentum=recipe["optimizer"]["momentum"]
    )
    common = {
        "criterion": nn.CrossEntropyLoss(),
        "train_mb_size": recipe["batch_size"],
        "train_epochs": recipe["epochs"],
    }
    common |= {"model": model, "optimizer": optimizer, "evaluator": EvaluationPlugin()}
    if name == "replay":
        strategy = Replay(mem_size=manifest["methods"]["er"]["buffer_size"], **common)
    else:
        strategy = Naive(**common)
    stream = tensors_benchmark(tasks["train"], tasks["test"], task_labels=[0] * len(tasks["train"])).train_stream
    for seen, experience in enumerate(stream, 1):
        strategy.optimizer.state.clear()  # momentum starts anew with every task, as in the suite
        strategy.train(experience)
        yield seen, model.eval()


def predict(name, manifest, tasks):
    """Logits of the test images of all tasks learned so far after each task, by row of the test set."""
    after, ids, logits = [], [], []
    for seen, model in train(name, manifest, tasks):
        for task in range(seen):
            with torch.no_grad():
                scores = model(tasks["test"][task][0])
            # outputs that do not exist yet are not a number
            padded = torch.full((len(scores), manifest["n_outputs"]), float("nan"))
            padded[:, : scores.shape[1]] = scores
            after += [seen] * len(scores)
            ids += manifest["tasks"][task]["test"]["ids"]
            logits.append(padded.numpy())
    return {"after_task": np.array(after), "id": np.array(ids), "logits": np.concatenate(logits)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifests", type=Path, help="a folder of manifests (.json)")
    parser.add_argument("predictions", type=Path, help="the folder to write to")
    parser.add_argument("--data-root", default="data", help="where torchvision's MNIST lies")
    arguments = parser.parse_args()
    arguments.predictions.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for path in sorted(arguments.manifests.glob("*.json")):
        manifest = json.loads(path.read_text())
        tasks = load(arguments.data_root, manifest)
        for name in ("naive", "replay"):
            file = arguments.predictions / f"{name}.seed{manifest['seed']}.npz"
            np.savez(file, manifest=manifest["identity"], **predict(name, manifest, tasks))
            print(file, flush=True)
