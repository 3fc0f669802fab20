"""`podium build`, `push`, `pull` and `verify` against a real registry, in this process."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.bases import AMD, ARM, small
from tests.registries import RunningRegistry, guarded_registry

from podium.cli import podium
from podium.cli.artifacts import packages_at
from podium.cli.build import PLATFORM
from podium.errors import DamagedBlob, DigestMismatch, ImageRegistryAway, NoSuchImage, Unsigned
from podium.images import build as building
from podium.images import sbom, signing
from podium.models.digest import digest_of
from podium.oci.documents import ImageConfig, Index, Manifest, decode
from podium.oci.layout import Layout
from podium.oci.reference import Reference
from podium.oci.repository import Repository
from podium.registry.folder import FolderRegistry

Say = Callable[..., Result]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with guarded_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key"]
        subprocess.run(make, cwd=folder, check=True, timeout=20)
        half = ["openssl", "ec", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub"]
        subprocess.run(half, cwd=folder, check=True, timeout=20, capture_output=True)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: RunningRegistry) -> Path:
    """A project whose model needs no library: SQL over its inputs; no wheel has to be downloaded."""
    for name, value in registry.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(building, "locked", lambda libraries: {})
    folder = tmp_path / "sums"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "sum.sql").write_text("select a + b as total from input\n")
    (folder / "podium.toml").write_text(
        '[endpoint]\nname = "sums"\n\n[endpoint.inputs]\na = "float"\nb = "float"\n\n'
        '[endpoint.outputs]\ntotal = "float"\n\n[models.sum]\nsql = "models/sum.sql"\nrole = "champion"\n'
        "examples = [{ a = 1.0, b = 2.0 }]\n"
    )
    monkeypatch.chdir(folder)
    assert CliRunner().invoke(podium, ["train"]).exit_code == 0
    return folder


@pytest.fixture
def say(registry: RunningRegistry) -> Say:
    def run(*words: str) -> Result:
        return CliRunner().invoke(podium, [*words, "--ca", str(registry.ca)])

    return run


@pytest.fixture
def no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own libraries are left out too: what they add is tried with real wheels elsewhere."""
    monkeypatch.setattr(building, "REQUIREMENTS", "manifest.json")


def packaged(project: Path) -> Path:
    (package,) = (project / ".podium" / "registry" / "packages").iterdir()
    return package


# --- packages as artifacts ------------------------------------------------------------------


def test_a_package_goes_to_a_registry_and_comes_back_with_its_digest(
    project: Path, say: Say, registry: RunningRegistry
) -> None:
    digest = packaged(project).name
    name = f"{registry.host}/models/sum"
    first = say("push", "sum", f"{name}:1")
    assert first.exit_code == 0, first.output
    again = say("push", "sum", f"{name}:champion")
    assert "0.0 kB went up" in again.output, "an alias costs nothing"
    registered = FolderRegistry(project / ".podium" / "registry")
    with Repository(Reference.parse(name), registry.access) as there:
        assert there.manifest("1")[0].digest == there.manifest("champion")[0].digest
        manifest = decode(there.manifest("1")[1], Manifest, what="it")
    assert manifest.annotations["podium.digest"] == digest
    pulled = say("pull", f"{name}:champion")
    assert pulled.output.endswith(f"sum 1  {digest}\n")
    assert digest_of(registered.find("sum").path) == digest


def test_the_package_is_where_kserve_looks(project: Path, say: Say, registry: RunningRegistry) -> None:
    assert say("push", "sum", f"{registry.host}/models/car:1").exit_code == 0
    with Repository(Reference.parse(f"{registry.host}/models/car"), registry.access) as there:
        manifest = decode(there.manifest("1")[1], Manifest, what="it")
        layout = Layout(project / "there")
        there.fetch(manifest.layers[0], layout)
        with tarfile.open(layout.path(manifest.layers[0].digest)) as tar:
            assert {"models", "models/manifest.json", "models/query.sql"} & {*tar.getnames()} >= {
                "models",
                "models/manifest.json",
            }


@pytest.mark.parametrize("words", [("push", "sum"), ("build", "sum", "--push", "-t")])
def test_a_damaged_package_does_not_leave_this_machine(
    project: Path, say: Say, registry: RunningRegistry, words: tuple[str, ...]
) -> None:
    samples = packaged(project) / "samples.json"
    samples.chmod(0o644)
    samples.write_bytes(samples.read_bytes().replace(b"3.0", b"4.0"))
    failed = say(*words, f"{registry.host}/models/damaged:1")
    assert isinstance(failed.exception, DigestMismatch)
    there = Repository(Reference.parse(f"{registry.host}/models/damaged"), registry.access)
    with there, pytest.raises(NoSuchImage):
        there.manifest("1")


def test_a_package_that_lies_about_its_digest_is_refused(
    project: Path, say: Say, registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = building.labels_of
    from podium.images import artifacts

    monkeypatch.setattr(artifacts, "labels_of", lambda m, d: {**real(m, d), "podium.digest": "0" * 64})
    assert say("push", "sum", f"{registry.host}/models/liar:1").exit_code == 0
    failed = say("pull", f"{registry.host}/models/liar:1")
    assert "was changed on the way, and is not kept" in str(failed.exception)


# --- signatures -----------------------------------------------------------------------------


def test_what_is_signed_is_verified_and_nothing_else_is_pulled(
    project: Path, say: Say, registry: RunningRegistry, keys: Path
) -> None:
    name = f"{registry.host}/models/signed"
    assert say("push", "sum", f"{name}:bare").exit_code == 0
    unsigned = say("pull", f"{name}:bare", "--key", str(keys / "ours.pub"))
    assert "is not signed" in str(unsigned.exception)
    assert say("push", "sum", f"{name}:1", "--sign", str(keys / "ours.key")).exit_code == 0
    good = say("verify", f"{name}:1", "--key", str(keys / "ours.pub"))
    assert good.exit_code == 0, good.output
    assert say("pull", f"{name}:1", "--key", str(keys / "ours.pub")).exit_code == 0
    for command in ("verify", "pull"):
        bad = say(command, f"{name}:1", "--key", str(keys / "theirs.pub"))
        assert "is signed, but not with the key of" in str(bad.exception)
    both = say("push", "sum", f"{name}:1", "--sign", str(keys / "theirs.key"))
    assert both.exit_code == 0
    for whose in ("ours.pub", "theirs.pub"):
        assert say("verify", f"{name}:1", "--key", str(keys / whose)).exit_code == 0


def test_openssl_alone_verifies_a_signature(
    project: Path, say: Say, registry: RunningRegistry, keys: Path
) -> None:
    """What cosign does: its payload, and the signature in the layer's annotation."""
    import base64

    name = f"{registry.host}/models/openssl"
    assert say("push", "sum", f"{name}:1", "--sign", str(keys / "ours.key")).exit_code == 0
    with Repository(Reference.parse(name), registry.access) as there:
        digest = there.manifest("1")[0].digest
        signatures = decode(there.manifest(f"{digest.replace(':', '-')}.sig")[1], Manifest, what="it")
        (layer,) = signatures.layers
        assert signing.ARTIFACT in {each.artifact_type for each in there.referrers(digest)}
        layout = Layout(project / "there")
        there.fetch(layer, layout)
    (project / "signature").write_bytes(
        base64.b64decode(layer.annotations["dev.cosignproject.cosign/signature"])
    )
    payload = layout.path(layer.digest)
    check = ["openssl", "dgst", "-sha256", "-verify", str(keys / "ours.pub"), "-signature", "signature"]
    assert subprocess.run([*check, str(payload)], cwd=project, timeout=20, check=False).returncode == 0
    assert json.loads(payload.read_bytes())["critical"]["image"]["docker-manifest-digest"] == digest


@pytest.mark.usefixtures("no_libraries")
def test_a_key_that_is_none_is_said_before_anything_is_pushed(
    project: Path, say: Say, registry: RunningRegistry, keys: Path, tmp_path: Path
) -> None:
    name, sign = f"{registry.host}/models/keyless:1", ("--sign", str(keys / "ours.pub"))
    for words in (
        ("push", "sum", name),
        ("build", "sum", "-t", name, "--base", str(small(tmp_path / "base")), "--push"),
    ):
        failed = say(*words, *sign)
        assert "is no private key in PEM" in str(failed.exception)
    assert "has no 1" in str(say("pull", name).exception)


@pytest.mark.usefixtures("no_libraries")
def test_what_could_not_be_signed_has_no_tag(
    project: Path,
    say: Say,
    registry: RunningRegistry,
    keys: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever pulls by a tag and wants a signature would be refused meanwhile, or for good."""

    def fail(*_: object) -> None:
        raise ImageRegistryAway("broke off")

    monkeypatch.setattr(signing, "sign", fail)
    name, sign = f"{registry.host}/models/half:1", ("--sign", str(keys / "ours.key"))
    base = str(small(tmp_path / "base"))
    for words in (("push", "sum", name), ("build", "sum", "-t", name, "--base", base, "--push")):
        said = str(say(*words, *sign).exception)
        assert said == f"broke off. {name} is what it was before; what went up stays for the next push"
        assert "has no 1" in str(say("pull", name).exception)


def test_a_push_that_is_interrupted_says_what_is_left(
    project: Path, say: Say, registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Repository, "put_manifest", interrupt)
    name = f"{registry.host}/models/interrupted:1"
    said = str(say("push", "sum", name).exception)
    assert said == f"interrupted: {name} is what it was before; what went up stays for the next push"
    assert "has no 1" in str(say("pull", name).exception)


def test_a_name_without_a_tag_is_the_latest(project: Path, say: Say, registry: RunningRegistry) -> None:
    name = f"{registry.host}/models/untagged"
    assert say("push", "sum", name).exit_code == 0
    assert say("pull", f"{name}:latest").exit_code == 0
    assert say("pull", name).exit_code == 0


# --- images ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_libraries")
def test_an_image_is_built_twice_with_one_digest_and_a_new_model_sends_its_layer_alone(
    project: Path, say: Say, registry: RunningRegistry, tmp_path: Path
) -> None:
    base = small(tmp_path / "base")
    name = f"{registry.host}/images/sum:1"
    build = ("build", "sum", "-t", name, "--base", str(base), "--python", "3.11")
    first = say(*build, "--push")
    assert first.exit_code == 0, (first.output, first.exception)
    second = say(*build, "--output", f"oci:{tmp_path / 'out'}")
    digest = Layout(tmp_path / "out").tagged("1").digest
    assert f"image  {digest}" in first.output
    assert f"image  {digest}" in second.output
    (project / "models" / "sum.sql").write_text("select a - b as total from input\n")
    assert CliRunner().invoke(podium, ["train"]).exit_code == 0
    changed = say(*build, "--push")
    assert changed.output.count("sent") == 2, "the model's layer and the configuration"
    assert changed.output.count("is there") == 3, "base, libraries, Podium"


@pytest.mark.usefixtures("no_libraries")
def test_an_image_says_what_it_is_and_runs_as_nobody(
    project: Path, say: Say, registry: RunningRegistry, tmp_path: Path
) -> None:
    name = f"{registry.host}/images/said:1"
    done = say("build", "sum", "-t", name, "--base", str(small(tmp_path / "base")), "--push")
    assert done.exit_code == 0, (done.output, done.exception)
    with Repository(Reference.parse(name), registry.access) as there:
        top, content = there.manifest("1")
        manifest = decode(content, Manifest, what="it")
        layout = Layout(tmp_path / "there")
        there.fetch(manifest.config, layout)
        config = decode(layout.read(manifest.config), ImageConfig, what="it")
        (bill,) = there.referrers(top.digest)
        attached = decode(there.manifest(bill.digest)[1], Manifest, what="it")
        there.fetch(attached.layers[0], layout)
    assert (config.config.user, config.config.cmd) == ("10001:10001", ["run", "worker", "sum"])
    labels = config.config.labels or {}
    assert labels["of"] == "the base"
    assert json.loads(labels["podium.inputs"])["fields"][0]["name"] == "a"
    assert f"PODIUM_DIGEST={packaged(project).name}" in (config.config.env or [])
    listed = json.loads(layout.read(attached.layers[0]))
    assert bill.artifact_type == sbom.CYCLONEDX
    assert {each["type"] for each in listed["components"]} >= {"framework", "machine-learning-model"}


@pytest.mark.usefixtures("no_libraries")
def test_two_platforms_are_one_index_and_a_missing_one_is_named(
    project: Path, say: Say, registry: RunningRegistry, tmp_path: Path
) -> None:
    build = ("build", "sum", "-t", f"{registry.host}/images/two:1", "--platform", "linux/amd64,linux/arm64")
    both = say(*build, "--base", str(small(tmp_path / "two", AMD, ARM)), "--push")
    assert both.exit_code == 0, (both.output, both.exception)
    with Repository(Reference.parse(f"{registry.host}/images/two"), registry.access) as there:
        index = decode(there.manifest("1")[1], Index, what="it")
    assert [str(each.platform) for each in index.manifests] == ["linux/amd64", "linux/arm64"]
    one = say(*build, "--base", str(small(tmp_path / "one", AMD)))
    assert "is for linux/amd64, and linux/arm64 is wanted" in str(one.exception)


@pytest.mark.usefixtures("no_libraries")
@pytest.mark.parametrize(
    ("python", "then"),
    [("3.12", "another --base, or --python 3.12"), ("3.9", "another --base")],
    ids=["new", "too old for Podium"],
)
def test_a_base_with_another_python_is_named(
    python: str, then: str, project: Path, say: Say, tmp_path: Path
) -> None:
    base = small(tmp_path / "base", python=python)
    failed = say("build", "sum", "-t", "localhost/sum:1", "--base", str(base), "--python", "3.11")
    said = str(failed.exception)
    assert said.endswith(f"has Python {python}, and the wheels are for Python 3.11: {then}")


@pytest.mark.usefixtures("no_libraries")
def test_a_docker_archive_is_what_docker_loads(project: Path, say: Say, tmp_path: Path) -> None:
    file = tmp_path / "sum.tar"
    base = str(small(tmp_path / "base"))
    done = say("build", "sum", "-t", "localhost/sum:1", "--base", base, "--output", f"docker-archive:{file}")
    assert done.exit_code == 0, (done.output, done.exception)
    with tarfile.open(file) as tar:
        (listed,) = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        assert {listed["Config"], *listed["Layers"]} < {*tar.getnames()}
    assert listed["RepoTags"] == ["localhost/sum:1"]


@pytest.mark.usefixtures("no_libraries")
def test_a_base_that_was_damaged_here_is_named_and_comes_again(
    project: Path, say: Say, tmp_path: Path
) -> None:
    base = small(tmp_path / "base")
    build = ("build", "sum", "-t", "localhost/sum:1", "--base", str(base))
    assert say(*build).exit_code == 0
    source = Layout(base.folder)
    layer = decode(source.read(source.tagged("slim")), Manifest, what="it").layers[0]
    kept = Layout(project / ".podium" / "images").path(layer.digest)
    kept.write_bytes(kept.read_bytes()[:-20])
    failed = say(*build)
    assert isinstance(failed.exception, DamagedBlob)
    assert f"{kept} is damaged: its bytes have another digest; delete it" in str(failed.exception)
    kept.unlink()
    assert say(*build).exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("build", "sum", "-t", "UPPER/x"), "is no image's name"),
        (("build", "sum", "-t", "localhost/x", "--output", "zip:x"), "it is oci:DIR or docker-archive:FILE"),
        (("build", "sum", "-t", "localhost/x", "--platform", "arm"), "'arm' is no platform"),
        (
            (
                *("build", "sum", "-t", "localhost/x", "--output", "docker-archive:x"),
                *("--base", "oci:/nowhere", "--platform", "linux/amd64,linux/arm64"),
            ),
            "a docker archive holds one platform",
        ),
        (("build", "sum", "-t", "localhost/x", "--base", "oci:/nowhere"), "/nowhere is no OCI layout"),
        (("build", "some", "-t", "localhost/x"), "there is no version of 'some'"),
    ],
)
def test_what_cannot_be_built_says_why(project: Path, say: Say, words: tuple[str, ...], said: str) -> None:
    failed = say(*words)
    assert said in str(failed.exception), (failed.output, failed.exception)


def test_the_usual_platform_is_what_clusters_have() -> None:
    assert PLATFORM == "linux/amd64"


# --- elsewhere ------------------------------------------------------------------------------


def test_training_pushes_under_the_versions_own_name(
    project: Path, say: Say, registry: RunningRegistry
) -> None:
    done = say("train", "--push", f"{registry.host}/trained")
    assert done.exit_code == 0, (done.output, done.exception)
    digest = packaged(project).name
    with Repository(Reference.parse(f"{registry.host}/trained/sum"), registry.access) as there:
        manifest = decode(there.manifest(digest[:12])[1], Manifest, what="it")
    assert manifest.annotations["podium.digest"] == digest


def test_a_worker_with_an_empty_disk_pulls_its_package_if_it_is_the_one(
    project: Path, say: Say, registry: RunningRegistry, keys: Path, tmp_path: Path
) -> None:
    name = f"{registry.host}/models/remote:1"
    assert say("push", "sum", name).exit_code == 0
    digest = packaged(project).name
    told = {**registry.environment, "PODIUM_REGISTRY_CA": str(registry.ca)}
    place = f"oci://{name}"
    found = packages_at(place, digest, tmp_path / "disk", told)
    assert (found.name, digest_of(found)) == (digest, digest)
    with pytest.raises(DamagedBlob, match=r"holds .*…, and PODIUM_DIGEST is 000000000000…"):
        packages_at(place, "0" * 64, tmp_path / "disk", told)
    assert not (tmp_path / "disk" / ("0" * 64)).exists()
    signed = {**told, "PODIUM_PUBLIC_KEY": str(keys / "ours.pub")}
    with pytest.raises(Unsigned, match="is not signed"):
        packages_at(place, digest, tmp_path / "other", signed)
