"""Which release each method was held against: same inputs, same losses, gradients, exemplars or networks.

What was compared and how near it came: results/published/parity.md; the cases: tests/parity.
"""

from __future__ import annotations

from typing import NamedTuple


class Release(NamedTuple):
    """A repository on GitHub and the commit of it that was run."""

    repository: str
    commit: str

    def __str__(self) -> str:
        return f"{self.repository} {self.commit[:7]}"

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}/tree/{self.commit}"


PYCIL = Release("G-U-N/PyCIL", "87cc4110d60765dc3f64af7ef7a693efed8418ff")
MAMMOTH = Release("aimagelab/mammoth", "e75a491c69fd729edeb01431afb753d9157d9a81")
CODA = Release("GT-RIPL/CODA-Prompt", "6417d4f68754be68b697c7ca2323ee61e791e1a3")

HELD_AGAINST: dict[str, Release] = {
    "finetune": PYCIL,
    "lwf": PYCIL,
    "replay": PYCIL,
    "icarl": PYCIL,
    "wa": PYCIL,
    "bic": PYCIL,
    "der_expand": PYCIL,
    "ucir": Release("hshustc/CVPR19_Incremental_Learning", "e5a90aed7640f3b00e5b1a8dfb5376c1628bfe6a"),
    "podnet": Release("arthurdouillard/incremental_learning.pytorch", "c09fc54dc4e9b03f5ea209397bd7ac09d6f27eb1"),
    "foster": Release("G-U-N/ECCV22-FOSTER", "555c7f05d8aa2ef199d6a074feb48566836ae892"),
    "dytox": Release("arthurdouillard/dytox", "4da25c13ef34e827e5361f78dcda08811a413c74"),
    "dne": Release("BinahHu/DNE", "654b37fbccc791ef0a5d12a35d2b75c2e03f4a02"),
    "er": MAMMOTH,
    "der_replay": MAMMOTH,
    "derpp": MAMMOTH,
    "gem": MAMMOTH,
    "a-gem": MAMMOTH,
    "ewc": MAMMOTH,
    "si": MAMMOTH,
    "ncm": Release("sun-hailong/LAMDA-PILOT", "264745534fc2233f5a50b020e50a3472c47eb756"),
    "slda": Release("tyler-hayes/Deep_SLDA", "bc1579799b5925d2e4299c2f45b426d2d4219da5"),
    "fecam": Release("dipamgoswami/FeCAM", "d2479b7bc9c3e704b0835ccd5928a2d7e0df5a09"),
    "ranpac": Release("RanPAC/RanPAC", "012927f86e8d95dc9e7c6015a5e1048e6604c8b6"),
    "aper": Release("zhoudw-zdw/RevisitingCIL", "a2e6b71f6a2fed4421609a0917eea861fa387c76"),
    "ease": Release("sun-hailong/CVPR24-Ease", "6d67508ed8b7c4d23350ed4eb28c123914b40ae3"),
    "slca": Release("GengDavid/SLCA", "169d4e6b91e3ca30caa717200c1944981c4426d1"),
    "inflora": Release("liangyanshuo/InfLoRA", "e08b00edd54f2f10cf2f9826eae7d44fdcb6354b"),
    "sd-lora": Release("WuYichen-97/SD-Lora-CL", "8bacded6eb44786db071f66fb90a87dd660d94ea"),
    "l2p": Release("JH-LEE-KR/l2p-pytorch", "f7bc994365f51221e059b7be18c9b08c369444e6"),
    "dualprompt": Release("JH-LEE-KR/dualprompt-pytorch", "7eb457d988409a6abf97af2b121ffa62dd4b498a"),
    "coda-prompt": CODA,
}
"""By method; the others were held against no release."""
