"""Training and packing: what becomes of all sorts of models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from podium.errors import PackageError, ProjectError, Untrusted
from podium.models import manifest as manifests
from podium.models.loading import Scorer, load
from podium.models.packing import Packed
from podium.models.trust import Trust
from podium.profiles import CATEGORIES, Profiles
from podium.schema import Kind

from .sources import LINEAR, RULE, Make


def loaded(packed: Packed) -> Scorer:
    return load(packed.folder, trust=Trust(path=Path("trust"), lines=frozenset([packed.digest])))


def test_the_schema_and_its_ranges_are_read_from_the_examples(linear: Packed) -> None:
    (bmi,) = linear.manifest.inputs.fields
    assert (bmi.name, bmi.type, bmi.shape) == ("bmi", Kind.FLOAT, ())
    assert bmi.minimum is not None
    assert bmi.minimum < 0 < (bmi.maximum or 0)
    assert str(linear.manifest.outputs) == "{progression: float}"


def test_a_linear_model_becomes_an_exact_onnx(linear: Packed) -> None:
    assert linear.manifest.format == "onnx"
    assert linear.manifest.tolerance.relative == 1e-9
    assert "onnxruntime==" in (linear.folder / "requirements.txt").read_text()


def test_a_package_says_where_it_comes_from(linear: Packed) -> None:
    manifest = linear.manifest
    assert manifest.metrics == {"r2": 0.3}
    assert len(manifest.data) == len(manifest.revision.module) == 64
    assert {"numpy", "scikit-learn", "onnxruntime"} <= set(manifest.libraries)


FOREST = """
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import {kind}
    import podium

    def train():
        X, y = load_diabetes(return_X_y=True, as_frame=True)
        X = X[["bmi", "bp", "s5"]]
        model = {kind}({settings}random_state=0).fit(X, y)
        return podium.Trained(model, inputs=X[-40:], output="progression")
"""


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("RandomForestRegressor", "n_estimators=100, "), ("GradientBoostingRegressor", "")],
)
def test_trees_are_onnx_where_it_gives_the_same_answers(make: Make, kind: str, settings: str) -> None:
    assert make(FOREST.format(kind=kind, settings=settings)).manifest.format == "onnx"


def test_what_does_not_convert_stays_with_skops_and_says_why(make: Make) -> None:
    packed = make("""
        from sklearn.datasets import load_diabetes
        from sklearn.kernel_ridge import KernelRidge
        import podium

        def train():
            X, y = load_diabetes(return_X_y=True)
            return podium.Trained(KernelRidge().fit(X, y), inputs=X[-40:], output="progression")
    """)
    assert packed.manifest.format == "skops"
    assert "not onnx: " in packed.why


def test_a_scaled_forest_is_not_rounded_into_other_leaves(make: Make) -> None:
    packed = make("""
        from sklearn.datasets import load_diabetes
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        import podium

        def train():
            X, y = load_diabetes(return_X_y=True)
            model = make_pipeline(StandardScaler(), RandomForestRegressor(20, random_state=0)).fit(X, y)
            return podium.Trained(model, inputs=X, output="progression")
    """)
    assert packed.manifest.format == "skops"
    assert "differ by more than" in packed.why


@pytest.mark.parametrize(
    "source",
    [
        LINEAR,
        LINEAR.replace('output="', 'training=X, output="'),
        RULE,
        FOREST.format(kind="RandomForestRegressor", settings="n_estimators=5, "),
        FOREST.format(kind="HistGradientBoostingRegressor", settings="max_iter=5, "),
    ],
)
def test_the_same_inputs_give_the_same_digest_in_another_process(make: Make, source: str) -> None:
    packed = make(source)
    project = packed.folder.parent / "project"
    into = packed.folder.parent / "again"
    into.mkdir()
    code = (
        "import sys; from pathlib import Path; from podium.models.packing import pack; "
        "root = Path(sys.argv[1]); "
        "print(pack(root / 'models/model.py', model='model', root=root, into=Path(sys.argv[2])).digest)"
    )
    command = [sys.executable, "-c", code, str(project), str(into)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.strip() == packed.digest


# --- profiles ---------------------------------------------------------------------------------


def test_a_package_holds_the_distributions_of_inputs_and_scores(make: Make) -> None:
    packed = make(LINEAR.replace('output="', 'training=X, output="'))
    profiles = manifests.read(packed.folder).profiles
    assert profiles == packed.manifest.profiles
    assert {name: profile.count for name, profile in profiles.inputs.items()} == {"bmi": 442}
    assert {name: profile.count for name, profile in profiles.scores.items()} == {"progression": 442}
    assert max(profiles.inputs["bmi"].counts) < 60, "ten even bins"


def test_without_training_the_examples_stand_for_it_and_types_alone_for_nothing(
    linear: Packed, rule: Packed
) -> None:
    assert linear.manifest.profiles.inputs["bmi"].count == 20
    assert rule.manifest.profiles == Profiles()


def test_ranges_are_those_of_training(make: Make, linear: Packed) -> None:
    wide = make(LINEAR.replace('output="', 'training=X, output="')).manifest.inputs["bmi"]
    narrow = linear.manifest.inputs["bmi"]
    assert (wide.maximum or 0) > (narrow.maximum or 0)
    assert (wide.type, wide.missing) == (narrow.type, narrow.missing)


def test_the_scores_profiled_are_those_of_the_packed_model(make: Make) -> None:
    source = FOREST.format(kind="RandomForestRegressor", settings="n_estimators=1, max_depth=2, ")
    packed = make(source.replace("X[-40:]", "X[-40:], training=X"))
    assert packed.manifest.format == "onnx"
    profile = packed.manifest.profiles.scores["progression"]
    columns = {name: np.zeros(3) for name in ("bmi", "bp", "s5")}
    live = loaded(packed).predict(columns)["progression"]
    assert set(live) <= set(profile.bins.edges), "a score in single precision is at its own edge"


TENSORS = """
    import numpy as np
    import podium

    class Model(podium.Model):
        def predict(self, columns):
            return {{"y": columns["small"].sum(axis=1)}}

    def train():
        chance = np.random.default_rng(0)
        inputs = {{"small": chance.normal(size=(30, 4)), "large": chance.normal(size=(30, 13, 5))}}
        return podium.Trained(Model(), inputs=inputs, output="y"{more})
"""


def test_values_of_a_small_tensor_are_profiled_together_a_large_one_is_not(make: Make) -> None:
    profiles = make(TENSORS.format(more="")).manifest.profiles
    assert {name: profile.count for name, profile in profiles.inputs.items()} == {"small": 120}
    assert profiles.scores["y"].count == 30


def test_of_strings_only_the_most_frequent_are_in_the_package(make: Make) -> None:
    packed = make("""
        import numpy as np
        import podium

        class Model(podium.Model):
            def predict(self, columns):
                return {"y": np.array([len(name) for name in columns["name"]])}

        def train():
            names = np.array(["anna"] * 100 + [f"rare {number:03}" for number in range(100)], dtype=object)
            inputs = {"name": np.array(["anna", "otto"], dtype=object)}
            return podium.Trained(Model(), inputs=inputs, training={"name": names}, output="y")
    """)
    profile = packed.manifest.profiles.inputs["name"]
    assert (profile.bins.categories or ())[:2] == ("anna", "rare 000")
    assert len(profile.bins.categories or ()) == CATEGORIES
    assert profile.others == 100 - (CATEGORIES - 1)
    assert "rare 099" not in (packed.folder / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("training", "problem"),
    [
        ("{'small': inputs['small']}", "training: it has no column 'large'"),
        ("{**inputs, 'small': inputs['small'][:, :3]}", r"it has small: float\[3\], and the examples"),
        ("{**inputs, 'small': inputs['small'][:9]}", "training: the columns have different numbers of rows"),
        ("{**inputs, 'small': inputs['small'] / 0}", "training: 'small' holds infinity"),
        ("{name: values[:0] for name, values in inputs.items()}", "training: 'small' has no rows"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_training_data_that_are_not_the_models_are_refused(make: Make, training: str, problem: str) -> None:
    with pytest.raises(ProjectError, match=problem):
        make(TENSORS.format(more=f", training={training}"))


def test_a_model_that_cannot_score_what_it_was_trained_on_is_not_packed(make: Make) -> None:
    training = "{**inputs, 'small': np.full((30, 4), np.nan)}"
    with pytest.raises(PackageError, match="'y' is NaN or infinite for some of its own training rows"):
        make(TENSORS.format(more=f", training={training}"))


MIXED = """
    import numpy as np, pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    import podium

    def train():
        chance = np.random.default_rng(0)
        X = pd.DataFrame({{
            "town": chance.choice(["Bonn", "Köln", "Ulm"], 200),
            "age": chance.integers(1, 90, 200),
            "bmi": chance.normal(size=200),
            "smoker": chance.random(200) > 0.5,
        }})
        y = np.where((X.age > 40) & (X.town == "Ulm"), "high", "low")
        model = make_pipeline(
            make_column_transformer(
                (OneHotEncoder({encoder}), ["town"]), (StandardScaler(), ["age", "bmi"]),
                ("passthrough", ["smoker"]),
            ),
            LogisticRegression(),
        ).fit(X, y)
        return podium.Trained(model, inputs=X[:50], output="risk")
"""


@pytest.mark.parametrize("encoder", ["", "min_frequency=70"])
def test_a_pipeline_takes_strings_ints_bools_and_floats(make: Make, encoder: str) -> None:
    packed = make(MIXED.format(encoder=encoder))
    assert str(packed.manifest.inputs) == "{town: string, age: int, bmi: float, smoker: bool}"
    assert packed.manifest.outputs["risk_probability"].classes == ("high", "low")
    columns = {
        "town": np.array(["Ulm", "Bonn"], dtype=object),
        "age": np.array([80, 80]),
        "bmi": np.array([0.0, 0.0]),
        "smoker": np.array([True, False]),
    }
    answer = loaded(packed).predict(columns)
    assert answer["risk"].tolist() == ["high", "low"]
    assert answer["risk_probability"].shape == (2, 2)
    assert answer["risk_probability"].sum(axis=1) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(("labels", "kind"), [("y", "int"), ("y == 1", "bool"), ("names[y]", "string")])
@pytest.mark.parametrize(
    "estimator", ["LogisticRegression(max_iter=1000)", "RandomForestClassifier(5, random_state=0)"]
)
def test_a_classifier_gives_a_label_and_probabilities(
    make: Make, labels: str, kind: str, estimator: str
) -> None:
    packed = make(f"""
        import numpy as np
        from sklearn.datasets import load_iris
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        import podium

        def train():
            X, y = load_iris(return_X_y=True)
            names = np.array(["setosa", "versicolor", "virginica"])
            return podium.Trained({estimator}.fit(X, {labels}), inputs=X, output="kind")
    """)
    answer = loaded(packed).predict({"x": np.array([[5.1, 3.5, 1.4, 0.2]])})
    label, probability = packed.manifest.outputs.fields
    assert (label.type.value, label.shape) == (kind, ())
    assert probability.shape == (len(probability.classes),)
    assert str(answer["kind"][0]) == probability.classes[int(answer["kind_probability"][0].argmax())]
    assert answer["kind"].dtype == label.dtype


def test_several_outputs_have_a_name_each(make: Make) -> None:
    packed = make("""
        from sklearn.datasets import load_linnerud
        from sklearn.linear_model import LinearRegression
        import podium

        def train():
            X, y = load_linnerud(return_X_y=True, as_frame=True)
            return podium.Trained(LinearRegression().fit(X, y), inputs=X, output=["weight", "waist", "pulse"])
    """)
    assert packed.manifest.outputs.names == ("weight", "waist", "pulse")
    answer = loaded(packed).predict({name: np.array([1.0, 2.0]) for name in packed.manifest.inputs.names})
    assert {name: values.shape for name, values in answer.items()} == dict.fromkeys(answer, (2,))


OWN = """
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.datasets import load_linnerud
    import podium

    class Own(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.mean_ = float(y.mean())
            return self

        def predict(self, X):
            return X[:, 0] * 0 + self.mean_

    def train():
        X, y = load_linnerud(return_X_y=True)
        return podium.Trained(Own().fit(X, y), inputs=X, output="weight")
"""


def test_a_pickle_is_refused(make: Make) -> None:
    with pytest.raises(Untrusted, match=r"only a pickle could hold this model .*--trust-pickle"):
        make(OWN)


def test_a_pickle_that_was_asked_for_loads_only_where_it_is_trusted(make: Make) -> None:
    packed = make(OWN, trust_pickle=True)
    assert packed.manifest.format == "pickle"
    with pytest.raises(Untrusted, match="is a pickle"):
        load(packed.folder, trust=Trust(path=Path("trust")))
    assert loaded(packed).predict({"x": np.ones((2, 3))})["weight"].shape == (2,)


def test_a_class_keeps_what_it_saved_and_the_modules_beside_it(make: Make, tmp_path: Path) -> None:
    (tmp_path / "project" / "models").mkdir(parents=True)
    (tmp_path / "project" / "models" / "slopes.py").write_text("def slope(): return 3.0\n")
    packed = make("""
        import numpy as np
        import podium
        from slopes import slope

        class Line(podium.Model):
            def save(self, package):
                np.save(package / "offset.npy", self.offset)

            def load(self, package):
                self.offset = np.load(package / "offset.npy")

            def predict(self, columns):
                return {"y": slope() * columns["a"] + self.offset}

        def train():
            line = Line()
            line.offset = np.float64(1.0)
            return podium.Trained(line, inputs={"a": np.arange(3.0)}, output="y")
    """)
    assert (packed.folder / "code" / "models" / "slopes.py").is_file()
    (tmp_path / "project" / "models" / "slopes.py").unlink()
    assert loaded(packed).predict({"a": np.array([2.0])})["y"].tolist() == [7.0]
    assert "slopes" not in sys.modules


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1", "neither train\\(\\) nor a class Model"),
        ("import nothing_like_this", "model.py:1: No module named 'nothing_like_this'; install it"),
        ("def train(:", "model.py:1: SyntaxError"),
        ("def train():\n    return 1", "returned int"),
        ("def train():\n    x = 1\n    return x / 0", "model.py:3: train\\(\\): ZeroDivisionError"),
        ("import podium\nclass Model(podium.Model): pass", "neither what it takes"),
        (
            "import podium\nclass Model(podium.Model):\n  inputs={'a': 'flaot'}\n  output='y'",
            "'flaot'.*float",
        ),
        (
            "import podium\ndef train(): return podium.Trained(object(), inputs=[[1.0]], output='y')",
            "no predict",
        ),
    ],
)
def test_a_module_that_says_something_that_cannot_be_is_told_so(
    make: Make, source: str, problem: str
) -> None:
    with pytest.raises(ProjectError, match=problem):
        make(source)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return {'z': columns['a']}", r"gave \['z'\], but output says \['y'\]"),
        ("return {'y': columns['b']}", "predict\\(\\) failed: KeyError"),
        ("return {'y': columns['a'] / 0 * 0}", "NaN or infinite"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_class_that_does_not_do_what_it_says_is_not_packed(make: Make, body: str, problem: str) -> None:
    with pytest.raises((ProjectError, PackageError), match=problem):
        make(f"""
        import podium

        class Model(podium.Model):
            inputs = {{"a": "float"}}
            output = "y"

            def predict(self, columns):
                {body}
        """)
