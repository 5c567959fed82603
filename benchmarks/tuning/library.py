"""Whether the library that searches is there."""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks.request.errors import SettingsError


def check_optuna() -> None:
    """Raises SettingsError where optuna is not installed."""
    if find_spec("optuna") is None:
        raise SettingsError(["tune needs optuna, which is not installed: pip install -r requirements-tune.txt"])


def optuna_version() -> str:
    import optuna

    return str(optuna.__version__)
