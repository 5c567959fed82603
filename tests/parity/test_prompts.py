"""Prompts of a frozen transformer, against what the releases' own code computed from the same numbers (golden/*.json).

Where a release lets the batch choose, or mixes prefixes over it, ours is held to its cases of single images.
"""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from benchmarks.cell.run import task_view
from benchmarks.cost.empty import empty_scenario
from benchmarks.cost.valueless import META, valueless
from methods import METHODS
from methods.coda_prompt import Components, orthogonal
from methods.core.recipe import Recipe
from methods.dualprompt import Complementary
from methods.l2p import Pool
from models import Network, model_settings
from models.heads import LinearHead
from models.prompts import PromptedTransformer, attend, cosines
from scenarios import Split
from tests.parity.cases import GOLDEN, assert_close, at_task, batch_of

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
SIZES = [2, 2]
"""Classes of the tasks of the golden networks; the second is learned."""


def golden(name: str):
    document = json.loads((GOLDEN / f"{name}.json").read_text())
    return document["inputs"], document["outputs"]


def tensor(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def set_to(module: nn.Module, **values: Tensor) -> None:
    """Parameters of `module`, or lists of them, to these values."""
    for name, value in values.items():
        held = getattr(module, name)
        for parameter, wanted in (
            zip(held, value, strict=True) if isinstance(held, nn.ParameterList) else [(held, value)]
        ):
            assert parameter.shape == wanted.shape
            parameter.data = wanted.clone()


def filled(parameters) -> dict[str, Tensor]:
    """Parameters (name, shape) by the formula of the golden networks."""
    found = {}
    for i, (name, shape) in enumerate(parameters):
        k = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
        start = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        found[name] = (start + 0.5 * torch.sin(k + 0.37 * k * k + 10 * i)).view(shape)
    return found


class Backbone(nn.Module):
    def __init__(self, model: nn.Module, features: int):
        super().__init__()
        self.model, self.features = model, features


def transformer(values: dict[str, Tensor], side: int, patch: int, depth: int, ratio: float) -> PromptedTransformer:
    """timm's transformer of two heads with these parameters, prompted."""
    from timm.models.vision_transformer import VisionTransformer

    width = values["cls_token"].shape[-1]
    model = VisionTransformer(
        side,
        patch,
        1,
        0,
        embed_dim=width,
        depth=depth,
        num_heads=2,
        mlp_ratio=ratio,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    ).double()
    model.load_state_dict({name: values[name] for name in model.state_dict()})
    return PromptedTransformer(Backbone(model, width))


def network(backbone: PromptedTransformer, prompts: nn.Module, head: dict[str, Tensor]) -> Network:
    weight, bias = head.values()
    net = Network(backbone, LinearHead(weight.shape[1], len(weight)).double())
    set_to(net.head.linear, weight=weight, bias=bias)
    net.prompts = prompts
    return net


def in_second_task(name: str, **settings):
    """The method in its second task, of classes 2 and 3."""
    return at_task(METHODS[name](**settings), SIZES, Recipe())


# ---- L2P -----------------------------------------------------------------------------------------------------------


def pool_of(inputs) -> Pool:
    pool = Pool(1, inputs["pool"], 1, inputs["length"], len(inputs["keys"][0]), -1.0)
    set_to(pool, prompts=tensor(inputs["prompts"])[None, :, None], keys=tensor(inputs["keys"])[None])
    return pool


def test_each_image_takes_the_prompts_of_its_own_nearest_keys():
    inputs, outputs = golden("l2p")
    inputs, expected = inputs["layer"], outputs["own_choice"]
    pool, query, tokens = pool_of(inputs), tensor(inputs["query"]), tensor(inputs["tokens"])
    prompts, similarity = pool(query, inputs["top_k"])
    embedded = torch.cat([prompts[:, 0, :, 0].flatten(1, 2), tokens], dim=1)
    assert_close(embedded, expected["prompted_embedding"], **CLOSE)
    assert_close(cosines(query, pool.keys)[:, 0], expected["similarity"], **CLOSE)
    pulled = similarity.sum() / len(query)
    assert_close(pulled, expected["reduce_sim"], **CLOSE)
    assert_close(torch.autograd.grad(pulled, pool.keys)[0][0], expected["d_reduce_sim_d_keys"], **CLOSE)
    for image in (2, 3):  # the release's vote has no power over an image alone
        alone = outputs[f"batch_vote_image_{image}_alone"]
        assert set(similarity_ids(query[image : image + 1], pool, 2)[0]) == set(alone["prompt_idx"][0])
        assert_close(pool(query[image : image + 1], 2)[1].sum(), alone["reduce_sim"], **CLOSE)
    assert similarity_ids(query, pool, 2) == expected["prompt_idx"] != outputs["batch_vote"]["prompt_idx"]


def similarity_ids(query: Tensor, pool: Pool, k: int) -> list[list[int]]:
    return cosines(query, pool.keys)[:, 0].topk(k, dim=1).indices.tolist()


def test_cosines_of_other_queries_and_of_given_keys():
    inputs, outputs = golden("l2p")
    pool, tokens = pool_of(inputs["layer"]), tensor(inputs["layer"]["tokens"])
    mean, largest = tokens.mean(dim=1), tokens.max(dim=1).values
    for case, query in {"query_mean": mean, "query_max": largest, "query_mean_max": largest + 2 * mean}.items():
        assert_close(cosines(query, pool.keys)[0, 0], outputs[case]["similarity_row0"], **CLOSE)
        assert similarity_ids(query, pool, 2) == outputs[case]["prompt_idx"]
        assert_close(pool(query, 2)[1].sum() / len(query), outputs[case]["reduce_sim"], **CLOSE)
    query, expected = tensor(inputs["layer"]["query"]), outputs["mask_of_task_1"]
    given = cosines(query, pool.keys[:, expected["prompt_idx"][0]])
    assert_close(given.sum() / len(query), expected["reduce_sim"], **CLOSE)
    pool.keys.data = pool.prompts.data[:, :, 0].mean(dim=2)
    assert similarity_ids(query, pool, 2) == outputs["no_key_mean_of_prompt"]["prompt_idx"]
    assert_close(pool(query, 2)[1].sum() / len(query), outputs["no_key_mean_of_prompt"]["reduce_sim"], **CLOSE)


class Positioned(PromptedTransformer):
    """With positions of the prompts, which the release adds; it gives them all the class token's."""

    positions: Tensor

    def forward(self, x, prompts=None, prefixes=None):
        return super().forward(x, None if prompts is None else prompts + self.positions, prefixes)


def test_the_network_of_l2p():
    inputs, outputs = golden("l2p")
    inputs, expected, learned = (
        inputs["network"],
        outputs["network_own_choice_eval"],
        outputs["network_own_choice_train"],
    )
    shape = inputs["img_size"], inputs["patch"], inputs["depth"], inputs["mlp_ratio"]
    plain, values = filled(inputs["query_network_parameters"]), filled(inputs["prompted_network_parameters"])
    positions, slots = values["pos_embed"], inputs["top_k"] * inputs["length"]
    values["pos_embed"] = torch.cat([positions[:, :1], positions[:, 1 + slots :]], dim=1)
    method = in_second_task("l2p", pool=5, length=2, top_k=2, strength=inputs["pull_coefficient"])
    backbone, query_network = transformer(values, *shape), transformer(plain, *shape)
    backbone.__class__ = Positioned
    backbone.positions = positions[:, 1 : 1 + slots]
    pool = Pool(1, 5, 1, 2, 8, -1.0)
    set_to(pool, prompts=values["prompt.prompt"][None, :, None], keys=values["prompt.prompt_key"][None])
    method.network = network(backbone, pool, {n: values[f"head.{n}"] for n in ("weight", "bias")})
    method._query = query_network.forward
    x = tensor(inputs["images"])
    assert_close(method._query(x), expected["query"], **CLOSE)
    assert_close(method._prompted(x)[0], expected["pre_logits"], **CLOSE)
    assert_close(method.predict(x), expected["logits"], **CLOSE)
    # by a vote, images 2 and 3 get other prompts
    assert (method.predict(x) - tensor(outputs["network_vote_eval"]["logits"])).abs().amax(dim=1)[2:].min() > 0.01
    loss = method.loss(batch_of(method, x, inputs["labels"], SIZES))
    # ours has 1 - cosine, the release -cosine
    assert_close(loss - inputs["pull_coefficient"] * inputs["top_k"], learned["loss"])
    loss.backward()
    assert_close(pool.prompts.grad[0, :, 0], learned["grad_prompt.prompt"])
    assert_close(pool.keys.grad[0], learned["grad_prompt.prompt_key"])
    assert_close(method.network.head.linear.weight.grad, learned["grad_head.weight"])
    assert_close(method.network.head.linear.bias.grad, learned["grad_head.bias"])


def test_prefixes_of_l2p_plus_plus():
    inputs, outputs = golden("coda_release_dualprompt_l2p")
    query, inputs, expected = tensor(inputs["query"]), inputs["l2p"], outputs["l2p++_train"]
    half = inputs["length"] // 2
    pool = Pool(1, inputs["pool"], 2, half, 4, 0.0)
    set_to(pool, prompts=tensor(inputs["prompts"]).unflatten(1, (2, half))[None], keys=tensor(inputs["keys"])[None])
    prompts, similarity = pool(query, inputs["top_k"])
    assert similarity_ids(query, pool, 2) == expected["chosen"]
    keys, values = prompts[:, 0].transpose(1, 2).flatten(2, 3).unbind(1)
    assert_close(keys, expected["keys"], **CLOSE)
    assert_close(values, expected["values"], **CLOSE)
    assert_close((1 - similarity).sum(), expected["loss_over_own_keys_only_transcribed"], **CLOSE)


@pytest.mark.parametrize(("case", "blocks"), [("shallow", 1), ("deep", 5)])
def test_blocks_of_l2p_plus_plus(case, blocks):
    method = in_second_task(
        "l2p", tuning="prefix", pool=6, top_k=5, blocks=blocks, length=10, matching="sum", strength=1.0
    )
    given, forward = {}, method.network.backbone.forward
    method.network.backbone.forward = lambda x, prompts=None, prefixes=None: (given.update(prefixes or {}), forward(x))[
        1
    ]
    features, distances = method._prompted(torch.rand(2, 1, 8, 8))
    assert list(given) == golden("coda_release_dualprompt_l2p")[1]["l2p++_layers"][case]
    assert [tuple(p.shape) for p in given[0]] == [(2, 50, 64)] * 2
    assert features.shape == (2, 64)
    assert distances.shape == (2,)


# ---- DualPrompt ----------------------------------------------------------------------------------------------------


def test_prefixes_of_an_image_do_not_depend_on_its_batch():
    inputs, outputs = golden("dualprompt")
    inputs = inputs["layer"]
    layers, kv, ids, length, heads, width = inputs["shape"]
    index = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in inputs["shape"]), indexing="ij")
    layer, part, task, position, head, channel = index
    table = layer * 1000 + part * 500 + task * 100 + position * 10 + head * 4 + channel
    experts = table.permute(2, 0, 1, 3, 4, 5).flatten(-2)  # [tasks, layers, 2, length, d]
    prompts = Complementary(
        nn.Parameter(torch.zeros(0, kv, 1, heads * width)), ids, layers, length, heads * width, True, -1.0
    )
    set_to(prompts, experts=experts, expert_keys=tensor(inputs["keys"])[:, None])
    query, expected = tensor(inputs["query"]), outputs["own_choice_batch_of_3"]
    similarity, chosen = cosines(query, prompts.keys(range(ids))).max(dim=-1)
    assert chosen.tolist() == expected["prompt_idx"] != outputs["vote_batch_of_3"]["prompt_idx"]
    assert_close(cosines(query, prompts.keys(range(ids)))[:, 0], expected["similarity"], **CLOSE)
    assert_close(similarity.sum() / len(query), expected["reduce_sim"], **CLOSE)
    gradients = torch.autograd.grad(similarity.sum() / len(query), list(prompts.expert_keys))
    assert_close(torch.cat(gradients), expected["d_reduce_sim_d_keys"], **CLOSE)
    prefixes = torch.stack(prompts(range(ids), chosen)[0], dim=1).unflatten(-1, (heads, width))
    for image in range(3):
        alone = outputs[f"image_{image}_alone"]
        assert chosen[image].tolist() == alone["prompt_idx"][0]
        assert_close(prefixes[image : image + 1], alone["prefix_layer0"], **CLOSE)
        assert_close(similarity[image].sum(), alone["reduce_sim"], **CLOSE)
    assert not torch.equal(prefixes, tensor(expected["prefix_layer0"]))  # the release's reshape mixes them
    told, expected = cosines(query, prompts.keys([2]))[..., 0], outputs["mask_of_task_2_batch_of_3"]
    assert_close(told.sum() / len(query), expected["reduce_sim"], **CLOSE)
    gradient = torch.autograd.grad(told.sum() / len(query), prompts.expert_keys[2])[0]
    assert_close(gradient[0], expected["d_reduce_sim_d_keys"][2], **CLOSE)


@pytest.mark.parametrize("release", ["dualprompt", "coda_prompt"])
def test_attention_with_a_prefix(release):
    from timm.layers import Attention

    inputs, outputs = golden(release)
    inputs, expected = inputs["prefix_attention"], outputs["prefix_attention"]
    attention = Attention(inputs["dim"], inputs["heads"], qkv_bias=True).double()
    attention.load_state_dict(filled(inputs["parameters"]))
    x = tensor(inputs["x"])
    if release == "dualprompt":
        keys, values = tensor(inputs["prefix"]).flatten(-2).unbind(1)
    else:
        keys, values = tensor(inputs["prefix_keys"]), tensor(inputs["prefix_values"])
    assert_close(attend(attention, x, keys, values), expected["with_prefix"], **CLOSE)
    assert_close(attend(attention, x, keys[:, :0], values[:, :0]), expected["without"], **CLOSE)


def network_of_dualprompt(inputs):
    plain = dict(inputs["query_network_parameters"])
    names = list(plain.items())
    for place, name, shape in (
        [2, "g_prompt", [2, 2, 2, 2, 4]],
        [5, "e_prompt.prompt", [3, 2, 3, 2, 2, 4]],
        [6, "e_prompt.prompt_key", [3, 8]],
    ):
        names.insert(place, (name, shape))
    values, shape = filled(names), (inputs["img_size"], inputs["patch_size"], inputs["depth"], inputs["mlp_ratio"])
    prompts = Complementary(nn.Parameter(values["g_prompt"].flatten(-2)), 3, 3, 2, 8, True, -1.0)
    experts = values["e_prompt.prompt"].flatten(-2).permute(2, 0, 1, 3, 4)
    set_to(prompts, experts=experts, expert_keys=values["e_prompt.prompt_key"][:, None])
    method = in_second_task("dualprompt", general_length=2, expert_length=2, strength=float(inputs["pull_coefficient"]))
    method.network = network(transformer(values, *shape), prompts, {n: values[f"head.{n}"] for n in ("weight", "bias")})
    method._query = transformer(filled(inputs["query_network_parameters"]), *shape).forward
    method.seen = 3
    return method


def test_the_network_of_dualprompt():
    inputs, outputs = golden("dualprompt")
    inputs, expected, learned = (
        inputs["network"],
        outputs["network_eval_one_by_one"],
        outputs["network_train_one_image"],
    )
    method, x = network_of_dualprompt(inputs), tensor(inputs["images"])
    prompts = method.network.prompts
    assert_close(method._query(x), outputs["network_eval_batch_of_4"]["query"], **CLOSE)
    similarity = cosines(method._query(x), prompts.keys(range(3)))
    assert_close(similarity[:, 0], outputs["network_eval_batch_of_4"]["similarity"], **CLOSE)
    assert similarity.argmax(dim=-1).tolist() == expected["prompt_idx"]
    assert_close(method.predict(x), expected["logits"], **CLOSE)
    loss = method.loss(batch_of(method, x[:1], inputs["labels"][:1], SIZES))
    assert_close(loss - inputs["pull_coefficient"], learned["loss"])  # ours has 1 - cosine, the release -cosine
    loss.backward()
    assert prompts.experts[0].grad is None  # what is of another task is not touched
    assert prompts.expert_keys[2].grad is None
    assert_close(prompts.general.grad.unflatten(-1, (2, 4)), learned["grad_g_prompt"])
    assert_close(prompts.experts[1].grad.unflatten(-1, (2, 4)), tensor(learned["grad_e_prompt.prompt"])[:, :, 1])
    assert_close(prompts.expert_keys[1].grad[0], learned["grad_e_prompt.prompt_key"][1])
    assert_close(method.network.head.linear.weight.grad, learned["grad_head.weight"])
    assert_close(method.network.head.linear.bias.grad, learned["grad_head.bias"])


def test_prefixes_of_dualprompt_in_coda_s_release():
    inputs, outputs = golden("coda_release_dualprompt_l2p")
    query, inputs, expected = tensor(inputs["query"]), inputs["dual"], outputs["dual_eval"]
    general = tensor(inputs["general_prompt"]).unflatten(0, (2, 1))[None]
    prompts = Complementary(nn.Parameter(general), 3, 1, 2, 4, False, 0.0)
    set_to(
        prompts,
        experts=tensor(inputs["prompts"]).unflatten(1, (2, 2))[:, None],
        expert_keys=tensor(inputs["keys"])[:, None],
    )
    chosen = cosines(query, prompts.keys(range(3))).argmax(dim=-1)
    assert chosen.flatten().tolist() == expected["chosen"]
    first, found = (prompts(range(3), chosen)[block] for block in (0, 1))
    for place, part in enumerate(("keys", "values")):
        assert_close(found[place], expected[part], **CLOSE)
        assert_close(first[place], outputs["dual_general_layer_0"][part], **CLOSE)
    told = prompts([1], torch.zeros(3, 1, dtype=torch.int64))[1]
    expected = outputs["dual_train_task_1"]
    assert_close(torch.stack(told), [expected["keys"], expected["values"]], **CLOSE)
    distance = (1 - cosines(query, prompts.keys([1]))).sum()
    assert_close(distance, expected["loss"], **CLOSE)
    assert_close(torch.autograd.grad(distance, prompts.expert_keys[1])[0][0], expected["grad_keys"][1], **CLOSE)


def test_blocks_of_dualprompt_in_coda_s_release():
    shapes = golden("coda_release_dualprompt_l2p")[1]["dual_prefix_shapes_by_layer"]
    general = torch.zeros(2, 2, 1, 4)
    prompts = Complementary(nn.Parameter(general), 3, 3, 2, 4, False, 0.0)
    prefixes = prompts(range(3), torch.zeros(3, 3, dtype=torch.int64))
    for layer, expected in shapes.items():
        found = prefixes.get(int(layer))
        assert (found and [list(p.shape) for p in found]) == expected


# ---- CODA-Prompt ---------------------------------------------------------------------------------------------------


def components_of(inputs, kinds=("prompts", "keys", "attention")) -> Components:
    """One block's."""
    tasks, m = inputs["tasks"], inputs["pool"] // inputs["tasks"]
    components = Components(tasks, m, 1, inputs["length"] // 2, 6)
    given = [tensor(inputs[kind]).unflatten(0, (tasks, m))[:, None] for kind in kinds]
    set_to(components, prompts=given[0], keys=given[1], attentions=given[2])
    return components


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_weighted_components(tasks):
    inputs, outputs = golden("coda_prompt")
    components, query = components_of(inputs["layer"]), tensor(inputs["layer"]["query"])
    keys, values = components(query, tasks)[0]
    for case in (f"task{tasks}_train_penalty_0.1", f"task{tasks}_eval"):
        if case in outputs:
            assert_close(keys, outputs[case]["keys"], **CLOSE)
            assert_close(values, outputs[case]["values"], **CLOSE)
    if tasks == 3:
        return
    penalty = 0.1 * components.penalty(tasks)
    assert_close(penalty, outputs[f"task{tasks}_train_penalty_0.1"]["penalty"], **CLOSE)
    if tasks == 1:
        return
    for case, loss in (("task2_train_penalty_0.1", penalty), ("task2_train_penalty_0", 0.0)):
        expected = outputs[case]
        components.zero_grad()
        (loss + keys.sum() + 2 * values.sum()).backward(retain_graph=True)
        assert components.keys[0].grad is None  # components of earlier tasks are left alone
        new = slice(2, 4)
        assert_close(components.keys[1].grad[0], expected["grad_keys"][new], **CLOSE)
        if loss is penalty:
            assert_close(components.attentions[1].grad[0], expected["grad_attention"][new], **CLOSE)
            assert_close(components.prompts[1].grad[0].sum(dim=-1), expected["grad_prompts"][new], **CLOSE)


def test_new_components_start_as_the_release_s():
    inputs, outputs = golden("coda_prompt")
    given, draws = tensor(inputs["layer"]["keys"]), tensor(inputs["gram_schmidt"]["draws"])
    first = orthogonal(given[:0], draws[:2])
    assert_close(first, outputs["gram_schmidt_task1"]["result"][:2], **CLOSE)
    second = orthogonal(given[:2], draws[:2])
    assert_close(second, outputs["gram_schmidt_task2_after_training"]["result"][2:4], **CLOSE)
    assert_close(
        second @ torch.cat([given[:2], second]).T,
        outputs["gram_schmidt_task2_after_training"]["products_new_with_all"],
        **CLOSE,
    )
    untrained, case = orthogonal(first, draws[2:]), outputs["gram_schmidt_task2_from_result_of_task1"]
    assert_close(untrained, case["result"][2:4], **CLOSE)
    prompts = tensor(inputs["layer"]["prompts"])
    started = orthogonal(prompts[:2].flatten(1), tensor(inputs["gram_schmidt"]["draws_for_prompts"]))
    assert_close(started.view(2, 4, 6), outputs["gram_schmidt_prompts_task2"]["result_components_2_and_3"], **CLOSE)


def test_penalties():
    inputs, outputs = golden("coda_prompt")
    alone = outputs["ortho_penalty_alone"]
    for kind, expected in (("keys", alone["of_keys"]), ("prompts", alone["of_prompts_flat"])):
        others = {"prompts", "keys", "attentions"} - {kind}
        part = components_of(inputs["layer"])
        for other in others:  # six components of length 0 are a penalty of 1/6
            for parameter in getattr(part, other):
                parameter.data.zero_()
        assert_close(part.penalty(3) - 2 / 6, expected, **CLOSE)


def test_the_network_of_coda_prompt():
    inputs, outputs = golden("coda_prompt")
    inputs, expected, learned = inputs["network"], outputs["network_eval"], outputs["network_train"]
    values = filled(inputs["parameters"])
    method = in_second_task("coda-prompt", pool=6, length=2, ortho=inputs["mu"])
    shape = inputs["img_size"], inputs["patch_size"], inputs["depth"], inputs["mlp_ratio"]
    backbone = transformer({n.removeprefix("feat."): v for n, v in values.items()}, *shape)
    components = Components(3, 2, 5, 2, 8)
    stacked = {kind: torch.stack([values[f"prompt.e_{kind}_{block}"] for block in range(5)]) for kind in "pka"}
    tasks = {kind: value.unflatten(1, (3, 2)).transpose(0, 1) for kind, value in stacked.items()}
    set_to(components, prompts=tasks["p"], keys=tasks["k"], attentions=tasks["a"])
    columns = sum(SIZES)
    head = {n: values[f"last.{n}"][:columns] for n in ("weight", "bias")}
    method.network = network(backbone, components, head)
    x = tensor(inputs["images"])
    assert_close(method._query(x), expected["query"], **CLOSE)
    assert_close(method._prompted(x)[0], expected["features"], **CLOSE)
    assert_close(method.predict(x), expected["logits"], **CLOSE)
    loss = method.loss(batch_of(method, x, inputs["labels"], SIZES))
    assert_close(loss, learned["loss"])
    loss.backward()
    assert_close(components.keys[1].grad[0], learned["grad_k0"][2:4])
    assert_close(components.attentions[1].grad[0], learned["grad_a0"][2:4])
    assert_close(components.prompts[1].grad[4].sum(dim=-1), learned["grad_p4_sum_over_channels"][2:4])
    assert_close(method.network.head.linear.bias.grad, learned["grad_last_bias"][:columns])


# ---- how many parameters -------------------------------------------------------------------------------------------

COUNTED = {
    "l2p": ("l2p", {}),
    "dualprompt": ("dualprompt", {}),
    "coda_prompt": ("coda-prompt", {}),
    "dualprompt_of_the_coda_release": ("dualprompt", {"general_length": 3, "expert_length": 10, "keys": "block"}),
    "l2p++_of_the_coda_release": ("l2p", {"tuning": "prefix", "pool": 30, "length": 10}),
}


@pytest.mark.parametrize("case", COUNTED)
def test_trainable_parameters_on_vit_b_16(case):
    """CIFAR-100 in 10 tasks, head included; of shapes alone, on the meta device."""
    name, settings = COUNTED[case]
    expected = golden("parameter_counts")[1][case]
    assert trainable(name, settings) == expected["total_trainable"]


def trainable(name: str, settings: dict) -> int:
    scenario = empty_scenario(Split(data="cifar100", setting="class", tasks=10), 0, None, META, most=1)
    model = model_settings({"backbone": "timm:vit_base_patch16_224", "image_size": 224})
    with valueless(), META:
        method = METHODS[name](**settings).start(scenario, model, device=META)
        for task in scenario.tasks:
            method.enter(task_view(scenario, task, False))
    return method.parameters_report()["trainable"]
