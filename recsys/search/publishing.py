"""The text index of a workspace: made from the dataset alone, and kept."""

from data.dataset import Dataset
from data.storage.manifest import is_current, verify
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from recsys.search.text_index import TextIndex

FILE = "texts.sqlite"
FORMAT = 1


def ensure_text_index(workspace: Workspace, dataset: Dataset) -> None:
    """Publish it, unless it is there."""
    made_from, settings = {"dataset": dataset.fingerprint}, {"format": FORMAT}
    if is_current(workspace.texts, made_from, settings):
        return
    index = TextIndex.build(dataset.tracks)
    with publishing(workspace.texts, "texts", made_from, settings) as draft:
        (draft.folder / FILE).write_bytes(index.to_bytes())
        draft.facts["songs"] = dataset.tracks.height


def read_text_index(workspace: Workspace, dataset: Dataset) -> TextIndex:
    """The published one, checksum verified; made now where a build of an older version left none of this dataset.

    Raises DamagedError where it is damaged.
    """
    if not is_current(workspace.texts, {"dataset": dataset.fingerprint}, {"format": FORMAT}):
        return TextIndex.build(dataset.tracks)
    verify(workspace.texts)
    return TextIndex.from_bytes((workspace.texts / FILE).read_bytes())
