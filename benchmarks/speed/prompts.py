"""`make speed`, third part: what training prompts costs in the harness over a plain loop that takes the same steps.

Both prompt the same frozen vision transformer with the prefixes of CODA-Prompt: a pass without prompts for the query, one
with them, a step of Adam.
"""

from __future__ import annotations

import statistics
from functools import partial

import torch
import torch.nn.functional as F

from benchmarks.cell.fit import Trainer, fit
from benchmarks.cell.run import task_view
from benchmarks.cell.timing import now
from methods import METHODS, Method, OptimizerSettings, Recipe
from models import ModelSettings, model_settings
from scenarios import DataNotFound, Scenario, Split

PROMPT_TARGET = 1.10


def started(scenario: Scenario, recipe: Recipe, model: ModelSettings, device: str, **settings) -> Method:
    """CODA-Prompt before the first step of the first task."""
    method = METHODS["coda-prompt"](**settings).start(scenario, model, recipe, 0, device)
    method.enter(task_view(scenario, scenario.tasks[0], False, method.device))
    return method


def plain_loop(method: Method, steps: int) -> None:
    """`steps` as one would write them by hand, on the transformer, the components and the head of `method`: timm's own
    forward, with attention to a step's prefixes put in the place of its own."""
    network, task, recipe = method.network, method.task, method.recipe
    vit, prompts, columns = network.backbone.transformer, network.prompts, task.outputs
    learned = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=recipe.optimizer.lr, fused=True)
    images, labels = task.train.images, task.train.labels
    order = torch.randperm(len(labels), device=labels.device)
    prefixes: dict[int, tuple[torch.Tensor, ...]] = {}
    plain = [block.attn.forward for block in vit.blocks]

    def attend(attention, index, x, **_):
        if index not in prefixes:
            return plain[index](x)
        n, p, d = x.shape
        q, k, v = attention.qkv(x).view(n, p, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        pk, pv = (t.view(n, t.shape[1], attention.num_heads, -1).transpose(1, 2) for t in prefixes[index])
        seen = F.scaled_dot_product_attention(q, torch.cat([pk, k], 2), torch.cat([pv, v], 2))
        return attention.proj(seen.transpose(1, 2).reshape(n, p, d))

    for place, block in enumerate(vit.blocks):
        block.attn.forward = partial(attend, block.attn, place)
    try:
        for step in range(steps):
            rows = order[step * recipe.batch_size % len(order) :][: recipe.batch_size]
            x, y = network.backbone.resize(method.normalise(images[rows])), labels[rows]
            with torch.no_grad():
                query = vit(x)
            keys, attentions, components = prompts.keys[0], prompts.attentions[0], prompts.prompts[0]
            for block in range(len(keys)):
                asked = F.normalize(query[:, None] * attentions[block], dim=-1)
                weights = (asked * F.normalize(keys[block], dim=-1)).sum(-1)
                prefixes[block] = torch.einsum("nm,mld->nld", weights, components[block]).chunk(2, dim=1)
            loss = F.cross_entropy(network.head(vit(x))[:, columns], y - columns.start)
            prefixes.clear()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        for block, forward in zip(vit.blocks, plain, strict=True):
            block.attn.forward = forward


def prompt_ratios(
    scenario: Scenario, recipe: Recipe, model: ModelSettings, device: str, pairs: int, warmup: int = 1, **settings
) -> list[float]:
    """The harness's loop / the plain one, a ratio for each of `pairs` runs of both in turn."""
    assert recipe.steps is not None, "both take as many steps"
    method, trainer = started(scenario, recipe, model, device, **settings), Trainer()
    runs = (
        partial(plain_loop, method),
        lambda steps: fit(method, method.phase(method.task.train, steps=steps), trainer),
    )
    for run in runs:
        run(warmup)  # pays for what comes only once; and the FLOPs of a first step are counted
    ratios = []
    for _ in range(pairs):
        plain, harness = (_seconds(run, recipe.steps, device) for run in runs)
        ratios.append(harness / plain)
    return ratios


def _seconds(run, steps: int, device: str) -> float:
    start = now(device)
    run(steps)
    return now(device) - start


def report_prompts(device: str, steps: int, pairs: int, warmup: int, backbone: str, side: int) -> None:
    """Prints the ratios of CODA-Prompt on CIFAR-100 in 10 tasks, batch 16, with a transformer of random weights."""
    try:
        scenario = Split(data="cifar100", setting="class", tasks=10).build(0)
    except DataNotFound as error:
        print(f"prompts on {device}: not measured, {error}")
        return
    adam = OptimizerSettings(name="adam", lr=1e-3)
    recipe = Recipe(epochs=None, steps=steps, batch_size=16, drop_last=True, optimizer=adam)
    print(f"CODA-Prompt, {backbone} at {side} pixels, {device}, {steps} steps: the harness against a plain loop")
    model = model_settings({"backbone": backbone, "image_size": side})
    ratios = prompt_ratios(scenario, recipe, model, device, pairs, warmup)
    print("  ratios " + ", ".join(f"{ratio:.3f}" for ratio in ratios))
    median = statistics.median(ratios)
    verdict = "met" if median <= PROMPT_TARGET else "missed"
    print(f"median ratio {median:.3f} (target at most {PROMPT_TARGET}: {verdict})")
