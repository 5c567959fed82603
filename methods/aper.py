"""APER: adapt and merge, first published as ADAM (Zhou et al. 2024)."""

from methods.core.method import hyper
from methods.ncm import MeansHead
from methods.parts.first_session import FirstSession, Tuning
from models.vision_transformer import check_transformer


class APER(FirstSession):
    """The backbone is tuned on the first task alone; each class is the mean of [plain features; tuned features].

    An image gets the class of the largest cosine with the whole vector. What is tuned is thrown together with a
    cosine head, which goes after the first task. SimpleCIL (`ncm` with cosines) is the same without tuning.

    Published training: SGD 0.01, momentum 0.9, weight decay 5e-4, cosine, 20 epochs in batches of 48.
    """

    about = "tunes a pretrained backbone on the first task; class means of plain and tuned features"
    source = "Zhou et al. 2024, Revisiting class-incremental learning with pre-trained models"
    backbones = ("timm",)
    reads_pixels = True
    beside_plain = True

    tuning: Tuning = hyper(
        "adapter", "parts that the first task trains", "Zhou et al. 2024; adapter is best on most data sets"
    )

    @classmethod
    def check_backbone(cls, model):
        check_transformer(cls.__name__, model)

    def _tuning(self):
        return self.tuning

    def _head(self, features, columns):
        return MeansHead(features, columns, "cosine", unit_length=False)
