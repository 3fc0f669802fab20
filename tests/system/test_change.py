"""Who answers is changed while requests flow: nobody notices but by the answers' own words."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.system.conftest import Up
from tests.system.kept import Archive
from tests.system.load import Load
from tests.system.running import PODIUM, Node, edit, podium, until

MODEL = (
    Path("models") / "linear.py",
    "patients[:-20], progression[:-20]",
    "patients[:-40], progression[:-40]",
)


def retrained(project: Path) -> str:
    """A second version of linear, from a little less data; returns `linear@DIGITS`."""
    file, old, new = MODEL
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new))
    said = podium(project, "train", "linear").stdout
    found = re.search(r"^linear 2  ([0-9a-f]{12})", said, re.MULTILINE)
    assert found, said
    return f"linear@{found[1]}"


def roles(node: Node) -> dict[str, str]:
    return {f"{c.model}@{c.version}" if c.version else c.model: c.role for c in node.status().contenders}


def version(node: Node, model: str) -> str:
    return next(f"{c.model}@{c.version}" for c in node.status().contenders if c.model == model)


def answered_by(node: Node) -> str:
    """The model whose answer a request gets; nothing while the broker is away."""
    try:
        return str(node.score()["model"])
    except urllib.error.HTTPError as error:
        return "" if error.code == 503 else str(error)


def said_in_use(text: str, gateways: int) -> float:
    """Seconds from the command to the last gateway's use of the revision."""
    found = re.search(rf"is in use by {gateways} gateways? after ([\d.]+) s", text)
    assert found, text
    return float(found[1])


def assert_archived_once(node: Node, load: Load) -> Archive:
    """As `assert_each_answer_kept_once`, with contenders that come and go."""
    archive = archive_of_changes(node)
    assert load.answered <= archive.ids("answers")
    for table in ("answers", "requests", "decoy"):
        assert not archive.doubled(table)
    assert not archive.doubled("scores", "model", "version", "replayed")
    return archive


def archive_of_changes(node: Node) -> Archive:
    until(lambda: node.status().archived >= node.status().answered, seconds=40, what=node.status)
    return Archive(node)


def test_a_version_joins_shares_is_promoted_and_rolled_back_and_no_request_is_lost(
    project: Path, up: Up
) -> None:
    edit(project, deadline="1s")  # what is tried here is not how quick this machine is
    node = up(project, "--gateways", "2")
    newer = retrained(project)
    linear, forest = version(node, "linear"), version(node, "forest")
    before = {process.name: process.pid for process in node.status().processes}
    with Load(node.url, rate=200) as load:
        joined = podium(project, "join", "linear@2").stdout
        assert "warming" in joined
        assert roles(node)[newer] == "challenger"
        shared = podium(project, "join", "diabetes", newer, "--share", "30%", "--reason", "looks good").stdout
        assert "challenger → challenger with a share of 30%" in shared
        moment = time.monotonic()
        time.sleep(1.5)
        sharing = load.since(moment)
        promoted = podium(project, "promote", newer).stdout
        assert roles(node)[newer] == "champion"
        assert roles(node)[linear] == "challenger"
        time.sleep(0.5)
        back = podium(project, "rollback").stdout
        assert roles(node)[linear] == "champion"
        time.sleep(0.5)
        left = podium(project, "leave", newer).stdout
        until(lambda: "worker linear 2" not in {p.name for p in node.status().processes})
        time.sleep(0.5)
    assert set(load.counts) == {200}, load
    assert load.rules["default"] == 0, load
    assert 0.2 < sum(seen.rule == "share" for seen in sharing) / len(sharing) < 0.4, load
    for said in (joined, shared, promoted, back, left):
        assert said_in_use(said, 2) < 1.0
    after = {process.name: process.pid for process in node.status().processes}
    assert after == before, "a process was restarted, or is left"
    archive = assert_archived_once(node, load)
    model, _, digits = newer.partition("@")
    answered = archive.rows(
        f"select rule, count(*) from answers where model = '{model}' and version = '{digits}' group by 1"
    )
    assert {rule for rule, _ in answered} >= {"share", "champion"}
    as_what = archive.rows(f"select distinct role from scores where version = '{digits}' order by 1")
    assert as_what == [("challenger",), ("champion",)]
    assert archive.count("select * from scores where status = 'error'") == 0
    assert forest in roles(node)


def test_the_history_says_who_changed_what_and_why(project: Path, up: Up) -> None:
    node = up(project)
    podium(project, "promote", "forest", "--reason", "it is better")
    podium(project, "rollback", "--reason", "it was not")
    text = podium(project, "history").stdout
    assert "it is better" in text
    assert "(as revision 1)" in text
    found = json.loads(podium(project, "history", "--json").stdout)
    assert [policy["revision"] for policy in found] == [1, 2, 3]
    assert found[2]["restores"] == 1
    assert found[1]["author"]
    assert node.status().revision == 3


def test_a_change_by_a_command_outlives_a_restart_and_the_file_is_shown_to_differ(
    project: Path, up: Up
) -> None:
    node = up(project)
    forest, linear = version(node, "forest"), version(node, "linear")
    podium(project, "promote", "forest")
    assert node.score()["model"] == "forest"
    assert any("champion" in line for line in node.status().unapplied)
    node.stop()
    node.start()
    assert "`podium apply diabetes` does that" in node.output()
    assert node.score()["model"] == "forest"
    assert roles(node)[forest] == "champion"
    plan = podium(project, "plan").stdout
    assert f"~ {linear}: challenger → champion" in plan
    podium(project, "apply", "--yes")
    assert node.score()["model"] == "linear"
    assert node.status().unapplied == ()
    assert "nothing to change" in podium(project, "plan").stdout


def test_an_edited_file_is_followed_by_the_next_up_until_somebody_commands(project: Path, up: Up) -> None:
    node = up(project)
    node.stop()
    file = project / "podium.toml"
    file.write_text(file.read_text().replace('deadline = "100ms"', 'deadline = "90ms"'))
    node.start()
    assert "~ deadline: 100ms → 90ms" in node.output()
    assert node.status().revision == 2


def test_a_power_cut_right_after_a_promotion_does_not_undo_it(project: Path, up: Up) -> None:
    node = up(project)
    podium(project, "promote", "forest")
    until(lambda: node.status().revision == 2)
    node.power_cut()
    node.start()
    assert node.score()["model"] == "forest"


def test_a_live_version_that_is_gone_from_the_registry_stops_up_with_the_way_out(
    project: Path, up: Up
) -> None:
    node = up(project)
    newer = retrained(project)
    podium(project, "join", newer)
    node.stop()
    (project / ".podium" / "registry" / "models" / "linear" / "2").unlink()
    said = podium(project, "up", code=1).stderr
    assert f"revision 2 is live and cannot be served: there is no {newer}" in said
    assert "`podium up --from-file`" in said


def test_gateways_and_workers_that_are_killed_come_back_to_the_live_policy(project: Path, up: Up) -> None:
    node = up(project)
    podium(project, "promote", "forest")
    for name in ("gateway 1", "worker forest 1", "broker"):
        killed = node.send(name, signal.SIGKILL)
        node.until_back(name, killed)
    until(lambda: answered_by(node) == "forest")
    podium(project, "rollback")
    until(lambda: answered_by(node) == "linear")


def test_of_two_who_change_at_once_one_is_refused_with_the_difference(project: Path, up: Up) -> None:
    node = up(project)

    def share(part: int) -> tuple[int, str]:
        try:
            return 0, podium(project, "join", "forest", "--share", f"{part}%").stdout
        except AssertionError as error:
            return 1, str(error)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(share, range(10, 90, 10)))
    refused = [text for code, text in done if code]
    assert len(refused) < 8
    assert all("meanwhile" in text and "share of" in text for text in refused)
    assert node.status().revision == 1 + len(done) - len(refused)


def test_what_cannot_be_is_refused_and_nothing_changes(project: Path, up: Up) -> None:
    node = up(project)
    cases = {
        ("join", "forest@7"): "there is no forest@7; forest has 1",
        ("join", "forrest"): "did you mean 'forest'",
        ("join", "forest", "--role", "canary", "--share", "10%"): "a share is for a challenger",
        ("join", "wine", "forest"): "no endpoint 'wine' here; there is diabetes",
        ("join", "linear"): "it is the champion",
        ("join", "forest"): "is challenger already (revision 1)",
        ("leave", "linear"): "promote another contender first",
        ("leave", "nobody"): "there are linear@",
        ("promote", "reference"): "is the canary",
        ("promote", "linear"): "is the champion already",
        ("rollback",): "nothing to go back to from revision 1",
        ("rollback", "--to", "9"): "there is no revision 9; `podium history` shows 1 to 1",
    }
    for words, expected in cases.items():
        said = podium(project, *words, code=1).stderr
        assert expected in said, (words, said)
        assert said.count("\n") == 1, said
    assert "from 0% to 100%" in podium(project, "join", "forest", "--share", "120%", code=2).stderr
    assert node.status().revision == 1


def test_a_default_answer_that_does_not_fit_is_refused_while_it_runs_too(project: Path, up: Up) -> None:
    node = up(project)
    file = project / "podium.toml"
    file.write_text(file.read_text().replace("default = { progression = 152.13 }", "default = { age = 1 }"))
    said = podium(project, "apply", "--yes", code=1).stderr
    assert "podium.toml: endpoint.default: 'age' is not an output" in said
    assert node.status().revision == 1
    assert node.score(podium_deadline="0ms")["answer"] == {"progression": 152.13}


def test_a_version_that_does_not_come_up_changes_nothing(project: Path, up: Up) -> None:
    node = up(project)
    newer = retrained(project)
    package = next((project / ".podium" / "registry" / "packages").glob(f"{newer.partition('@')[2]}*"))
    model = next(path for path in package.iterdir() if path.suffix in (".onnx", ".skops"))
    model.chmod(0o644)
    model.write_bytes(b"damaged")
    said = podium(project, "join", "linear@2", code=1).stderr
    assert "does not come up, so nothing has changed" in said
    assert newer not in roles(node)
    until(lambda: "worker linear 2" not in {p.name for p in node.status().processes})
    assert node.status().ready


@pytest.mark.parametrize("seconds", [0.45, 1.5])
def test_a_join_whose_node_dies_meanwhile_ends_with_one_line(project: Path, up: Up, seconds: float) -> None:
    node = up(project)
    retrained(project)
    with ThreadPoolExecutor(1) as pool:
        node.send("supervisor", signal.SIGSTOP)  # so that nobody can be warm before it is gone
        joining = pool.submit(podium, project, "join", "linear@2", code=1)
        time.sleep(seconds)  # while it connects; while it waits for the worker
        node.send("supervisor", signal.SIGKILL)
        said = joining.result().stderr
    assert said == "podium: nothing runs for this project; `podium up` starts it\n"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("words", [("promote", "forest"), ("join", "linear@2")], ids=["promote", "join"])
def test_a_killed_command_leaves_the_old_policy_or_the_new_one_and_nobody_standing_by(
    project: Path, up: Up, words: tuple[str, ...]
) -> None:
    node = up(project)
    retrained(project)

    def workers() -> int:
        return sum(process.name.startswith("worker") for process in node.status().processes)

    before, revision = workers(), node.status().revision
    with Load(node.url, rate=50, connections=4) as load:
        for seconds in (0.4, 0.8, 1.2):
            command = subprocess.Popen([*PODIUM, *words], cwd=project, stderr=subprocess.DEVNULL)
            time.sleep(seconds)
            command.kill()
            command.wait()
    assert set(load.counts) == {200}, load
    moved = node.status().revision - revision
    assert moved in (0, 1)
    joined = moved if words[0] == "join" else 0
    until(lambda: workers() == before + joined, what=lambda: node.status().processes)
    assert node.status().ready


@pytest.mark.timeout(240)
def test_joins_and_leaves_leave_processes_files_and_memory_as_they_were(project: Path, up: Up) -> None:
    node = up(project)
    retrained(project)

    def once() -> None:
        podium(project, "join", "linear@2")
        podium(project, "leave", "linear@2")
        until(lambda: "worker linear 2" not in {p.name for p in node.status().processes})

    def files() -> int:
        return sum(len(list((project / ".podium" / part).rglob("*"))) for part in ("run", "logs", "registry"))

    def descriptors() -> int:
        return len(list(Path(f"/proc/{node.pid('supervisor')}/fd").iterdir()))

    once()
    before = (len(node.pids()), files(), descriptors())
    for _ in range(3):
        once()
    until(
        lambda: (len(node.pids()), files(), descriptors()) == before,
        what=lambda: (before, files(), descriptors()),
    )


def test_without_a_node_changes_say_how_to_start_one(project: Path) -> None:
    for words in (("plan",), ("join", "forest"), ("history",)):
        assert (
            "nothing runs for this project; `podium up` starts it" in podium(project, *words, code=1).stderr
        )


def test_the_archive_is_whole_after_changes(project: Path, up: Up) -> None:
    node = up(project)
    with Load(node.url, rate=100) as load:
        podium(project, "leave", "forest")
        podium(project, "join", "forest")
        time.sleep(0.3)
    assert set(load.counts) == {200}
    assert_archived_once(node, load)


# --- trained anew while it runs ---------------------------------------------------------------


def asked(url: str, method: str, key: str | None) -> tuple[int, dict[str, Any]]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_train_over_http_makes_a_challenger_and_never_a_champion(project: Path, up: Up) -> None:
    node = up(project, env={"PODIUM_ADMIN_KEY": "a long secret"})
    assert asked(f"{node.url}/train/diabetes/linear", "POST", None)[0] == 401
    assert asked(f"{node.url}/train/diabetes/linear", "POST", "guessed")[0] == 401
    status, problem = asked(f"{node.url}/train/diabetes/lineal", "POST", "a long secret")
    assert (status, "did you mean 'linear'" in problem["detail"]) == (404, True)
    file, old, new = MODEL
    (project / file).write_text((project / file).read_text().replace(old, new))
    status, job = asked(f"{node.url}/train/diabetes/linear", "POST", "a long secret")
    assert (status, job["state"]) == (202, "queued")

    def now() -> dict[str, Any]:
        return asked(f"{node.url}/train/diabetes/{job['job']}", "GET", "a long secret")[1]

    until(lambda: now()["state"] in ("succeeded", "failed"), what=now)
    assert now()["state"] == "succeeded", now()
    assert any(line.startswith("linear 2 ") for line in now()["log"]), now()
    numbers = {(c.model, c.number): c.role for c in node.status().contenders}
    assert numbers[("linear", 1)] == "champion"
    assert numbers[("linear", 2)] == "challenger"


def test_train_over_http_is_off_without_an_admin_key(project: Path, up: Up) -> None:
    node = up(project)
    status, problem = asked(f"{node.url}/train/diabetes/linear", "POST", "anything")
    assert (status, "PODIUM_ADMIN_KEY" in problem["detail"]) == (403, True)


def test_a_training_that_fails_says_why(project: Path, up: Up) -> None:
    node = up(project, env={"PODIUM_ADMIN_KEY": "k"})
    (project / "models" / "forest.py").write_text("def train():\n    raise RuntimeError('no data today')\n")
    _, job = asked(f"{node.url}/train/diabetes/forest", "POST", "k")
    url = f"{node.url}/train/diabetes/{job['job']}"
    until(lambda: asked(url, "GET", "k")[1]["state"] == "failed", what=lambda: asked(url, "GET", "k"))
    assert "no data today" in "\n".join(asked(url, "GET", "k")[1]["log"])
    assert node.score()["model"] == "linear"
