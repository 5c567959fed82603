"""Objects as tensors and plain data, and back: files that are read without running anything in them.

`encode` walks an object into a table of nodes, each the name of a kind and plain data; what is reached twice is stored
once, so that a parameter and the optimizer over it meet again. `decode` makes the objects anew. Of classes and
functions only names are stored, and only those in names.py are looked up; an object is made without a call of its
constructor, and no function is called that the file chooses.
"""

from benchmarks.cell.state.decoder import decode
from benchmarks.cell.state.encoder import encode
from benchmarks.cell.state.file import BrokenFile, read_state, write_state
from benchmarks.cell.state.names import CannotStore, NotStored, modules_of

__all__ = [
    "BrokenFile",
    "CannotStore",
    "NotStored",
    "decode",
    "encode",
    "modules_of",
    "read_state",
    "write_state",
]
