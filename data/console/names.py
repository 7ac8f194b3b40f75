"""The names of our commands: `python -m MODULE` in a checkout, `htcl NAME` by the console script."""

import re
import sys
from pathlib import Path

COMMANDS = {
    "data.prepare": "prepare",
    "data.events": "events",
    "recsys.build_index": "build",
    "recsys.recommend": "recommend",
    "eval.run": "evaluate",
    "eval.report": "report",
    "eval.bench": "bench",
    "eval.ablation": "ablation",
    "encoders.train": "train",
    "encoders.embed": "embed",
    "encoders.convert": "convert",
}
"Module of each command -> its name under the console script `htcl`."


def as_called(text: str) -> str:
    """`text` with every `python -m MODULE` as the caller would write it: `htcl NAME` by the script and in a wheel."""
    if Path(sys.argv[0]).stem != "htcl" and not __name__.startswith("htcl."):
        return text
    return re.sub(r"python -m (\w+\.\w+)", lambda m: f"htcl {COMMANDS[m[1]]}" if m[1] in COMMANDS else m[0], text)
