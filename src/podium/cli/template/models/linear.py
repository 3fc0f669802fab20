"""Disease progression from body mass index, as a straight line."""

from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

import podium


def train() -> podium.Trained:
    patients, progression = load_diabetes(return_X_y=True, as_frame=True)
    patients = patients[["bmi"]]
    model = LinearRegression().fit(patients[:-20], progression[:-20])
    return podium.Trained(
        model,
        inputs=patients[-20:],  # examples: the schema is read from them
        training=patients[:-20],  # only its distribution is kept
        output="progression",
        metrics={"mae": float(abs(model.predict(patients[-20:]) - progression[-20:]).mean())},
    )
