"""What a workspace's answers should not be trusted for: steps that had nothing to learn from, and what they made.

A step that could not do its work publishes what it has, and its manifest says so. These sentences stand in the last
lines of a build and in every report.
"""

from data.storage.manifest import Manifest, read_manifest
from data.storage.workspace import Workspace
from encoders.model.text import SPECIAL
from encoders.options import STAGES
from encoders.word_sense import WordSense
from recsys.fitted.store import read_choices
from recsys.line_up import HTCL_NAMES
from recsys.tuning.choices import Choices

FEW = 0.1
"""Share of the songs that must have vectors of their own."""
ABOVE_CHANCE = 1.2
"""What HTCL must reach on validation, as a multiple of a random order, on some task."""


NEW_SONGS, NEW_PLAYS = 0.2, 0.5
"""Shares of the catalogue and of the listening that came after the encoder was trained, from which that is said. On the
demo (simulated) an encoder that missed the last 26 days before the test, 111 of 1,000 songs and a tenth of the plays,
cost the answers nothing that is shown (next song -0.0006 +- 0.0026 NDCG@100, discovery +0.0027 +- 0.0035)."""


def doubts(workspace: Workspace) -> list[str]:
    """One sentence each; none where every step learned what it is there for."""
    found = []
    for number, stage in enumerate(STAGES, start=1):
        encoder = read_manifest(workspace.encoder(stage))
        if encoder is not None and encoder.facts.get("skipped"):
            why = str(encoder.facts.get("summary", "")).removeprefix("skipped: ").partition(";")[0]
            found.append(f"stage {number} is untrained: {why}")
    encoder = read_manifest(workspace.encoder("preference"))
    found += _of_vectors(read_manifest(workspace.vectors("preference")), encoder)
    found += _of_drift(read_manifest(workspace.dataset), encoder)
    words = WordSense.of(encoder)
    if words.learned and words.refused:
        found.append(words.refused)
    if read_manifest(workspace.tuning.models) is not None:
        choices = read_choices(workspace.tuning.models)
        found += _of_validation(choices)
        found += [f"{name} takes no part in answers: {why}" for name, why in choices.left_out.items()]
    return found


def vectors_differ(workspace: Workspace) -> bool:
    """Whether songs have vectors of their own, so that nearness in HTCL space says something."""
    return not _of_vectors(read_manifest(workspace.vectors("preference")), None)


def _of_drift(dataset: Manifest | None, encoder: Manifest | None) -> list[str]:
    """What came since the encoder was trained, as far as it says what there was."""
    then = {} if encoder is None else encoder.facts.get("catalogue", {})
    now = {} if dataset is None else dataset.facts.get("rows", {})
    found = []
    for then_name, name, most in (("songs", "tracks", NEW_SONGS), ("listens", "listens", NEW_PLAYS)):
        share = 1 - then.get(then_name, 0) / now[name] if now.get(name) and then_name in then else 0.0
        if share > most:
            what = {"tracks": "songs", "listens": "plays"}[name]
            found.append(
                f"{share:.0%} of the {what} came after the encoder was trained: --retrain would learn from them"
            )
    return found


def _of_vectors(vectors: Manifest | None, encoder: Manifest | None) -> list[str]:
    found = []
    if vectors is not None and "distinct" in vectors.facts:
        songs, distinct = int(vectors.facts["item"]), int(vectors.facts["distinct"])
        if songs > 1 and distinct < max(2, FEW * min(songs, 5000)):
            found.append(f"the vectors of {songs:,} songs take {distinct:,} different values: nearness says nothing")
    if encoder is not None and vectors is not None and vectors.facts.get("text"):
        tokens = int(encoder.facts.get("tokens", len(SPECIAL) + 1))
        if tokens <= len(SPECIAL):
            found.append(f"the vocabulary has {tokens} tokens: no text says anything")
    return found


def _of_validation(choices: Choices) -> list[str]:
    """HTCL against a random order on what validation asked."""
    stage_2 = list(HTCL_NAMES)[-1]
    asked = {task: reached for task, reached in choices.validation.items() if reached.get("random", 0) > 0}
    if not asked or stage_2 in choices.left_out:
        return []
    task, best = max(asked.items(), key=lambda item: item[1].get(stage_2, 0.0) / item[1]["random"])
    if best.get(stage_2, 0.0) >= ABOVE_CHANCE * best["random"]:
        return []
    reached = f"{best.get(stage_2, 0.0):.3f} NDCG@100 on {task}, a random order {best['random']:.3f}"
    return [f"HTCL is not above chance on validation: {reached}"]
