"""ONNX files from anywhere: what fits, what is changed, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from podium.errors import PackageError, PodiumError, ProjectError
from podium.models.loading import load
from podium.schema import Kind

from ..sources import Make
from .kept import NOBODY, columns, opened, with_file

NAMES = ["a", "b", "c", "d"]
TABLE, SPECIES = load_iris(return_X_y=True)
IRIS = "dict(zip('abcd', load_iris().data[::5].T))"
SOURCE = """
    from pathlib import Path
    import numpy as np
    from sklearn.datasets import load_iris
    import podium

    def train():
        return podium.Trained(Path("given.onnx"), inputs={inputs}, output={output!r})
"""


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The folder of the model's module."""
    folder = tmp_path / "project" / "models"
    folder.mkdir(parents=True)
    return folder


def source(inputs: str = IRIS, output: str | list[str] = "species") -> str:
    return SOURCE.format(inputs=inputs, output=output)


def graph(nodes: list[Any], takes: dict[str, Any], gives: dict[str, Any], weights: Any = ()) -> Any:
    """A graph of these nodes; an input or output is its type and shape."""
    values = [[helper.make_tensor_value_info(n, *v) for n, v in side.items()] for side in (takes, gives)]
    made = helper.make_graph(nodes, "g", *values, list(weights))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


FLOAT, DOUBLE, INT = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64
SUM = [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)]
AXES = [helper.make_tensor("axes", INT, [1], [1])]


def sums(rows: int | str = "N", features: int | str = 4) -> Any:
    return graph(SUM, {"x": (FLOAT, [rows, features])}, {"y": (FLOAT, [rows])}, AXES)


def test_a_graph_is_kept_byte_for_byte_and_gives_its_answers(make: Make, beside: Path) -> None:
    onnx.save(sums(), beside / "given.onnx")
    packed = make(source())
    assert (packed.folder / "model.onnx").read_bytes() == (beside / "given.onnx").read_bytes()
    assert (packed.manifest.format, packed.why) == ("onnx", "it is an ONNX file; kept as it is")
    for rows in (1, 150):
        found = opened(packed).predict(columns(TABLE[:rows], NAMES))["species"]
        np.testing.assert_allclose(found, TABLE[:rows].sum(axis=1), rtol=1e-6)
        assert found.dtype == np.dtype("<f8")


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier_of_scikit_learns_converter_gives_labels_and_probabilities(
    make: Make, beside: Path, zipmap: bool
) -> None:
    towns = np.array(["Bonn", "Köln", "Ulm"])[SPECIES]
    model = LogisticRegression(max_iter=500).fit(TABLE, towns)
    made = to_onnx(model, TABLE[:1].astype("f4"), options={"zipmap": zipmap}, target_opset=18)
    (beside / "given.onnx").write_bytes(made.SerializeToString())
    scorer = opened(make(source()))
    label, probability = scorer.outputs.fields
    assert (label.type, probability.classes) == (Kind.STRING, ("Bonn", "Köln", "Ulm"))
    found = scorer.predict(columns(TABLE, NAMES))
    assert found["species"].tolist() == model.predict(TABLE).tolist()
    np.testing.assert_allclose(found["species_probability"], model.predict_proba(TABLE), rtol=1e-4, atol=1e-6)


def test_inputs_by_name_are_each_given_in_their_own_type(make: Make, beside: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["count"], ["number"], to=DOUBLE),
        helper.make_node("Mul", ["number", "price"], ["total"]),
        helper.make_node("ReduceSum", ["image", "axes"], ["light"], keepdims=0),
    ]
    takes = {
        "count": (TensorProto.INT32, ["N", 1]),
        "price": (DOUBLE, ["N", 1]),
        "image": (FLOAT, ["N", 2, 2]),
    }
    axes = [helper.make_tensor("axes", INT, [2], [1, 2])]
    made = graph(nodes, takes, {"total": (DOUBLE, ["N", 1]), "light": (FLOAT, ["N"])}, axes)
    onnx.save(made, beside / "given.onnx")
    inputs = "dict(price=[1.5, 2.0], count=[2, 3], image=np.ones((2, 2, 2)))"
    scorer = opened(make(source(inputs, ["light", "total"])))
    assert str(scorer.outputs) == "{light: float, total: float}"
    given = {"price": np.array([4.5]), "count": np.array([2]), "image": np.ones((1, 2, 2))}
    assert {name: v.tolist() for name, v in scorer.predict(given).items()} == {"light": [4.0], "total": [9.0]}


def test_a_first_axis_of_one_is_made_open_where_the_graph_then_takes_batches(
    make: Make, beside: Path
) -> None:
    onnx.save(sums(rows=1), beside / "given.onnx")
    packed = make(source())
    assert packed.why == "it is an ONNX file; its first axis, 1, was made open"
    assert opened(packed).predict(columns(TABLE, NAMES))["species"].shape == (150,)


def test_several_outputs_may_be_the_columns_of_one(make: Make, beside: Path) -> None:
    made = graph(
        [helper.make_node("Identity", ["x"], ["y"])], {"x": (FLOAT, ["N", 4])}, {"y": (FLOAT, ["N", 4])}
    )
    onnx.save(made, beside / "given.onnx")
    found = opened(make(source(output=["p", "q", "r", "s"]))).predict(columns(TABLE, NAMES))
    np.testing.assert_allclose(found["s"], TABLE[:, 3], rtol=1e-6)


def test_weights_in_files_beside_it_are_taken_in(make: Make, beside: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.arange(4096, dtype="f4"), "w")
    nodes = [
        helper.make_node("ReduceSum", ["w"], ["t"], keepdims=0),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    made = graph(nodes, {"x": (FLOAT, ["N", 4])}, {"y": (FLOAT, ["N", 4])}, [weight])
    onnx.save(made, beside / "given.onnx", save_as_external_data=True, location="weights.bin")
    assert (beside / "weights.bin").exists()
    packed = make(source())
    found = opened(packed).predict(columns(np.zeros((1, 4)), NAMES))["species"]
    np.testing.assert_allclose(found, np.full((1, 4), 4095 * 2048), rtol=1e-6)


def test_the_same_file_has_the_same_digest(make: Make, beside: Path) -> None:
    onnx.save(sums(rows=1), beside / "given.onnx")
    first = make(source())
    shutil.rmtree(first.folder)
    assert make(source()).digest == first.digest


@pytest.mark.parametrize(
    ("made", "inputs", "output", "says"),
    [
        (sums(features=10**12), IRIS, "y", r"takes x: tensor\(float\)\['N', 1000000000000\]; the inputs are"),
        (sums(rows=7), IRIS, "y", "does not score its 30 examples"),
        (sums(), "dict(a=['x'])", "y", "takes x"),
        (sums(), IRIS, ["p", "q"], "names 2 values"),
        (
            graph([helper.make_node("Add", ["p", "q"], ["y"])], {n: (FLOAT, ["N", 1]) for n in "pq"},
                  {"y": (FLOAT, None)}),
            "dict(p=[1.0], z=[2.0])",
            "y",
            "takes p: .* q: .*; the inputs are {p: float, z: float}",
        ),
        (
            graph([helper.make_node("ReduceMean", ["x"], ["m"]), helper.make_node("Sub", ["x", "m"], ["y"])],
                  {"x": (FLOAT, ["N", 4])}, {"y": (FLOAT, ["N", 4])}),
            IRIS, "y", "mixes the rows of a batch",
        ),
        (
            graph([helper.make_node("Exec", ["x"], ["y"], domain="evil")], {"x": (FLOAT, ["N", 4])},
                  {"y": (FLOAT, ["N", 4])}),
            IRIS, "y", "onnxruntime cannot run this graph",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_what_the_graph_takes(
    make: Make, beside: Path, made: Any, inputs: str, output: str | list[str], says: str
) -> None:
    onnx.save(made, beside / "given.onnx")
    with pytest.raises((PackageError, ProjectError), match=says):
        make(source(inputs, output))


@pytest.mark.parametrize("content", [b"", b"junk", b"cos\nsystem\n(S'id'\ntR.", b"PK\x03\x04"])
def test_what_is_no_graph_is_an_error_and_nothing_more(make: Make, beside: Path, content: bytes) -> None:
    (beside / "given.onnx").write_bytes(content)
    with pytest.raises((PackageError, ProjectError)):
        make(source())


def outside(location: str) -> Any:
    weight = helper.make_tensor("w", FLOAT, [4], np.arange(4, dtype="f4").tobytes(), raw=True)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", location
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    return graph(nodes, {"x": (FLOAT, ["N", 4])}, {"y": (FLOAT, ["N", 4])}, [weight])


@pytest.mark.parametrize("where", ["../secret", "{}/secret", "link"])
def test_weights_are_not_read_from_outside_of_the_files_folder(make: Make, beside: Path, where: str) -> None:
    secret = beside.parent / "secret"
    secret.write_bytes(np.arange(4, dtype="f4").tobytes())
    (beside / "link").symlink_to(secret)
    made = outside(where.format(beside.parent))
    (beside / "given.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(PackageError, match="is no ONNX file"):
        make(source())


def test_a_package_whose_graph_reads_other_files_is_refused(make: Make, beside: Path) -> None:
    onnx.save(sums(), beside / "given.onnx")
    packed = make(source())
    (packed.folder / "w").write_bytes(np.arange(4, dtype="f4").tobytes())
    for location in ("w", "/etc/hostname"):
        packed_again = with_file(packed, "model.onnx", outside(location).SerializeToString())
        with pytest.raises(PodiumError, match="cannot read"):
            load(packed_again, trust=NOBODY)
        packed_again.rename(packed.folder)


def test_a_tensor_of_a_size_that_no_machine_has_is_an_error(make: Make, beside: Path) -> None:
    onnx.save(sums(), beside / "given.onnx")
    packed = make(source())
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["t"], keepdims=0),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    size = helper.make_tensor("n", INT, [1], [10**13])
    made = graph(nodes, {"x": (FLOAT, ["N", 4])}, {"y": (FLOAT, ["N", 4])}, [size])
    with pytest.raises(PackageError, match="does not score its own samples"):
        load(with_file(packed, "model.onnx", made.SerializeToString()), trust=NOBODY)
