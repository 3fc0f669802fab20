"""Disease progression from body mass index, blood pressure and a blood serum, by a random forest."""

from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor

import podium


def train() -> podium.Trained:
    patients, progression = load_diabetes(return_X_y=True, as_frame=True)
    patients = patients[["bmi", "bp", "s5"]]
    # With a fixed seed the same data give the same forest, and so the same version.
    model = RandomForestRegressor(n_estimators=100, min_samples_leaf=5, random_state=0).fit(
        patients[:-20], progression[:-20]
    )
    return podium.Trained(
        model,
        inputs=patients[-20:],
        training=patients[:-20],
        output="progression",
        metrics={"mae": float(abs(model.predict(patients[-20:]) - progression[-20:]).mean())},
    )
