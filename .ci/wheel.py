"""Build hook of the wheel: the four packages go below one name, `htcl/`, and so meet no folder of a user's own.

In a checkout they are top-level packages. Installed that way, `data` and `eval` would take the place of the plain
folders `data/` and `eval/` that many projects have, silently. So a wheel holds htcl/data, htcl/encoders, htcl/recsys
and htcl/eval with their imports rewritten, and `import htcl` offers what a newcomer needs. An editable install stays as
the checkout is.
"""

import re
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("data", "encoders", "recsys", "eval")
IMPORTS = re.compile(rf"^(\s*from )((?:{'|'.join(PACKAGES)})(?:\.[\w.]+)? import )", re.MULTILINE)
ENTRANCE = '''"""A music recommender that listens: `from htcl import Recommender, HtclModel, load_dataset`."""

import lazy_loader

__version__ = "{version}"
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules={packages},
    submod_attrs={{
        "data": ["UserError", "Workspace", "load_dataset"],
        "encoders": ["HtclConfig", "HtclModel"],
        "recsys": ["Recommendation", "Recommender"],
    }},
)
'''


def below_one_name(source: str) -> str:
    """Python source with every import of the four packages from below `htcl`."""
    return IMPORTS.sub(r"\1htcl.\2", source)


class WheelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling for every wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the rewritten packages into the wheel. version: standard or editable."""
        if version == "editable":
            return
        root = Path(self.root)
        self.staging = tempfile.TemporaryDirectory(prefix="htcl-wheel-")
        target = Path(self.staging.name) / "htcl"
        for package in PACKAGES:
            for path in sorted((root / package).rglob("*")):
                if path.is_dir() or "__pycache__" in path.parts:
                    continue
                copy = target / path.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix in (".py", ".pyi"):
                    copy.write_text(below_one_name(path.read_text("utf-8")), "utf-8")
                else:
                    copy.write_bytes(path.read_bytes())
        entrance = ENTRANCE.format(version=self.metadata.version, packages=set(PACKAGES))
        (target / "__init__.py").write_text(entrance, "utf-8")
        (target / "py.typed").touch()
        build_data["force_include"][str(target)] = "htcl"
        self.metadata.core.scripts["htcl"] = "htcl.eval.command_line:main"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the copies."""
        if version != "editable":
            self.staging.cleanup()
