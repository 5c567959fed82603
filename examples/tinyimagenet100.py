"""Lays out the half of Tiny-ImageNet that the suite tinyimagenet100-lite trains on.

    python examples/tinyimagenet100.py tiny-imagenet-200 "$DATA_ROOT/tinyimagenet100"

The first is the folder that the archive of Stanford's CS231n (http://cs231n.stanford.edu/tiny-imagenet-200.zip) unpacks to.
Copies, of the 100 classes in scenarios/class_lists/tinyimagenet100_wnids.txt, the 500 training images a class, and as
the validation part the 50 a class that val/val_annotations.txt labels.
"""

import argparse
import shutil
from pathlib import Path

CLASSES = Path(__file__).parents[1] / "scenarios/class_lists/tinyimagenet100_wnids.txt"


def lay_out(source: Path, target: Path) -> None:
    classes = CLASSES.read_text().split()
    for wnid in classes:
        shutil.copytree(source / "train" / wnid / "images", target / "train" / wnid)
        (target / "val" / wnid).mkdir(parents=True)
    for line in (source / "val/val_annotations.txt").read_text().splitlines():
        image, wnid = line.split("\t")[:2]
        if wnid in classes:
            shutil.copy(source / "val/images" / image, target / "val" / wnid)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the unpacked tiny-imagenet-200")
    parser.add_argument("target", type=Path, help="a folder that does not exist yet")
    given = parser.parse_args()
    if not (given.source / "val/val_annotations.txt").is_file():
        parser.error(f"{given.source} has no val/val_annotations.txt: is it the unpacked tiny-imagenet-200?")
    if given.target.exists():
        parser.error(f"{given.target} is there already")
    lay_out(given.source, given.target)
    print(f"{given.target}: now `python -m benchmarks data folder:{given.target.name}` checks it")
