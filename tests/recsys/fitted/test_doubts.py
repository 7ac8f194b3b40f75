"""What came since an encoder was trained is said once it is much."""

import pytest

from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from recsys.fitted.doubts import doubts


@pytest.mark.parametrize(
    ("songs", "listens", "said"),
    [(100, 1000, []), (124, 1999, []), (126, 1999, ["21% of the songs"]), (90, 2100, ["52% of the plays"])],
)
def test_drift_is_said_from_a_fifth_of_the_songs_and_half_of_the_plays_on(tmp_path, songs, listens, said):
    space = Workspace(tmp_path)
    with publishing(space.encoder("preference"), "encoder-preference") as draft:
        draft.facts |= {"catalogue": {"songs": 100, "listens": 1000}}
    with publishing(space.dataset, "dataset") as draft:
        draft.facts |= {"rows": {"tracks": songs, "listens": listens}}
    found = [doubt for doubt in doubts(space) if "--retrain" in doubt]
    assert len(found) == len(said)
    assert all(doubt.startswith(text) for doubt, text in zip(found, said, strict=True))


def test_an_encoder_that_does_not_say_what_there_was_is_not_doubted(tmp_path):
    space = Workspace(tmp_path)
    with publishing(space.encoder("preference"), "encoder-preference") as draft:
        draft.facts |= {"tokens": 100}
    with publishing(space.dataset, "dataset") as draft:
        draft.facts |= {"rows": {"tracks": 100, "listens": 1000}}
    assert not [doubt for doubt in doubts(space) if "--retrain" in doubt]
