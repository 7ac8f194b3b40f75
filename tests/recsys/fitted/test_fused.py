"""What the fitted sources answer together."""

import numpy as np

from data.split import ensure_split
from data.storage.workspace import Workspace
from recsys.candidates.simple.popularity import play_counts
from recsys.fitted.store import htcl_sources, likeness_of, make_source
from recsys.line_up import FUSED
from recsys.ranking.fusion import FusionSettings, Proposals, fuse
from recsys.tasks import ONLY_NEW, held_out
from recsys.tuning.fusion_objective import TargetRanks
from recsys.tuning.source_settings import OBJECTIVE_AT, target_gains, validation_questions


def test_on_validation_no_source_alone_is_better_than_the_fusion(built, recommender):
    dataset, choices = recommender.dataset, recommender.models.choices
    workspace = Workspace(built)
    split = ensure_split(workspace, dataset)
    training, htcl = split.training(dataset), htcl_sources(workspace.tuning, dataset)
    likeness = likeness_of(workspace.tuning, dataset)
    unplayed = play_counts(training) == 0

    def source(name, settings):
        if name in htcl:
            return htcl[name].with_settings(settings)
        return make_source(name, settings, likeness).fit(training)

    for task, question in validation_questions(dataset, split, choices.tuning.fusion_queries).items():
        marked = unplayed
        if task in ONLY_NEW:
            question, marked = question.among(unplayed), np.zeros_like(unplayed)
        sources = {name: source(name, choices.settings[task][name]) for name in FUSED}
        rankings = {name: one.candidates(question.queries, choices.ranking.depth) for name, one in sources.items()}
        value = target_gains(question.targets, marked, choices.tuning.new_songs)

        def reached(ranked, wanted=question.targets, value=value):
            alone = Proposals.gather({"it": ranked}, "reciprocal-rank", unplayed)
            return TargetRanks.of(alone, wanted, value).reached(FusionSettings(weights={"it": 1}), OBJECTIVE_AT)[0]

        fused = reached(fuse(rankings, choices.fusion[task], marked, OBJECTIVE_AT))
        assert fused >= max(map(reached, rankings.values())) - 1e-6


def test_where_new_songs_alone_are_wanted_no_others_are_answered(built, recommender):
    """And these in the order that they have where no others may be answered: what is best is chosen among them."""
    models, split = recommender.models, ensure_split(Workspace(built), recommender.dataset)
    question = held_out(recommender.dataset, split, "cold-start", "test", max_queries=20)
    assert question.queries
    answered = models.fused("cold-start", question.queries, 30)
    assert answered.tracks.size
    assert models.unplayed[answered.tracks].all()
    among = models.fused("cold-start", question.among(models.unplayed).queries, 30)
    np.testing.assert_array_equal(answered.tracks, among.tracks)
