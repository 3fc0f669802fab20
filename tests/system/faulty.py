"""A project whose champion behaves as its input tells it to, beside a challenger that is always well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.system.kept import archive_of
from tests.system.running import Node, podium, until

TOML = """\
[endpoint]
name = "diabetes"
deadline = "2s"
default = {{ {default} }}
{schema}
[models.{champion}]
{keys}
role = "champion"
timeout = "3s"

[models.steady]
module = "models/steady.py"
role = "challenger"
timeout = "3s"

[schedule]
"0ms" = ["champion"]
"300ms" = ["champion", "challenger"]
{more}"""

SCHEMA = """
[endpoint.inputs]
bmi = "float"

[endpoint.outputs]
progression = "float"
"""

STEADY = """\
import podium


class Model(podium.Model):
    inputs = {"bmi": "float"}
    output = "progression"

    def predict(self, columns):
        return {"progression": 152.0 + columns["bmi"]}
"""

Faults = Mapping[str, tuple[int, str]]
"""By name: the `bmi` that brings a fault about, and what is said of it."""


def write(
    folder: Path,
    champion: str,
    keys: str,
    *,
    files: Mapping[str, str],
    default: str = "progression = 0.0",
    schema: str = SCHEMA,
    steady: str = STEADY,
    more: str = "",
) -> Path:
    """The project, not trained yet. `keys` are those of the champion's table, `files` are below `models`."""
    (folder / "models").mkdir(parents=True)
    text = TOML.format(champion=champion, keys=keys, default=default, schema=schema, more=more)
    (folder / "podium.toml").write_text(text)
    for name, content in {**files, "steady.py": steady}.items():
        (folder / "models" / name).write_text(content)
    return folder


def trust(folder: Path) -> dict[str, str]:
    return {"PODIUM_TRUST": str(folder / "trust")}


def train(folder: Path) -> None:
    podium(folder, "train", env=trust(folder))


@contextmanager
def node_of(folder: Path) -> Iterator[Node]:
    """The trained project's node, not started yet; it ends with the block."""
    node = Node(folder, env=trust(folder))
    try:
        yield node
    finally:
        node.end()


def champion_answers(node: Node, champion: str) -> bool:
    return bool(node.score("bmi=1")["model"] == champion)


def assert_each_is_told(node: Node, champion: str, faults: Faults, *, unlogged: tuple[str, ...] = ()) -> None:
    """Another one answers, the champion is back without a restart of its worker, and what was wrong is in
    `status` at once, in the archive, and but for `unlogged` in the log."""

    def contender() -> str:
        return next(each.last_error or "" for each in node.status().contenders if each.model == champion)

    for name, (bmi, said) in faults.items():
        until(lambda: champion_answers(node, champion))
        answer = node.score(f"bmi={bmi}", podium_id=name)
        assert (answer["answer"], answer["rule"]) == ({"progression": 152.0 + bmi}, "challenger"), name
        until(lambda said=said: said in contender(), what=contender)  # type: ignore[misc]
    until(lambda: champion_answers(node, champion))
    sql = f"select id, error from scores where model = '{champion}' and status = 'error'"
    errors, log = dict(archive_of(node).rows(sql)), node.log(f"worker {champion} 1")
    for name, (_, said) in faults.items():
        assert said in errors[name]
        assert said.split("'")[0] in log or name in unlogged, name
    assert node.process(f"worker {champion} 1").restarts == 0
    found = next(each for each in node.status().contenders if each.model == champion)
    assert found.errors >= len(faults)
    assert f"{champion}@{found.version}, " in podium(node.folder, "status").stdout.partition("Last errors")[2]
