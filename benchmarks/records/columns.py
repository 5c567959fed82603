"""Columns of the frame of results that are not scores, known without what fills them."""

from __future__ import annotations

BYTES_PER_PARAMETER = 4
MODULES = "flops.inference_modules"
TUNING = "flops.tuning"
OTHER_VIEWS = {view: f"acc.{view}" for view in ("masked", "unmasked")}
"""Columns of ACC of the same logits under the other reading, see `RunRecord.matrix_other_view`."""
