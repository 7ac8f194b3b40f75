"""The settings of SASRec, apart from its network: to name them must not load torch."""

from typing import Annotated

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt

from recsys.candidates.declaration import AtQuery, OneOf, Range


class SasrecSettings(BaseModel):
    """Size and training of the network."""

    dim: Annotated[PositiveInt, OneOf((32, 64))] = 64
    layers: PositiveInt = 1
    heads: PositiveInt = 1
    length: PositiveInt = 50
    "Plays the network looks back on."
    dropout: Annotated[float, Range(0.1, 0.5)] = Field(default=0.2, ge=0, lt=1)
    negatives: PositiveInt = 1000
    "Negatives of a play at each step: all other songs up to that many, else so many drawn uniformly."
    epochs: PositiveInt = 6
    "Passes over the listening. A fixed number: the rate falls to nothing along a cosine, so the last one is the best."
    fewest_steps: PositiveInt = 120
    "Little listening is gone through more often, until so many batches were seen."
    most_steps: PositiveInt = 20_000
    "Much listening is not gone through to the end: minutes on a GPU."
    batch_size: PositiveInt = 64
    "Windows of `length` plays in a step."
    lr: PositiveFloat = 5e-3
    "Highest learning rate, after a tenth of the steps."
    last: Annotated[PositiveInt, OneOf((5, 10, 20, 50)), AtQuery] = 50
    "Plays of the query's history that are shown to it; no more than `length`."
    seed: int = 20260101
