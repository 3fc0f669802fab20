"""Modules of models, as users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from podium.models.packing import Packed

Make: TypeAlias = Callable[..., Packed]

LINEAR = """
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import LinearRegression
    import podium

    def train():
        X, y = load_diabetes(return_X_y=True, as_frame=True)
        model = LinearRegression().fit(X[["bmi"]], y)
        return podium.Trained(model, inputs=X[["bmi"]][-20:], output="progression", metrics={"r2": 0.3})
"""
RULE = """
    import podium

    class Model(podium.Model):
        inputs = {"bmi": "float"}
        output = "progression"

        def predict(self, columns):
            return {"progression": 152.13 + 949.4 * columns["bmi"]}
"""
