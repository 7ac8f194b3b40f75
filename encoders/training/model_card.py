"""The model card in every encoder folder: what the model is, its training data, and its training history."""

from collections.abc import Mapping
from typing import Any

from data.dataset import Dataset
from encoders.options import Stage

TITLES: dict[Stage, str] = {
    "semantic": "stage 1 (semantic: audio and text)",
    "preference": "stage 2 (preference: songs that listeners respond to alike)",
}

CARD = """---
library_name: transformers
tags: [music, audio, recommendation, htcl]
---

# HTCL encoder, {title}

Songs to vectors of {size} numbers, from what they sound like and what is written about them: Hierarchical Two-stage
Contrastive Learning ([arXiv 2505.23298](https://arxiv.org/abs/2505.23298)).

```python
from encoders.htcl import HtclModel

model = HtclModel.from_pretrained("this folder")
model.encode_audio(["song.mp3"])
model.encode_text(["slow piano, late at night"])
```

The import also registers it with transformers: `AutoModel`, `AutoFeatureExtractor` and `AutoProcessor` then open this
folder as well.

## Data

{data}{simulated}. Trained on {part}. What was learned: {summary}.

## Training

| setting | value |
|---|---|
{settings}

## Loss by epoch, in nats

{losses}

Validation, where there is any, is retrieval among songs that took no part in training: the mean reciprocal rank of text
and sound in stage 1, NDCG@100 of a song's partners in stage 2.

## Limits

The vectors know what this catalogue taught them; they are measured on it by `python -m eval.run` and nowhere else. The
licences of the recordings and texts are those of the catalogue.
"""


def model_card(stage: Stage, size: int, dataset: Dataset, recorded: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Markdown with the front matter that model hubs read. The same training gives the same card."""
    parts = {
        "split": "the songs that a split made by time or playlist does not hold out",
        "train": "the listening of the training part of a split made by time or playlist",
        "past": "the listening before the test part of a split made by time or playlist",
        "all": "everything, with nothing held out",
    }
    losses, validation = facts.get("losses", []), facts.get("validation", [])
    lines = ["| epoch | loss | | validation |", "|---|---|---|---|"]
    longest = max(losses, default=0.0) or 1.0
    for epoch, loss in enumerate(losses, start=1):
        found = f"{validation[epoch - 1]:.3f}" if validation else ""
        kept = " (kept)" if epoch == facts.get("best") else ""
        lines.append(f"| {epoch} | {loss:.3f} | {'█' * max(1, round(30 * loss / longest))} | {found}{kept} |")
    return CARD.format(
        title=TITLES[stage],
        size=size,
        data=dataset.summary(),
        simulated=", simulated" if dataset.simulated else "",
        part=parts[recorded["train_on"]],
        summary=facts["summary"],
        settings="\n".join(f"| {name} | {value} |" for name, value in recorded.items()),
        losses="\n".join(lines) if losses else "Nothing was trained in this stage.",
    )
