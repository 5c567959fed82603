"""Arrays of image files: they stand where tensors do, and become pixels whose draws are their own."""

from __future__ import annotations

import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from methods.parts.reservoir import Reservoir
from scenarios import CorruptImage, Examples, ImageTransform, Normalise, Split
from scenarios.folders import load_tree
from scenarios.image_files import data_workers, decode_ahead
from scenarios.image_transform import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    _allow_no_bits,
    _torchcodec,
    compose,
    pixels_in_training,
    read_image,
)
from tests.scenarios.trees import photo_tree

RICH = ImageTransform(image_size=32, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.5, interpolation="random")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_tree("photos", [photo_tree(tmp_path_factory.mktemp("data") / "photos")])


@pytest.fixture
def files(dataset):
    import dataclasses

    return dataclasses.replace(dataset.train_images, transform=RICH)


def rows(*numbers: int):
    return torch.tensor(numbers)


def test_it_is_selected_from_and_joined_as_a_tensor_is(files):
    assert files.shape == (24, 3, 32, 32)
    chosen = files[rows(5, 3, 3)]
    assert [chosen.path(i) for i in range(3)] == [files.path(5), files.path(3), files.path(3)]
    examples = Examples(files, torch.arange(24), 0)
    both = Examples.concatenate([examples[rows(1, 2)], examples[rows(7)]])
    assert [both.images.path(i) for i in range(3)] == [files.path(i) for i in (1, 2, 7)]
    assert both.nbytes == sum(files.path(i).stat().st_size for i in (1, 2, 7)) + 3 * 8
    with pytest.raises(TypeError, match="decode the files first"):
        Examples.concatenate([examples, Examples(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.zeros(1), 0)])


def test_two_data_sets_do_not_mix(files, tmp_path):
    other = load_tree("photos", [photo_tree(tmp_path / "photos")]).train_images
    with pytest.raises(ValueError, match="different data sets"):
        files.concatenate([files, other])
    with pytest.raises(ValueError, match="cannot be stored among those"):
        files[rows(0)][:] = other[rows(0)]


def test_a_reservoir_of_files_keeps_the_examples_that_one_of_tensors_keeps(files):
    """Images that are their own row number, in memory and as files, through the same buffer."""
    numbers = torch.arange(24)
    kept = []
    for images in (numbers.view(-1, 1, 1, 1).to(torch.uint8), files):
        buffer = Reservoir(7, torch.Generator().manual_seed(0))
        for part in numbers.split(5):
            buffer.add(Examples(images, numbers, 0)[part])
        kept.append(buffer)
    tensors, paths = (buffer.examples for buffer in kept)
    assert torch.equal(tensors.labels, paths.labels)
    assert [paths.images.path(i) for i in range(7)] == [files.path(int(row)) for row in tensors.images.flatten()]
    assert kept[1].nbytes == sum(paths.images.path(i).stat().st_size for i in range(7)) + 7 * 8
    assert torch.equal(files.rows, numbers)  # the data set is as it was


def test_test_pixels_are_timms(files):
    from timm.data import create_transform

    timms = create_transform(32, interpolation="bilinear")
    expected = torch.stack([timms(Image.open(files.path(i)).convert("RGB")) for i in range(24)])
    normalise = Normalise(255.0, IMAGENET_MEAN, IMAGENET_STD)
    assert torch.allclose(normalise(files), expected, atol=1e-5)


@pytest.mark.parametrize("transform", [RICH, ImageTransform(image_size=32, color_jitter=(0.25, 0.0, 0.0))])
def test_training_pixels_are_timms_for_the_same_draws(files, transform):
    """Erased pixels are the mean colour rounded to a level of 255; all others are equal."""
    from timm.data import create_transform

    settings = transform.model_dump(include={"scale", "ratio", "color_jitter", "auto_augment", "re_prob"})
    timms = create_transform(32, is_training=True, interpolation=transform.interpolation, **settings)
    for operation in timms.transforms:
        _allow_no_bits(operation)
    normalise = Normalise(255.0, IMAGENET_MEAN, IMAGENET_STD)
    ours = normalise(torch.stack(_drawn(lambda image: compose(transform, True)(image), files)))
    theirs = torch.stack(_drawn(timms, files))
    level = 1 / 255 / min(IMAGENET_STD)
    assert (ours - theirs).abs().max() <= level / 2 + 1e-4
    rounded = (theirs == 0) if transform.re_prob else torch.zeros_like(theirs, dtype=torch.bool)
    assert torch.allclose(ours[~rounded], theirs[~rounded], atol=1e-5)
    assert rounded.any() == bool(transform.re_prob)


def _drawn(transform, files):
    pixels = []
    for i in range(len(files)):
        random.seed(i)
        np.random.seed(i)  # noqa: NPY002 - timm draws from it
        torch.manual_seed(i)
        pixels.append(transform(Image.open(files.path(i)).convert("RGB")))
    return pixels


def test_an_images_draws_depend_on_seed_and_position_alone(files):
    whole = files.decode(seed=3)
    part = files[rows(9, 2, 17)].decode(seed=3, positions=[9, 2, 17])
    assert torch.equal(part, whole[rows(9, 2, 17)])
    assert not torch.equal(whole, files.decode(seed=4))
    twice = files[rows(1, 1)].decode(seed=3)
    assert not torch.equal(twice[0], twice[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(files, workers):
    batches = [(seed, part) for seed in (1, 2) for part in torch.randperm(24).split(7)]
    alone = list(decode_ahead(files, batches, workers=0))
    assert [len(pixels) for pixels in alone] == [7, 7, 7, 3] * 2
    together = list(decode_ahead(files, batches, workers=workers))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_threads_change_nothing(files, monkeypatch):
    alone = files.decode(), files.decode(seed=1)
    monkeypatch.setenv("DATA_WORKERS", "3")
    assert torch.equal(files.decode(), alone[0])
    assert torch.equal(files.decode(seed=1), alone[1])


@pytest.mark.parametrize("workers", [0, 2])
def test_the_methods_own_draws_do_not_depend_on_augmentation(files, workers):
    def draws():
        return torch.rand(1).item(), random.random(), np.random.rand()  # noqa: NPY002 - what timm draws from

    def seed():
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002

    seed()
    expected = draws()
    seed()
    list(decode_ahead(files, [(1, torch.arange(8))], workers=workers))
    files.decode(seed=5)
    assert draws() == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_corrupt_file_is_named(tmp_path, workers):
    tree = photo_tree(tmp_path / "photos")
    bad = tree / "train/n02/4.JPEG"
    bad.write_bytes(bad.read_bytes()[:400])
    files = load_tree("photos", [tree]).train_images  # what only decoding shows is not seen before
    with pytest.raises(CorruptImage, match=str(bad)):
        list(decode_ahead(files, [(0, part) for part in torch.arange(24).split(6)], workers=workers))
    with pytest.raises(CorruptImage, match=str(bad)):
        files.decode()


def test_grey_and_transparent_images_become_rgb(tmp_path):
    for mode in ("L", "RGBA", "CMYK", "P"):
        path = tmp_path / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new("RGB", (9, 5), (200, 100, 50)).convert(mode).save(path)
        assert read_image(path).mode == "RGB"
        assert read_image(path).size == (9, 5)


@pytest.fixture
def fake_torchcodec(monkeypatch):
    """Stands for the real one where it is not installed: it decodes one file only, and remembers what it was asked."""
    asked = []

    def decode_image(path, mode):
        asked.append((str(path), mode))
        if "unknown" in str(path):
            raise RuntimeError("format not supported")
        return torch.full((3, 5, 9), 7, dtype=torch.uint8)

    monkeypatch.setitem(sys.modules, "torchcodec", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", SimpleNamespace(decode_image=decode_image))
    _torchcodec.cache_clear()
    yield asked
    _torchcodec.cache_clear()


def test_torchcodec_decodes_where_it_is_installed_and_pillow_what_it_cannot(fake_torchcodec, tmp_path):
    known, unknown = tmp_path / "known.png", tmp_path / "unknown.png"
    for path in (known, unknown):
        Image.new("RGB", (9, 5), (200, 100, 50)).save(path)
    assert np.asarray(read_image(known)).tolist() == [[[7, 7, 7]] * 9] * 5
    assert read_image(unknown).getpixel((0, 0)) == (200, 100, 50)
    assert [mode for _, mode in fake_torchcodec] == ["RGB", "RGB"]


def test_torchcodec_and_pillow_agree(files):
    decoders = pytest.importorskip("torchcodec.decoders")
    for i in range(len(files)):
        pixels = decoders.decode_image(files.path(i), mode="RGB").permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, np.asarray(Image.open(files.path(i)).convert("RGB")))


def test_the_number_of_workers_is_checked(monkeypatch):
    monkeypatch.setenv("DATA_WORKERS", "two")
    with pytest.raises(ValueError, match="DATA_WORKERS='two'"):
        data_workers()


def test_posterising_to_no_bits_gives_black(files):
    """Magnitude 10 leaves PosterizeIncreasing 0 bits, which Pillow 13 refuses."""
    everything = compose(ImageTransform(image_size=16, auto_augment="rand-m10-n15-inc1"), True)
    operation = next(op for t in everything.transforms for op in getattr(t, "ops", []) if "Posterize" in op.name)
    operation.prob = 1.0
    photograph = read_image(files.path(0))
    assert np.asarray(operation(photograph)).max() == 0
    assert np.asarray(photograph).max() > 0


def test_one_seed_for_many_images_gives_each_its_own_flip():
    flip_only = ImageTransform(image_size=8, scale=(1, 1), ratio=(1, 1), color_jitter=0.0)
    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    pixels = pixels_in_training([image] * 100, flip_only, 0, range(100))
    flipped = sum(not torch.equal(p, pixels[0]) for p in pixels)
    assert 30 < flipped < 70


def test_16_bit_greys_keep_their_values(tmp_path):
    values = np.array([[0, 257, 1000, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "grey.png")
    assert np.asarray(read_image(tmp_path / "grey.png"))[0, :, 0].tolist() == [0, 1, 4, 128, 255]
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "grey.tiff")
    assert np.asarray(read_image(tmp_path / "grey.tiff"))[0, :, 2].tolist() == [0, 1, 4, 128, 255]
    for name, wrong in (("range", values.astype(np.int32) * 2), ("float", values.astype(np.float32))):
        Image.fromarray(wrong).save(tmp_path / f"{name}.tiff")
        with pytest.raises(CorruptImage, match=f"{name}.tiff cannot be decoded"):
            read_image(tmp_path / f"{name}.tiff")


@pytest.mark.parametrize("suffix", ["jpeg", "png"])
def test_photographs_are_turned_upright(tmp_path, suffix):
    upright = np.zeros((8, 16, 3), dtype=np.uint8)
    upright[:, :8] = 255  # bright on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turned: to be turned clockwise for display
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / f"turned.{suffix}", exif=exif)
    image = np.asarray(read_image(tmp_path / f"turned.{suffix}"))
    assert image.shape == (8, 16, 3)
    assert image[:, :7].min() > 200
    assert image[:, 9:].max() < 55


def test_files_decoded_once_are_the_test_pixels_of_each(tmp_path):
    tree = photo_tree(tmp_path / "photos")
    settings = {"image_size": 16, "test_crop": 1.0}
    cell = {"data": "folder:photos", "setting": "class", "tasks": 2}
    once = Split(**cell, transform={"decode": "once", **settings}).build(0, tmp_path)
    each = Split(**cell, transform=settings).build(0, tmp_path)
    assert once.image_shape == each.image_shape == (3, 16, 16)
    assert once.image_files == ()
    assert len(each.image_files) == 1
    for a, b in zip(once.tasks, each.tasks, strict=True):
        for part in ("train", "test"):
            got, expected = getattr(a, part).examples(), getattr(b, part).examples()
            assert torch.equal(got.labels, expected.labels)
            assert torch.equal(got.images, expected.images.decode())
    assert once.manifest["decoder"] == each.manifest["decoder"]
    assert tree.is_dir()


def test_decoding_once_is_refused_where_memory_lacks_and_says_what_to_do(tmp_path, monkeypatch):
    photo_tree(tmp_path / "photos")
    monkeypatch.setattr("scenarios.image_files.free_memory", lambda: 1000.0)
    stream = Split(data="folder:photos", setting="class", tasks=2, transform={"decode": "once", "image_size": 24})
    with pytest.raises(ValueError, match=r"decode: once needs 0\.0 GB for 24 images of 24 pixels"):
        stream.build(0, tmp_path)


def test_settings_of_the_other_kind_of_transform_are_refused():
    with pytest.raises(ValidationError, match="flip"):
        Split(data="folder:photos", setting="class", tasks=2, transform={"decode": "once", "flip": 0.0})
