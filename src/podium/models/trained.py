"""What a model's module hands over: the two names that users write.

Nothing heavy is imported here: `import podium` is in every module of every user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


@dataclass(frozen=True)
class Trained:
    """A trained model, and what is needed to serve it.

    `model` has scikit-learn's API, is another library's that Podium knows (docs/models.md) or the path
    of its file, or is a `podium.Model`. `inputs` are examples (a data frame, a
    mapping of arrays, a list of dicts or one array): the schema is read from them, and some of them
    become the package's sample requests. A `podium.Model` may declare types instead, as in
    `{"bmi": "float", "image": "float[28][28]"}`. `output` names what `predict` returns; a classifier
    with probabilities gives `NAME_probability` too. `metrics` are numbers to compare versions by.
    `training` is what the model was trained on, where that is more than the examples: ranges and
    distributions of its columns go into the package, for live inputs to be compared with; no row does.
    """

    model: Any
    inputs: Any = field(kw_only=True)
    output: str | Sequence[str] = field(kw_only=True)
    metrics: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    training: Any = field(default=None, kw_only=True)


class Model:
    """A model that is not scikit-learn's, or is not trained here.

    Podium copies the class's module into the package, so loading it runs code: it is loaded only
    where the user's trust list names the package. Without a `train()` beside it, the class says
    what it takes and gives: `inputs`, `output` and `metrics` are as in `podium.Trained`.
    """

    inputs: ClassVar[Any] = None
    output: ClassVar[str | Sequence[str]] = ()
    metrics: ClassVar[Mapping[str, float]] = {}

    def save(self, package: Path) -> None:
        """Put the files that `load` will need into the package; called once, while packing."""

    def load(self, package: Path) -> None:
        """Get ready to predict; `package` is a read-only folder."""

    def predict(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Score rows: columns in, columns out, each with the rows on its first axis.

        The arrays that come in are read-only.
        """
        raise NotImplementedError
