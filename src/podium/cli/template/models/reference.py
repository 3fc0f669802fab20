"""The canary: an old, simple model that stays as it is.

Do not improve it. When its scores move, the inputs have moved, not the model.
"""

from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

import podium


def train() -> podium.Trained:
    patients, progression = load_diabetes(return_X_y=True, as_frame=True)
    patients = patients[["bmi"]]
    model = Ridge(alpha=0.1).fit(patients[:200], progression[:200])
    return podium.Trained(
        model,
        inputs=patients[-20:],
        training=patients[:200],
        output="progression",
        metrics={"mae": float(abs(model.predict(patients[-20:]) - progression[-20:]).mean())},
    )
