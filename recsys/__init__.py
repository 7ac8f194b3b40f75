"""From a history to songs: vector index, candidate sources, fusion, and the Recommender."""

from importlib.util import find_spec
from pathlib import Path

import lazy_loader

for _name in ("data", "encoders"):
    _spec = find_spec(_name)
    _path = "nothing of that name" if _spec is None else _spec.origin or f"a folder {_name}/"
    if Path(_path).parent.parent.resolve() != Path(__file__).parent.parent.resolve():
        raise ImportError(
            f"recsys needs its own package `{_name}`, but Python finds {_path} first: rename that, run from another "
            "folder, or use the command `htcl`, which looks in none of yours."
        )

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _version() -> str:
    from importlib.metadata import version

    return version("htcl-recsys")


__version__ = _version()
