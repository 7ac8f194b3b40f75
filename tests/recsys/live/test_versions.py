"""The version that answers is swapped as a whole, and the one before goes on for whoever has it open."""

import shutil

import pytest

from data.errors import DamagedError
from data.storage.workspace import Workspace
from recsys.live import versions
from recsys.recommender import Recommender
from tests.recsys.faults import answering


def test_what_answers_holds_no_copies(built):
    files = [path for path in answering(built).rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.stat().st_ino == (built / path.relative_to(answering(built))).stat().st_ino


def test_a_dataset_that_was_prepared_anew_darkens_nothing(commands, copy_of_built):
    before = Recommender.load(copy_of_built).search("calm", 5)
    assert commands.run("data.prepare", "demo", "-w", copy_of_built, "--seed", 7, "--replace").code == 0
    assert Recommender.load(copy_of_built).search("calm", 5) == before
    title = before[0].title
    assert title is not None
    asked = commands.run("recsys.recommend", "-w", copy_of_built, "--like", title, "--json")
    assert asked.code == 0, asked.err
    shutil.rmtree(copy_of_built / "index")
    assert Recommender.load(copy_of_built).search("calm", 5) == before


def test_publishing_what_answers_already_changes_nothing(copy_of_built):
    space = Workspace(copy_of_built)
    version = versions.publish(space)
    moment = (space.versions / version).stat().st_mtime_ns
    assert versions.publish(space) == version == versions.named(space)
    assert (space.versions / version).stat().st_mtime_ns == moment


def test_the_version_before_stays_for_whoever_opens_it_just_now(commands, copy_of_built):
    space, seen = Workspace(copy_of_built), [versions.named(Workspace(copy_of_built))]
    for kind in ("exact", "faiss-hnsw", "faiss-flat"):
        assert commands.run("recsys.build_index", "-w", copy_of_built, "--index", kind).code == 0
        seen.append(versions.named(space))
        assert {path.name for path in space.versions.glob("v-*")} == set(seen[-2:])
    assert len(set(seen)) == 4


def test_a_workspace_from_before_there_were_versions_answers_from_its_own_folders(copy_of_built):
    before = Recommender.load(copy_of_built).search("calm", 5)
    shutil.rmtree(copy_of_built / "live")
    assert Recommender.load(copy_of_built).search("calm", 5) == before


@pytest.mark.parametrize("name", ["../../etc", "", "v-0123456789abcdef"])
def test_a_pointer_that_leads_nowhere_is_refused(copy_of_built, name):
    (copy_of_built / "live/CURRENT").write_text(name)
    with pytest.raises(DamagedError, match="live/CURRENT names"):
        versions.live(Workspace(copy_of_built))
