"""PyTorch's programs. PyTorch is large and not in the lock: CI installs it, elsewhere these are skipped."""

from __future__ import annotations

import hashlib
import shutil
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from podium.errors import PackageError, PodiumError, ProjectError, Untrusted, VersionConflict
from podium.models.loading import load
from podium.models.packing import Packed, pack
from podium.models.trust import Trust

from ..sources import Make
from .kept import NOBODY, columns, opened, with_file

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'podium[torch]'")

NAMES = ["a", "b", "c", "d"]
TABLE, SPECIES = load_iris(return_X_y=True)
SOURCE = """
    import warnings
    from pathlib import Path
    import numpy as np, torch
    from sklearn.datasets import load_iris
    import podium

    X, y = load_iris(return_X_y=True)

    def fitted(last=3):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, last))
        steps = torch.optim.Adam(net.parameters(), 0.05)
        x, t = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
        for _ in range(20):
            loss = torch.nn.functional.cross_entropy(net(x), t % last)
            steps.zero_grad(); loss.backward(); steps.step()
        return net

    def scripted(net):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.script(net)

    ROWS = ({0: torch.export.Dim("rows")},)

    def train():
        model = MODEL
        return podium.Trained(model, inputs=INPUTS, output=OUTPUT)
"""
COLUMNS = 'dict(zip("abcd", X[::5].T))'


def source(model: str, inputs: str = COLUMNS, output: str = "'species'") -> str:
    return SOURCE.replace("MODEL", model).replace("INPUTS", inputs).replace("OUTPUT", output)


def original() -> np.ndarray:
    """What the module of the source itself says."""
    scope: dict[str, Any] = {}
    exec(textwrap.dedent(SOURCE.partition("def train")[0]), scope)
    found: np.ndarray = scope["fitted"]()(torch.tensor(TABLE, dtype=torch.float32)).detach().numpy()
    return found


EXPORTED = "torch.export.export(fitted(), (torch.zeros(2, 4),), dynamic_shapes=ROWS)"


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("fitted()", "torch.export made a program of it, for any number of rows"),
        (EXPORTED, "it is an exported program"),
        ("scripted(fitted())", "it is TorchScript"),
    ],
)
def test_each_way_gives_the_answers_of_the_module_in_batches(make: Make, model: str, why: str) -> None:
    packed = make(source(model))
    assert (packed.manifest.format, packed.why) == ("torch", why)
    assert str(packed.manifest.outputs) == "{species: float[3]}"
    expected = original()
    for rows in (1, 150):
        found = opened(packed, trusted=True).predict(columns(TABLE[:rows], NAMES))["species"]
        assert found.dtype == np.dtype("<f8")
        np.testing.assert_allclose(found, expected[:rows], rtol=1e-4, atol=1e-5)


def test_nobody_runs_a_program_that_is_not_trusted(make: Make) -> None:
    packed = make(source("fitted()"))
    with pytest.raises(Untrusted, match="is a PyTorch program, so loading it runs its code"):
        load(packed.folder, trust=NOBODY)


def test_a_file_is_read_only_if_the_trust_list_names_its_sha_256(make: Make, tmp_path: Path) -> None:
    made = make(source("fitted()"))
    root = tmp_path / "elsewhere"
    (root / "package").mkdir(parents=True)
    shutil.copy(made.folder / "model.pt2", root / "given.pt2")
    text = "import podium\nfrom pathlib import Path\nfrom sklearn.datasets import load_iris\n"
    text += "X = load_iris().data\n\ndef train():\n    return podium.Trained(Path('given.pt2'), inputs="
    (root / "model.py").write_text(f"{text}{COLUMNS}, output='species')\n")
    digest = hashlib.sha256((root / "given.pt2").read_bytes()).hexdigest()

    def packed(*lines: str) -> Packed:
        trust = Trust(path=Path("trust"), lines=frozenset(lines))
        return pack(root / "model.py", model="model", root=root, into=root / "package", trust=trust)

    with pytest.raises(Untrusted, match=f"add this line to trust: model@{digest}"):
        packed()
    assert packed(digest).why == "it is a file of PyTorch's, kept as it is"


def test_one_value_is_no_tensor_and_several_names_are_columns(make: Make) -> None:
    one = make(source("fitted(1)"))
    assert str(one.manifest.outputs) == "{species: float}"
    three = make(source("fitted()", output="['p', 'q', 'r']"), name="three")
    assert str(three.manifest.outputs) == "{p: float, q: float, r: float}"


def test_tensors_of_whole_numbers_go_in_as_they_are(make: Make) -> None:
    words = "torch.nn.Sequential(torch.nn.Embedding(10, 2), torch.nn.Flatten(), torch.nn.Linear(6, 1))"
    packed = make(source(words, "{'words': np.arange(12).reshape(4, 3) % 10}"))
    found = opened(packed, trusted=True).predict({"words": np.ones((7, 3), "<i8")})["species"]
    assert found.shape == (7,)
    np.testing.assert_allclose(found, found[0], rtol=1e-5)  # the rows are the same


def test_several_fields_with_a_tensor_are_arguments_in_their_order(make: Make) -> None:
    bilinear = "torch.nn.Bilinear(2, 1, 1)"
    packed = make(source(bilinear, "{'image': np.ones((3, 2)), 'scale': np.arange(3.0)}"))
    given = {"image": np.ones((5, 2)), "scale": np.zeros(5)}
    assert opened(packed, trusted=True).predict(given)["species"].shape == (5,)


@pytest.mark.parametrize("model", ["fitted()", "scripted(fitted())"])
def test_the_same_model_has_the_same_digest(make: Make, model: str) -> None:
    first = make(source(model))
    shutil.rmtree(first.folder)
    assert make(source(model)).digest == first.digest


@pytest.mark.parametrize(
    ("model", "inputs", "says"),
    [
        ("torch.export.export(fitted(), (torch.zeros(2, 4),))", COLUMNS, "it must take any number"),
        (
            "torch.nn.BatchNorm1d(4, track_running_stats=False)",
            COLUMNS,
            "must take any number|mixes the rows",
        ),
        ("fitted()", "{'town': ['Ulm'], 'b': [1.0]}", "PyTorch takes numbers"),
        ("fitted()", "{'b': [1.0, 2.0]}", "makes no program of this module"),
        ("fitted().state_dict()['0.weight']", COLUMNS, "Tensor is no module or program"),
    ],
)
def test_what_cannot_serve_is_refused_with_the_reason(make: Make, model: str, inputs: str, says: str) -> None:
    with pytest.raises(PodiumError, match=says):
        make(source(model, inputs))


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04", b"cos\nsystem\n(S'id'\ntR."])
def test_what_is_no_program_is_an_error(make: Make, content: bytes) -> None:
    packed = make(source("fitted()"))
    folder = with_file(packed, "model.pt2", content)
    with pytest.raises(PackageError, match="damaged or hostile"):
        load(folder, trust=Trust(path=Path("trust"), lines=frozenset([folder.name])))


def test_an_archive_of_a_newer_torch_is_a_conflict_of_versions(make: Make) -> None:
    folder = with_file(make(source("fitted()")), "model.pt2", b"PK\x03\x04", torch="99.1.0")
    with pytest.raises(VersionConflict, match=r"installed torch 2.* cannot read what 99\.1\.0 wrote"):
        load(folder, trust=Trust(path=Path("trust"), lines=frozenset([folder.name])))


def test_a_pickle_of_weights_is_never_unpickled(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "project" / "models"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "given.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'touch executed'\ntR.")
    with pytest.raises(PodiumError):
        make(source("Path('given.pt')"))
    shutil.copy(folder / "given.pt", folder / "given.pth")
    with pytest.raises(ProjectError, match="is a pickle by its name"):
        make(source("Path('given.pth')"))
