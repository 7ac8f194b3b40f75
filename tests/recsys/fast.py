"""Our commands with next to no training, run by a process that has imported everything once and forks for each of them.

`python fast.py` reads one JSON object a line: {"module", "arguments", "folder", "die": [when, pattern] or null}. Each
command runs as `python -m MODULE ARGUMENTS` in a process of its own; its output goes to `folder`/out and `folder`/err,
its exit code at last to `folder`/code. With `die` the process kills itself (SIGKILL) just before or after the first
file or folder that is moved to a path matching the pattern: the moments at which a power cut would hurt most.
"""

import fnmatch
import json
import os
import runpy
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import data.prepare
import encoders.model.config
import encoders.training.publish_stage
import encoders.training.stages
import recsys.settings
import recsys.tuning.fusion_weights
import recsys.tuning.search_space
from data.storage.workspace import Workspace

TRACKS = 60
TRIALS = 2
TINY_TRAINING = {"epochs": 2, "steps_per_epoch": 2, "batch_size": 24, "crop_frames": 32}
TINY_AUDIO = {"conv_filters": [32, 32, 32], "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64}


def make_small() -> None:
    """Two epochs of two steps, a model of one layer, two trials a source, a demo catalogue of 60 songs."""
    for key, settings in encoders.training.presets.SETTINGS.items():
        encoders.training.presets.SETTINGS[key] = settings.model_copy(update=TINY_TRAINING)
    encoders.training.publish_stage.preset_config = small_config
    recsys.settings.TuningSettings.model_fields["trials"].default = TRIALS
    recsys.settings.TuningSettings.model_rebuild(force=True)
    few = {"iterations": (5,), "factors": (8,)}
    recsys.tuning.search_space.SPACE |= {"bpr": few, "lmf": few}
    recsys.tuning.search_space.SPACE["sasrec"] = {"dim": (8,), "epochs": (1,), "fewest_steps": (5,)}
    recsys.tuning.fusion_weights.WEIGHTS = (0.0, 1.0)
    full = data.prepare.prepare_demo

    def prepare_small(workspace: Workspace) -> None:
        full(workspace, data.prepare.smaller_demo(TRACKS / 1000, seed=7))

    data.prepare.prepare_demo = prepare_small


def small_config(preset: str, vocabulary: int = 1000) -> encoders.model.config.HtclConfig:
    """One layer of width 32 in either tower, whatever the preset."""
    return encoders.model.config.HtclConfig(
        audio_config=encoders.model.config.HtclAudioConfig(**TINY_AUDIO, num_attention_heads=4, dropout=0.0),
        text_config=encoders.model.config._small_bert(vocabulary, 32, 1),
        text_pooling="mean",
        head_dropout=0.0,
        projection_dim=16,
        statistics_hidden=16,
    )


def die_at(when: str, pattern: str) -> None:
    """Have this process killed when something is moved to a path that matches."""
    replace = os.replace

    def replace_or_die(source: Any, target: Any, **folders: Any) -> None:
        matches = fnmatch.fnmatch(Path(target).as_posix(), pattern)
        if matches and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target, **folders)
        if matches:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_or_die


def run(module: str, arguments: list[str], folder: str, die: tuple[str, str] | None) -> None:
    """Become the command. Does not return."""
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT), number)
    if die is not None:
        die_at(*die)
    sys.argv = [module, *arguments]
    code: Any = 0
    sys.modules.pop(module, None)  # as in a fresh process, so that runpy has nothing to warn about
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def serve() -> None:
    """Fork for each line; a process between waits for the command and notes its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork() > 0:
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            run(**task)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        written = Path(task["folder"]) / "code.new"
        written.write_text(str(code))
        written.rename(written.with_suffix(""))
        os._exit(0)


if __name__ == "__main__":
    make_small()
    for imported in ("eval.run", "recsys.recommend"):  # only now: they take what was made small by name
        import_module(imported)
    serve()
