"""Losses, gradients, alignment and exemplars of the convolutional methods against the releases that they cite."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from methods import METHODS
from methods.foster import balanced_distillation, effective_weights
from methods.parts.exemplars import ExemplarMemory, herd
from methods.parts.teacher import Teacher
from methods.podnet import nca, pod_spatial
from methods.wa import align
from models import MLPSettings
from models.cosine_heads import CosineHead, MultiProxyHead
from scenarios import Examples
from tests.parity.cases import Table, TableNetwork, assert_close, at_task, batch_of, cases, numbered
from tests.parity.comparisons import AS_RELEASED


def table_of(inputs, method):
    """The network and the teacher of a case become tables of its logits; returns the batch."""
    method.network = TableNetwork(inputs["logits"]).double()
    if "teacher_logits" in inputs:
        teacher = Table(inputs["teacher_logits"]).double()
        method.teacher = Teacher(teacher, method.layout.past_groups(method.task.id))
    return batch_of(method, numbered(inputs["labels"]), inputs["labels"], inputs["task_sizes"])


def assert_loss(method, inputs, outputs, *, strength=1.0):
    loss = method.loss(table_of(inputs, method))
    loss.backward()
    assert_close(loss, outputs["loss"])
    assert_close(method.network.values.grad, outputs["grad_logits"])


def named(file, *only):
    """The same cases, their ids begun with the file's name."""
    return [pytest.param(*case.values, id=f"{file}-{case.id}") for case in cases(file, *only)]


LOSSES = ("lwf", "finetune", "wa", "icarl", "replay")


def released(name, **settings):
    buffer = {"buffer_size": 20} if "buffer_size" in METHODS[name]().hyperparameters() else {}
    return METHODS[name](**buffer | AS_RELEASED.get(name, {}) | settings)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        pytest.param(name, *case.values, id=f"{name}-{case.id}")
        for name, file in [(n, "replay_herding" if n == "replay" else n) for n in LOSSES]
        for case in cases(file, "task")
    ],
)
def test_loss_and_gradient_are_the_release_s(name, inputs, outputs):
    assert_loss(at_task(released(name), inputs["task_sizes"]), inputs, outputs)


@pytest.mark.parametrize(("inputs", "outputs"), cases("lwf", "task2"))
def test_plain_lwf_differs_from_the_release_by_what_its_settings_say(inputs, outputs):
    method = at_task(METHODS["lwf"](strength=3.0), inputs["task_sizes"])
    batch = table_of(inputs, method)
    plain = method.loss(batch)
    student, teacher = torch.tensor(inputs["logits"]), torch.tensor(inputs["teacher_logits"])
    kept = -((teacher / 2).softmax(1) * (student[:, :4] / 2).log_softmax(1)).sum(1).mean()
    everything = nn.functional.cross_entropy(student, batch.y)
    assert_close(plain, float(everything + 3 * 4 * kept))  # all seen classes compete, and T^2 = 4


@pytest.mark.parametrize(("inputs", "outputs"), cases("wa", "align"))
def test_weight_alignment(inputs, outputs):
    weight = torch.tensor(inputs["weight"], dtype=torch.float64)
    old = sum(inputs["task_sizes"][:-1])
    gamma = align(weight, slice(0, old), slice(old, len(weight)))
    assert gamma == pytest.approx(outputs["gamma"], rel=1e-12)
    assert_close(weight, outputs["weight"])
    assert outputs["bias"] == inputs["bias"]


@pytest.mark.parametrize(("inputs", "outputs"), [*named("replay_herding", "memory"), *named("icarl", "memory")])
def test_exemplars_their_order_and_their_shares(inputs, outputs):
    features, labels = torch.tensor(inputs["features"], dtype=torch.float64), torch.tensor(inputs["labels"])
    sizes = inputs["task_sizes"]
    memory = ExemplarMemory(inputs["memory_size"], "total", "herding", torch.Generator())
    for task in range(len(sizes)):
        first = sum(sizes[:task])
        rows = ((labels >= first) & (labels < first + sizes[task])).nonzero().flatten()
        images = rows.view(-1, 1, 1, 1)  # each image says which row it is
        memory.update(Examples(images, labels[rows], task), lambda e: features[e.images.flatten()])
    kept = memory.examples()
    assert kept.images.flatten().tolist() == outputs["exemplar_rows"]
    assert kept.labels.tolist() == outputs["exemplar_labels"]
    if "class_means" not in outputs:
        return
    unit = nn.functional.normalize(features[kept.images.flatten()], dim=1)
    means = torch.stack([unit[kept.labels == c].mean(0) for c in memory.classes])
    means = nn.functional.normalize(means, dim=1)
    assert_close(means, outputs["class_means"], atol=1e-7)  # the release adds 1e-8 to lengths
    test = nn.functional.normalize(torch.tensor(inputs["test_features"], dtype=torch.float64), dim=1)
    nearest = (test @ means.T).argsort(1, descending=True)
    assert nearest.tolist() == outputs["classes_nearest_first"]


def bic_at(inputs):
    method = at_task(METHODS["bic"](buffer_size=20), inputs["task_sizes"])
    own = method.network
    for correction, values in zip(own.corrections, inputs["alpha_beta"], strict=False):
        correction.data = torch.tensor(values, dtype=torch.float64)
    raw = Table(inputs["raw_logits"]).double()
    own.backbone, own.head = nn.Identity(), raw
    teacher = Table(inputs["teacher_logits_corrected"]).double()
    method.teacher = Teacher(teacher, method.layout.past_groups(method.task.id))
    return method, raw, batch_of(method, numbered(inputs["labels"]), inputs["labels"], inputs["task_sizes"])


@pytest.mark.parametrize(("inputs", "outputs"), cases("bic", "stage1"))
def test_bic_stage_1(inputs, outputs):
    method, raw, batch = bic_at(inputs)
    assert_close(method.network(batch.x), outputs["corrected"])
    loss = method.loss(batch)
    loss.backward()
    assert_close(loss, outputs["loss"])
    assert_close(raw.values.grad, outputs["grad_raw_logits"])


@pytest.mark.parametrize(("inputs", "outputs"), cases("bic", "stage2_plain"))
def test_bic_stage_2_is_the_paper_s(inputs, outputs):
    method, _, batch = bic_at(inputs)
    loss = method._correction_loss(batch)
    loss.backward()
    assert_close(loss, outputs["loss"])
    assert_close(
        method.network.corrections[method.task.id].grad, [outputs["grad_alpha_last"], outputs["grad_beta_last"]]
    )


@pytest.mark.parametrize(("inputs", "outputs"), cases("bic", "stage2_release"))
def test_bic_stage_2_of_the_release_is_a_double_softmax_which_ours_is_not(inputs, outputs):
    method, _, batch = bic_at(inputs)
    corrected = method.network.correct(method.network.head(batch.x))
    assert_close(nn.functional.cross_entropy(corrected.softmax(1), batch.y), outputs["loss"])
    assert abs(method._correction_loss(batch).item() - outputs["loss"]) > 0.4


def ucir_at(inputs, **settings):
    method = at_task(METHODS["ucir"](buffer_size=20, finetune_epochs=0, **settings), inputs["task_sizes"])
    features = Table(inputs["features"]).double()
    head = CosineHead(len(inputs["weight"][0]), len(inputs["weight"])).double()
    head.rows[0].data = torch.tensor(inputs["weight"], dtype=torch.float64)
    head.scale.data = torch.tensor(inputs["sigma"], dtype=torch.float64)
    method.network.backbone, method.network.head = features, head
    method.teacher = Teacher(Table(inputs["old_features"]).double())
    return method, features, head, batch_of(method, numbered(inputs["labels"]), inputs["labels"], inputs["task_sizes"])


@pytest.mark.parametrize(("inputs", "outputs"), cases("ucir", "task"))
def test_ucir_loss_and_gradients(inputs, outputs):
    method, features, head, batch = ucir_at(
        inputs, less_forget=float(inputs["lambda_base"]), ranking=inputs["lw_mr"], ranked=inputs["K"]
    )
    loss = method.loss(batch)
    loss.backward()
    assert method._weight() == pytest.approx(outputs["lambda"])
    assert_close(loss, outputs["loss"])
    assert_close(features.values.grad, outputs["grad_features"])
    assert_close(head.rows[0].grad, outputs["grad_weight"])
    assert_close(head.scale.grad, outputs["grad_sigma"])


@pytest.mark.parametrize(("inputs", "outputs"), cases("ucir", "task2"))
def test_the_ranking_of_ucir_s_paper_is_k_times_the_release_s(inputs, outputs):
    losses = []
    for over in ("mean", "sum"):
        method, _, _, batch = ucir_at(inputs, ranking_over=over, ranked=inputs["K"])
        losses.append(method.loss(batch).detach())
    assert_close(losses[1] - losses[0], (inputs["K"] - 1) * outputs["ranking_before_weight"])


@pytest.mark.parametrize(("inputs", "outputs"), cases("ucir", "imprint"))
def test_ucir_imprinting(inputs, outputs):
    old = torch.tensor(inputs["old_weight"], dtype=torch.float64)
    features, labels = torch.tensor(inputs["features"]), torch.tensor(inputs["labels"])
    head = CosineHead(old.shape[1], len(old)).double()
    head.rows[0].data = old
    head.grow(len(old) + len(outputs["new_weight"]))
    head.rows[1].data = head.rows[1].data.double()
    head.imprint(features, labels - labels.min() + len(old))
    assert_close(head.rows[1], outputs["new_weight"])


@pytest.mark.parametrize(("inputs", "outputs"), cases("ucir", "lambda"))
def test_ucir_weight_of_the_old_features(inputs, outputs):
    for (old, new), expected in zip(inputs["pairs_old_new"], outputs["lambda"], strict=True):
        ours = SimpleNamespace(
            less_forget=inputs["base"],
            adaptive="old",
            layout=SimpleNamespace(share_of_old=lambda _, old=old, new=new: old / (old + new)),
            task=SimpleNamespace(id=1),
        )
        assert_close(torch.tensor(METHODS["ucir"]._weight(ours)), expected)


@pytest.mark.parametrize(("inputs", "outputs"), cases("podnet", "pod_spatial"))
def test_pod_spatial(inputs, outputs):
    maps = [torch.tensor(m, dtype=torch.float64, requires_grad=True) for m in inputs["maps"]]
    loss = pod_spatial(maps, [torch.tensor(m, dtype=torch.float64) for m in inputs["old_maps"]])
    loss.backward()
    assert_close(loss, outputs["loss"])
    for m, grad in zip(maps, outputs["grad_maps"], strict=True):
        assert_close(m.grad, grad)


@pytest.mark.parametrize(
    ("inputs", "outputs"), [c for c in cases("podnet", "nca_release") if not c.values[0].get("hinge_proxynca")]
)
def test_nca_of_the_release(inputs, outputs):
    similar = torch.tensor(inputs["similarities"], dtype=torch.float64, requires_grad=True)
    eta = torch.tensor(inputs["eta"], dtype=torch.float64, requires_grad=True)
    logits = eta * similar
    loss = nca(
        logits,
        torch.tensor(inputs["labels"]),
        eta.detach() * inputs["margin"] * torch.ones(logits.shape[1]),
        form=AS_RELEASED["podnet"]["nca"],
    )
    loss.backward()
    assert_close(loss, outputs["loss"])
    assert_close(similar.grad, outputs["grad_similarities"])
    assert_close(eta.grad, outputs["grad_eta"])


@pytest.mark.parametrize(("inputs", "outputs"), cases("podnet", "classifier"))
def test_podnet_similarities_of_several_proxies(inputs, outputs):
    proxies = torch.tensor(inputs["proxies"], dtype=torch.float64)
    per_class = inputs["proxies_per_class"]
    distance = not inputs["case"].endswith("_cosine")
    head = MultiProxyHead(proxies.shape[1], len(proxies) // per_class, proxies=per_class, distance=distance).double()
    head.rows[0].data = proxies
    features = torch.tensor(inputs["features"], dtype=torch.float64, requires_grad=True)
    similar = head.similarities(features)
    assert_close(similar, outputs["similarities"])
    (similar * torch.tensor(inputs["weights_of_the_sum"], dtype=torch.float64)).sum().backward()
    assert_close(features.grad, outputs["grad_features_of_weighted_sum"])
    assert_close(head.rows[0].grad, outputs["grad_proxies_of_weighted_sum"])


@pytest.mark.parametrize(("inputs", "outputs"), cases("podnet", "task"))
def test_podnet_loss_and_gradients(inputs, outputs):
    similarity = "cosine" if inputs["distance"] == "cosine" else "distance"
    own = {"proxies": inputs["proxies_per_class"], "similarity": similarity, "spatial": inputs["spatial"]}
    method = released("podnet", **own)
    at_task(method, inputs["task_sizes"])

    class Stages(Table):
        def __init__(self, values, maps):
            super().__init__(values)
            self.maps = nn.ParameterList(nn.Parameter(torch.tensor(m, dtype=torch.float64)) for m in maps)

        def forward_stages(self, x):
            return self(x), list(self.maps)

    new = Stages(inputs["features"], inputs["maps"]).double()
    method.teacher = Teacher(Stages(inputs["old_features"], inputs["old_maps"]).double())
    proxies = torch.tensor(inputs["proxies"], dtype=torch.float64)
    head = MultiProxyHead(
        proxies.shape[1],
        sum(inputs["task_sizes"]),
        proxies=inputs["proxies_per_class"],
        distance=similarity == "distance",
    ).double()
    head.rows[0].data, head.scale.data = proxies, torch.tensor(inputs["eta"], dtype=torch.float64)
    method.network.backbone, method.network.head = new, head
    loss = method.loss(batch_of(method, numbered(inputs["labels"]), inputs["labels"], inputs["task_sizes"]))
    loss.backward()
    assert_close(loss, outputs["loss"])
    assert_close(new.values.grad, outputs["grad_features"])
    assert_close(head.rows[0].grad, outputs["grad_proxies"])
    assert_close(head.scale.grad, outputs["grad_eta"])
    for m, grad in zip(new.maps, outputs["grad_maps"], strict=True):
        assert_close(m.grad, grad)


@pytest.mark.parametrize(("inputs", "outputs"), cases("der_expand", "loss"))
def test_der_loss_and_gradients(inputs, outputs):
    known, width = inputs["known_classes"], len(inputs["logits"][0])
    sizes = [known, width - known]
    method = at_task(METHODS["der_expand"](buffer_size=20), sizes)
    logits, auxiliary = Table(inputs["logits"]).double(), Table(inputs["aux_logits"]).double()
    method.network = SimpleNamespace(backbone=lambda x: x, classify=lambda x, task=None: logits(x))
    method.network.backbone = _Passing()
    method._auxiliary = auxiliary
    loss = method.loss(batch_of(method, numbered(inputs["labels"]), inputs["labels"], sizes))
    loss.backward()
    assert_close(loss, outputs["loss"])
    assert_close(logits.values.grad, outputs["grad_logits"])
    assert_close(auxiliary.values.grad, outputs["grad_aux_logits"])


class _Passing(nn.Module):
    newest = 1

    def forward(self, x):
        return x.flatten(1)


@pytest.mark.parametrize(("inputs", "outputs"), cases("foster", "task"))
def test_foster_class_weights(inputs, outputs):
    old, new = inputs["n_c_old_new"]
    sizes = inputs["task_sizes"]
    counts = torch.tensor([old] * sum(sizes[:-1]) + [new] * sizes[-1])
    assert_close(effective_weights(counts, inputs["beta1"]), outputs["class_weights_boosting"])
    assert_close(effective_weights(counts, inputs["beta2"]), outputs["class_weights_compression"])


def waves(offset, *shape, scale=0.5):
    """The release's test networks: the k-th scalar, row by row, is scale * sin(k + offset)."""
    n = torch.Size(shape).numel()
    return (scale * torch.sin(torch.arange(n, dtype=torch.float64) + offset)).view(shape)


@pytest.mark.parametrize(("inputs", "outputs"), cases("foster", "task2"))
def test_foster_boosting_and_compression(inputs, outputs):
    sizes, x = inputs["task_sizes"], torch.tensor(inputs["x"], dtype=torch.float64)
    old, all_ = sum(sizes[:-1]), sum(sizes)
    backbone0, backbone1 = waves(0, 3, 4), waves(80, 3, 4).requires_grad_()
    old_w, old_b = waves(20, old, 3), waves(60, old)
    head_w, head_b = waves(100, all_, 6), waves(200, all_)
    head_w[:old, :3], head_b[:old] = old_w, old_b
    head_w.requires_grad_()
    new_w, new_b = waves(220, all_, 3).requires_grad_(), waves(260, all_)
    old_features, new_features = x @ backbone0.T, x @ backbone1.T
    logits = torch.cat([old_features, new_features], 1) @ head_w.T + head_b
    assert_close(logits, outputs["logits"])
    method = at_task(
        METHODS["foster"](buffer_size=20, temperature=float(inputs["T"]), distill=inputs["lambda_okd"]), sizes
    )

    class Boosted:
        class backbone:
            newest = 3

            def __new__(cls, _):
                return torch.cat([old_features, new_features], 1)

        @staticmethod
        def classify(features, task=None):
            return features @ head_w.T + head_b

    counts = torch.tensor([inputs["n_c_old_new"][0]] * old + [inputs["n_c_old_new"][1]] * sizes[-1])
    method.network = Boosted
    method._weights = effective_weights(counts, inputs["beta1"]).double()
    method._new_head = lambda f: f @ new_w.T + new_b
    method._old_head = lambda f: f @ old_w.T + old_b
    loss = method._boosting_loss(batch_of(method, x, inputs["labels"], sizes))
    loss.backward()
    assert_close(loss, outputs["boosting_loss"])
    assert_close(backbone1.grad, outputs["boosting_grad_backbone1"])
    assert_close(head_w.grad, outputs["boosting_grad_head"])
    assert_close(new_w.grad, outputs["boosting_grad_new_head"])

    student_w = waves(300, all_, 3)
    student_w[:old] = old_w
    student_b = torch.full((all_,), 0.1, dtype=torch.float64)
    student_b[:old] = old_b
    student_backbone, student_w = backbone0.clone().requires_grad_(), student_w.requires_grad_()
    student = (x @ student_backbone.T) @ student_w.T + student_b
    weights = effective_weights(counts, inputs["beta2"]).double()
    loss = balanced_distillation(student, logits.detach(), weights, inputs["T"])
    loss.backward()
    assert_close(loss, outputs["compression_loss"])
    assert_close(student_backbone.grad, outputs["compression_grad_backbone"])
    assert_close(student_w.grad, outputs["compression_grad_head"])


def test_the_unit_draw_of_output_rows_is_pycil_s():
    from models.heads import drawn

    torch.manual_seed(0)
    layer = drawn(512, 400, init="unit")
    bound = (3 / 512) ** 0.5  # nn.init.kaiming_uniform_(weight, nonlinearity="linear"), PyCIL convs/linears.py
    assert bound * 0.999 < float(layer.weight.abs().max()) <= bound
    assert float(layer.weight.norm(dim=1).mean()) == pytest.approx(1, abs=0.01)
    assert not layer.bias.any()
    assert MLPSettings(head_init="unit").head_init == "unit"


def test_herding_prefers_no_row_twice():
    assert sorted(herd(torch.randn(12, 3), 12).tolist()) == list(range(12))
