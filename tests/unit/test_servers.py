"""A server in `podium.toml`: what is read, and what each mistake says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium import project
from podium.errors import ProjectError
from podium.servers import LAYOUTS, ROW_CONNECTIONS, Server, steps

WHOLE = """\
[endpoint]
name = "diabetes"

[endpoint.inputs]
bmi = "float"
s5 = "float"

[endpoint.outputs]
progression = "float"

[models.flask]
url = "http://127.0.0.1:5000/"
role = "champion"
health = "/ready"

[models.flask.request]
method = "GET"
path = "/score"
query = { var1 = "bmi" }

[models.flask.response]
outputs = { progression = "$.score" }
"""


def load(folder: Path, text: str) -> project.ModelSettings:
    (folder / "podium.toml").write_text(text)
    return project.load(folder).champion


def test_a_mapping_is_read(tmp_path: Path) -> None:
    model = load(tmp_path, WHOLE)
    assert model.server == Server(
        url="http://127.0.0.1:5000",
        protocol="json",
        health="/ready",
        method="GET",
        path="/score",
        query={"var1": "bmi"},
        outputs={"progression": "$.score"},
    )
    assert model.worker.threads == ROW_CONNECTIONS
    assert load(tmp_path, WHOLE.replace("health", "threads = 2\nhealth")).worker.threads == 2


PLAIN = WHOLE[: WHOLE.index("health")]


@pytest.mark.parametrize(
    ("keys", "url", "layout"),
    [
        ('url = "http://h:1/v2/models/m"\nprotocol = "oip"', "http://h:1/v2/models/m", "tensors"),
        ('url = "http://h:1/v2/models/m/infer"\nprotocol = "oip"', "http://h:1/v2/models/m", "tensors"),
        ('url = "https://h/"\nprotocol = "sagemaker"\nlayout = "json"', "https://h", "json"),
        ('url = "http://h/invocations"\nprotocol = "mlflow"', "http://h", "dataframe_split"),
        ('url = "http://h/m:predict"\nprotocol = "vertex"', "http://h/m:predict", "objects"),
        ('url = "http://h/score?code=1"\nprotocol = "json"', "http://h/score?code=1", ""),
        ('url = "http://[::1]:80/score"', "http://[::1]:80/score", ""),
    ],
)
def test_each_protocol_has_its_usual_layout_and_takes_the_address_as_people_have_it(
    tmp_path: Path, keys: str, url: str, layout: str
) -> None:
    server = load(tmp_path, PLAIN.replace('url = "http://127.0.0.1:5000/"', keys)).server
    assert server is not None
    assert (server.url, server.layout) == (url, layout)
    assert not server.layout or server.layout in LAYOUTS[server.protocol]


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("http://127.0.0.1:5000/", "127.0.0.1:5000", 12, "is no address"),
        ("http://127.0.0.1:5000/", "ftp://h/", 12, "is no address"),
        ("http://127.0.0.1:5000/", "http:///score", 12, "is no address"),
        ("http://127.0.0.1:5000/", "http://h:99999/", 12, "is no address"),
        ("http://127.0.0.1:5000/", "http://h:0/", 12, "port 0"),
        ("http://127.0.0.1:5000/", "http://[::1/", 12, "is no address"),
        ("http://127.0.0.1:5000/", "http://me:secret@h/", 12, "no place for credentials"),
        ("http://127.0.0.1:5000/", "http://h/#a", 12, "more than a path"),
        ("http://127.0.0.1:5000/", "http://h/?a=1", 18, "write the path into the url"),
        ('role = "champion"', 'role = "champion"\nprotocol = "oipp"', 14, "did you mean 'oip'?"),
        (
            'role = "champion"',
            'role = "champion"\nprotocol = "oip"',
            17,
            "`request` is for the protocol json",
        ),
        ('role = "champion"', 'role = "champion"\nlayout = "csv"', 14, "not for the protocol json"),
        ('health = "/ready"', 'health = "ready"', 14, 'is no path; write as in "/health"'),
        ('method = "GET"', 'method = "PUT"', 17, "not one of GET, POST"),
        ('method = "GET"', 'methd = "GET"', 17, "did you mean 'method'?"),
        ('path = "/score"', 'path = "score?"', 18, 'is no path; write as in "/path"'),
        ('var1 = "bmi"', 'var1 = "bim"', 19, "'bim' is no input (did you mean 'bmi'?)"),
        ('var1 = "bmi"', "var1 = 1", 19, '1 is no input; write as in var1 = "bmi"'),
        ('query = { var1 = "bmi" }', 'body = { a = "bmi" }', 19, 'goes with the method "POST"'),
        ('method = "GET"', 'body = "bmi"', 17, "neither a table nor a list"),
        ('method = "GET"', 'body = { a = ["bm"] }', 17, "'bm' is no input (did you mean 'bmi'?)"),
        ('"$.score"', '"score"', 22, "'score' is no path"),
        ('"$.score"', '"$.score["', 22, "is no path"),
        ('"$.score"', "5", 22, "5 is no path"),
        ('progression = "$', 'progresion = "$', 22, "did you mean 'progression'?"),
        ("outputs = {", "output = {", 22, "did you mean 'outputs'?"),
    ],
)
def test_a_mistake_names_its_line_and_what_would_be_right(
    tmp_path: Path, before: str, after: str, line: int, said: str
) -> None:
    assert before in WHOLE
    with pytest.raises(ProjectError) as caught:
        load(tmp_path, WHOLE.replace(before, after, 1))
    message = str(caught.value)
    assert message.startswith(f"podium.toml:{line}: ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('url = "http://h/"\nprotocol = "oip"', 'names no model; write as in "http://h/v2/models/NAME"'),
        ('url = "http://h/"\nprotocol = "vertex"', "has no route"),
        ('url = "http://h/?a=1"\nprotocol = "mlflow"', "more than a path"),
        ('url = "http://h/"\nprotocol = "mlflow"\nlayout = "csv"', "not one of dataframe_split, inputs"),
        ('url = "http://h/"\nfiles = ["a"]', "`files` is for models with `command`"),
        ('sql = "a.sql"\nprotocol = "json"', "`protocol` is for models with `url`"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, keys: str, said: str) -> None:
    with pytest.raises(ProjectError) as caught:
        load(tmp_path, PLAIN.replace('url = "http://127.0.0.1:5000/"', keys))
    assert said in str(caught.value)


def test_a_path_is_its_steps() -> None:
    assert steps("$") == ()
    assert steps("$.a.b_c[10][\"d e\"]['f']") == ("a", "b_c", 10, "d e", "f")
    assert [steps(text) for text in ("", "a", "$a", "$.", "$[", "$[-1]", "$..a", "$.a b")] == [None] * 8


@given(st.lists(st.integers(0, 99) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,5}", fullmatch=True)))
def test_a_path_is_read_as_it_is_written(path: list[int | str]) -> None:
    text = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    assert steps(text) == tuple(path)
