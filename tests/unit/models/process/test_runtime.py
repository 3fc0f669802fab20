"""Commands that behave, and those that do not: a fault is one clear error, and the next question is fine."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from podium.errors import ModelFailed
from podium.models.process.child import Child, Launch, Slow
from podium.models.process.runtime import Backoff, Runtime
from podium.models.process.stderr import BURST, LENGTH, Allowance

from .programs import GOOD, ask, launch, moody, runtime

PATIENCE = 10.0


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up, "not in time"
        time.sleep(0.01)


def failure(asked: Runtime, *values: float) -> str:
    with pytest.raises(ModelFailed) as caught:
        ask(asked, *values)
    message = str(caught.value)
    assert "\n" not in message
    return message


def until_back(asked: Runtime) -> None:
    """It is started again without anybody waiting for it, so the first questions may be refused."""

    def answers() -> bool:
        try:
            return ask(asked, 4) == [8]
        except ModelFailed:
            return False

    until(answers)


def test_rows_are_scored_in_one_question(tmp_path: Path) -> None:
    with runtime(launch(tmp_path, GOOD)) as asked:
        assert ask(asked, 1, 2, 3) == [2, 4, 6]
        assert ask(asked, 5) == [10]


def test_a_large_frame_goes_through_both_pipes_at_once(tmp_path: Path) -> None:
    many = np.random.default_rng(0).random(200_000)
    with runtime(launch(tmp_path, GOOD), timeout=30) as asked:
        assert asked.predict({"x": many})["y"].tolist() == (2 * many).tolist()


def test_only_the_declared_inputs_are_sent(tmp_path: Path) -> None:
    echo = """
        import json, sys
        for line in sys.stdin:
            asked = json.loads(line)
            print(json.dumps({"id": asked["id"], "columns": {"y": [len(asked["columns"])]}}), flush=True)
    """
    with runtime(launch(tmp_path, echo)) as asked:
        assert asked.predict({"x": np.zeros(1), "other": np.zeros(1)})["y"].tolist() == [1]


FAULTS = {
    "noise": ('say("hello"); say(good)', "standard output has 'hello' where an answer belongs"),
    "not_utf8": (
        'sys.stdout.buffer.write(b\'{"id":1,"error":"\\xff"}\\n\'); sys.stdout.flush()',
        "not UTF-8",
    ),
    "another_id": ('say(json.dumps({"id": 99, "columns": {"y": x}}))', "answered the id 99, but was asked"),
    "too_few_rows": ('say(json.dumps({"id": id, "columns": {"y": []}}))', "'y' has 0 rows, expected 1"),
    "a_single_value": (
        'say(json.dumps({"id": id, "columns": {"y": 1}}))',
        "a list with a value for each row",
    ),
    "another_output": ('say(json.dumps({"id": id, "columns": {"z": x}}))', "columns ['z'], expected 'y'"),
    "an_error": ('say(json.dumps({"id": id, "error": "not today"}))', "not today"),
    "nan": ('say(\'{"id": %d, "columns": {"y": [NaN]}}\' % id)', "where an answer belongs"),
    "its_end": ("print('bad luck', file=sys.stderr); sys.exit(3)", "exit status 3; it said last: bad luck"),
    "a_closed_output": ("os.close(1); time.sleep(60)", "has closed its standard output"),
    "a_long_error": ('say(json.dumps({"id": id, "error": "not\\ntoday"}))', "not today"),
    "a_crash": ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
    "half_a_line": ('say(good[:9], end=""); sys.exit(0)', 'in the middle of a line, \'{"id":'),
    "a_huge_line": ('say("x" * 70_000_000)', "a line of more than 64 MB"),
    "no_answer": ("time.sleep(60)", "has not answered within 1.2 s"),
    "no_end_of_line": ('say("x", end=""); time.sleep(60)', "it began a line with 'x'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_and_does_not_touch_the_next_question(tmp_path: Path, name: str) -> None:
    action, said = FAULTS[name]
    with runtime(moody(tmp_path, action)) as asked:
        assert ask(asked, 1) == [2]
        assert said in failure(asked, 13)
        until_back(asked)
        assert ask(asked, 3) == [6]


def test_an_answer_that_comes_after_its_question_was_given_up_is_not_taken_for_another(
    tmp_path: Path,
) -> None:
    with runtime(moody(tmp_path, 'say("noise"); time.sleep(0.3); say(good)')) as asked:
        failure(asked, 13)
        assert ask(asked, 1) == [2]


def test_answers_that_are_held_back_and_swapped_are_an_error(tmp_path: Path) -> None:
    swap = """
        import json, sys
        sys.stdout.write(json.dumps({"id": 0, "columns": {"y": [0]}}) + "\\n"); sys.stdout.flush()
        sys.stdin.readline()
        while first := sys.stdin.readline():
            lines = [first, sys.stdin.readline()]
            for line in reversed(lines):
                asked = json.loads(line)
                print(json.dumps({"id": asked["id"], "columns": {"y": asked["columns"]["x"]}}), flush=True)
    """
    with runtime(launch(tmp_path, swap), timeout=1.0) as asked:
        assert "has not answered" in failure(asked, 1)


def test_who_answers_twice_is_told_so(tmp_path: Path) -> None:
    with runtime(moody(tmp_path, "say(good); say(good)")) as asked:
        assert ask(asked, 13) == [26]
        assert "but was asked" in failure(asked, 1)
        assert ask(asked, 1) == [2]


def test_a_command_that_ends_at_once_says_why_when_it_is_opened(tmp_path: Path) -> None:
    launched = launch(tmp_path, 'raise RuntimeError("no model here")')
    said = "exit status 1; it said last: RuntimeError: no model here"
    with pytest.raises(ModelFailed, match=said), runtime(launched):
        pass


def test_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    launched = Launch(name="rule", argv=("no-such-program",), folder=tmp_path)
    with (
        pytest.raises(ModelFailed, match="no-such-program cannot be started: No such file"),
        runtime(launched),
    ):
        pass


def test_a_command_that_dies_while_nobody_asks_is_there_for_the_next_question_but_one(tmp_path: Path) -> None:
    with runtime(launch(tmp_path, GOOD)) as asked:
        command = command_of(asked)
        os.kill(command, signal.SIGKILL)
        until(lambda: not alive(command))
        assert "was killed by SIGKILL" in failure(asked, 1)
        until_back(asked)


def test_who_keeps_crashing_is_refused_at_once_until_its_pause_is_over(tmp_path: Path) -> None:
    with runtime(moody(tmp_path, "sys.exit(1)")) as asked:
        said = ""
        for _ in range(50):
            said = failure(asked, 13)
            if "started again in" in said:
                break
        assert "exit status 1; it is started again in" in said
        until_back(asked)


def test_after_a_hang_the_others_of_the_batch_do_not_wait_as_well(tmp_path: Path) -> None:
    with runtime(moody(tmp_path, "time.sleep(60)"), timeout=1.0) as asked:
        assert "has not answered within 0.4 s" in failure(asked, 13)
        assert "is started again in" in failure(asked, 13)


def test_a_command_that_reads_nothing_does_not_block_its_worker(tmp_path: Path) -> None:
    deaf = """
        import sys, time
        print('{"id": 0, "error": "none"}', flush=True)
        sys.stdin.readline()
        print("noise", flush=True)
        time.sleep(60)
    """
    with runtime(launch(tmp_path, deaf), timeout=1.0) as asked:
        many = np.zeros(1_000_000)
        with pytest.raises(ModelFailed, match="noise"):
            asked.predict({"x": many})
        with pytest.raises(ModelFailed, match="does not read its standard input"):
            asked.predict({"x": many})


# --- standard error -------------------------------------------------------------------------


def test_standard_error_becomes_lines_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with runtime(moody(tmp_path, 'print("look: ü", file=sys.stderr, flush=True); say(good)')) as asked:
        ask(asked, 13)
        until(lambda: "rule: look: ü" in caplog.messages)


def test_a_flood_of_standard_error_neither_blocks_nor_fills_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    flood = 'for _ in range(20_000): sys.stderr.write("x" * 2000 + "\\n")\nsay(good)'
    with runtime(moody(tmp_path, flood), timeout=20) as asked:
        assert ask(asked, 13) == [26]
        assert ask(asked, 1) == [2]
    assert len(caplog.messages) < 2 * BURST
    assert max(map(len, caplog.messages)) < 2 * LENGTH


def test_standard_error_without_line_ends_takes_no_memory(tmp_path: Path) -> None:
    flood = 'for _ in range(100): sys.stderr.write("x" * 1_000_000)\nsay(good)'
    with runtime(moody(tmp_path, flood), timeout=20) as asked:
        assert ask(asked, 13) == [26]


def test_lines_are_saved_up_to_a_burst() -> None:
    allowance = Allowance(0.0)
    assert sum(allowance.take(0.0) for _ in range(1000)) == BURST
    assert allowance.dropped == 1000 - BURST
    assert sum(allowance.take(10.0) for _ in range(1000)) == 20


# --- nothing is left ------------------------------------------------------------------------

FORKS = """
    # one stays in the group, one leaves it, and one is left by its parent
    subprocess.Popen(["sleep", "{seconds}"], stdin=subprocess.DEVNULL)
    subprocess.Popen(["sleep", "{seconds}"], start_new_session=True, stdout=subprocess.DEVNULL)
    subprocess.run(["sh", "-c", "setsid sleep {seconds} &"], stdout=subprocess.DEVNULL)
    say(good)
"""


def processes() -> list[tuple[int, int, str]]:
    """(pid, parent, command line) of all that are alive."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if stat[0] != "Z":
                found.append((int(folder.name), int(stat[1]), line))
    return found


def alive(pid: int) -> bool:
    return any(pid == each for each, _, _ in processes())


def command_of(asked: Runtime) -> int:
    """The command itself: the guard's first child."""
    assert asked._child is not None
    return min(pid for pid, parent, _ in processes() if parent == asked._child.pid)


def sleepers(seconds: str) -> list[int]:
    return [pid for pid, _, line in processes() if line == f"sleep {seconds} "]


@pytest.mark.parametrize("end", ["close", "crash", "kill the guard politely"])
def test_what_a_command_has_forked_does_not_outlive_it(tmp_path: Path, end: str) -> None:
    seconds = f"61.{secrets.randbelow(10**9)}"  # tests run side by side, and none is to count another's
    with runtime(moody(tmp_path, FORKS.format(seconds=seconds))) as asked:
        assert ask(asked, 13) == [26]
        until(lambda: len(sleepers(seconds)) == 3)
        if end == "crash":
            os.kill(command_of(asked), signal.SIGKILL)
            until(lambda: not sleepers(seconds))
        if end == "kill the guard politely":
            assert asked._child is not None
            os.kill(asked._child.pid, signal.SIGTERM)
            until(lambda: not sleepers(seconds))
    until(lambda: not sleepers(seconds))


@pytest.mark.parametrize("busy", ["time.sleep(1)", 'subprocess.run(["true"])'])
def test_a_command_that_ignores_everything_is_ended_all_the_same(tmp_path: Path, busy: str) -> None:
    stubborn = f"""
        import signal, subprocess, time
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        print('{{"id": 0, "error": "none"}}', flush=True)
        while True:
            {busy}
    """
    with runtime(launch(tmp_path, stubborn)) as asked:
        command = command_of(asked)
    until(lambda: not alive(command))


def test_what_a_command_writes_into_its_working_directory_is_gone_with_it(tmp_path: Path) -> None:
    write = 'open("left", "w").write(os.getcwd()); say(good)'
    with runtime(moody(tmp_path, write)) as asked:
        assert ask(asked, 13) == [26]
        folder = Path(os.readlink(f"/proc/{command_of(asked)}/cwd"))
        assert {path.name for path in folder.iterdir()} == {"program.py", "left"}
    until(lambda: not folder.exists())
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


def test_dropping_a_runtime_ends_its_command(tmp_path: Path) -> None:
    child = Child(launch(tmp_path, GOOD))
    guard = child.pid
    child.send(b'{"id": 1, "columns": {"x": [1.0]}}\n')
    assert b'"y"' in child.line(time.monotonic() + PATIENCE)
    del child
    until(lambda: not alive(guard))


def test_a_question_without_a_whole_answer_costs_no_more_than_its_time(tmp_path: Path) -> None:
    child = Child(launch(tmp_path, GOOD))
    with pytest.raises(Slow):
        child.line(time.monotonic() + 0.05)
    child.stop()


# --- when it may start again ----------------------------------------------------------------


def test_the_first_short_lives_cost_no_pause_and_then_pauses_double() -> None:
    backoff, pauses = Backoff(), []
    for _ in range(12):
        backoff.failed(100.0, lived=0.1, hung=False)
        pauses.append(backoff.wait(100.0))
    assert pauses[:3] == [0, 0, 0]
    assert pauses[3:7] == pytest.approx([0.2, 0.4, 0.8, 1.6])
    assert pauses[-1] == Backoff.LONGEST
    assert backoff.wait(200.0) == 0


def test_a_long_life_is_no_failure_in_a_row_and_a_hang_always_costs_a_pause() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.failed(0.0, lived=0.1, hung=False)
    backoff.failed(0.0, lived=60.0, hung=False)
    assert backoff.wait(0.0) == 0
    backoff.failed(0.0, lived=60.0, hung=True)
    assert backoff.wait(0.0) == Backoff.AFTER_A_HANG
