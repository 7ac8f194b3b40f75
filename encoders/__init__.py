"""From a track to a vector: the HTCL model, its two training stages, and encoding of whole catalogues."""

from importlib.util import find_spec
from pathlib import Path

import lazy_loader

for _name in ("data",):
    _spec = find_spec(f"{__name__.rpartition('.')[0]}.{_name}".lstrip("."))
    _path = "nothing of that name" if _spec is None else _spec.origin or f"a folder {_name}/"
    if Path(_path).parent.parent.resolve() != Path(__file__).parent.parent.resolve():
        raise ImportError(
            f"encoders needs its own package `{_name}`, but Python finds {_path} first: rename that, run from another "
            "folder, or use the command `htcl`, which looks in none of yours."
        )

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
