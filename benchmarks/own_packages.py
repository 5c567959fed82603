"""Where Retain's packages would be imported from: their plain names may be those of a user's folders too."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("methods", "metrics", "models", "scenarios")


def in_the_way() -> tuple[Path | None, str] | None:
    """The first folder or file that Python would import in place of one of Retain's packages, and that package's name;
    None where all four are Retain's. Imports none of them."""
    return next(((found, name) for name in PACKAGES if (found := place_of_module(name)) != ROOT / name), None)


def place_of_module(name: str) -> Path | None:
    """The folder of a package, or the file of a module, that `import name` gives; None where there is none, or no file."""
    try:
        spec = find_spec(name)
    except ValueError:  # of a module that was made otherwise, such as __main__
        return None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]).resolve() if places else Path(spec.origin).resolve() if spec and spec.origin else None
