"""`python -m bench`: the benches, one by one."""

import argparse
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from bench import (
    callers_cost,
    catchup,
    challengers,
    compare_time,
    doors,
    drift_cost,
    environments,
    grpc_load,
    hosts,
    images,
    policy,
    replay_rate,
    sizes,
    soak,
    table,
    usage_time,
)
from bench.peers.base import MODELS, Model, Peer
from bench.peers.known import PEERS
from bench.results import FOLDER
from bench.run import prepare, run

Arguments = argparse.Namespace
Known = TypeVar("Known")


def main() -> None:
    # Whoever ends a bench wants its servers ended too: leaving by an exception does that.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    arguments = _parser().parse_args()
    arguments.bench(arguments)


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    top.add_argument("--results", type=Path, default=FOLDER, help="folder of the results files")
    benches = top.add_subparsers(required=True, metavar="BENCH")

    def add(name: str, bench: Callable[[Arguments], object], text: str) -> argparse.ArgumentParser:
        added = benches.add_parser(name, help=text, description=text)
        added.set_defaults(bench=bench)
        return added

    _add_run(add("run", _run, "Podium beside its peers"))
    _add_only(add("setup", lambda given: prepare(given.only), "make the peers' environments as pinned"))
    _add_only(add("lock", _lock, "pin the peers' newest releases"))
    _add_table(add("table", _table, "write docs/benchmarks.md"))
    add("import", lambda given: sizes.measure(given.results), "import, install and first answer")
    _add_soak(add("soak", lambda given: soak.measure(given.results, requests=given.requests), "memory"))
    _add_callers(add("callers", _callers, "what a caller's key costs a request"))
    _add_challengers(add("challengers", _challengers, "the champion's p99 beside ten challengers"))
    _add_grpc(add("grpc", _grpc, "gRPC beside MLServer's"))
    _add_doors(add("doors", _doors, "models behind every door beside Python"))
    add("images", lambda given: images.measure(given.results), "an image's size, and what goes up for it")
    add("hosts", lambda given: hosts.measure(given.results), "one host of each kind cut off, slow, killed")
    _add_archive(add("archive", lambda given: catchup.measure(given.results, given.seconds), "catch-up"))
    _add_compare(add("compare", _compare, "a comparison of two contenders over a large archive"))
    _add_drift(add("drift", _drift, "what comparing with training adds to archiving"))
    _add_policy(add("policy", _policy, "changes of who answers"))
    _add_replay(add("replay", _replay, "archived requests read and scored again"))
    _add_usage(add("usage", _usage, "the figures of usage over a large archive"))
    return top


def _add_run(added: argparse.ArgumentParser) -> None:
    _add_only(added)
    added.add_argument("--seconds", type=float, default=2, help="length of each load (2)")
    added.add_argument("--rounds", type=int, default=3, help="how often, for the medians (3)")
    added.add_argument("--models", type=_models, default=list(MODELS), metavar=",".join(MODELS))


def _add_table(added: argparse.ArgumentParser) -> None:
    added.add_argument("--page", type=Path, default=table.PAGE, help="another page")


def _add_soak(added: argparse.ArgumentParser) -> None:
    added.add_argument("--requests", type=int, default=10_000_000, help="how many in all (10,000,000)")


def _add_callers(added: argparse.ArgumentParser) -> None:
    added.add_argument("--seconds", type=float, default=2, help="length of each load (2)")
    added.add_argument("--rounds", type=int, default=4, help="how often, for the medians (4)")


def _callers(given: Arguments) -> None:
    callers_cost.measure(given.results, seconds=given.seconds, rounds=given.rounds)


def _add_challengers(added: argparse.ArgumentParser) -> None:
    added.add_argument("--rate", type=float, default=100, help="requests a second (100)")
    added.add_argument("--seconds", type=float, default=20, help="length of each load (20)")
    added.add_argument("--rounds", type=int, default=3, help="how often, for the medians (3)")
    added.add_argument("--together", action="store_true", help="challengers share the champion's core")


def _add_grpc(added: argparse.ArgumentParser) -> None:
    added.add_argument("--seconds", type=float, default=2, help="length of each load (2)")
    added.add_argument("--rounds", type=int, default=3, help="how often, for the medians (3)")
    added.add_argument("--models", type=_models, default=list(MODELS), metavar=",".join(MODELS))


def _add_doors(added: argparse.ArgumentParser) -> None:
    added.add_argument("--seconds", type=float, default=1, help="length of each load (1)")
    added.add_argument("--rounds", type=int, default=3, help="how often, for the medians (3)")
    added.add_argument("--only", type=lambda text: text.split(","), metavar="NAME,…", help="these alone")


def _add_archive(added: argparse.ArgumentParser) -> None:
    added.add_argument("--seconds", type=float, default=5, help="length of the load (5)")


def _add_compare(added: argparse.ArgumentParser) -> None:
    added.add_argument("--requests", type=int, default=10_000_000, help="how many are archived (10,000,000)")
    added.add_argument("--times", type=int, default=3, help="how often, for the medians (3)")


def _add_drift(added: argparse.ArgumentParser) -> None:
    added.add_argument("--times", type=int, default=3, help="how often, for the medians (3)")


def _drift(given: Arguments) -> None:
    drift_cost.measure(given.results, times=given.times)


def _add_policy(added: argparse.ArgumentParser) -> None:
    added.add_argument("--changes", type=int, default=40, help="promotions and rollbacks (40)")
    added.add_argument("--joins", type=int, default=1000, help="joins and leaves (1,000)")


def _policy(given: Arguments) -> None:
    policy.measure(given.results, changes=given.changes, joins=given.joins)


def _add_replay(added: argparse.ArgumentParser) -> None:
    added.add_argument("--requests", type=int, default=1_000_000, help="how many (1,000,000)")


def _add_usage(added: argparse.ArgumentParser) -> None:
    added.add_argument("--requests", type=int, default=10_000_000, help="how many are archived (10,000,000)")


def _usage(given: Arguments) -> None:
    usage_time.measure(given.results, requests=given.requests)


def _add_only(added: argparse.ArgumentParser) -> None:
    names = ",".join(peer.name for peer in PEERS)
    added.add_argument("--only", type=_peers, default=list(PEERS), metavar=names, help="these peers alone")


def _peers(text: str) -> list[Peer]:
    known = {peer.name: peer for peer in PEERS}
    return [_one_of(known, name) for name in text.split(",")]


def _models(text: str) -> list[Model]:
    known: dict[str, Model] = {model: model for model in MODELS}
    return [_one_of(known, name) for name in text.split(",")]


def _one_of(known: Mapping[str, Known], name: str) -> Known:
    try:
        return known[name]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}") from None


def _run(given: Arguments) -> None:
    file = run(given.only, given.models, seconds=given.seconds, rounds=given.rounds, folder=given.results)
    print(f"written: {file}")


def _grpc(given: Arguments) -> None:
    grpc_load.measure(given.results, models=given.models, seconds=given.seconds, rounds=given.rounds)


def _table(given: Arguments) -> None:
    print(f"written: {table.write(given.results, given.page)}")


def _lock(given: Arguments) -> None:
    for name in dict.fromkeys(peer.environment for peer in given.only if peer.environment):
        environments.lock(name)


def _challengers(given: Arguments) -> None:
    challengers.measure(
        given.results, rate=given.rate, seconds=given.seconds, rounds=given.rounds, together=given.together
    )


def _doors(given: Arguments) -> None:
    doors.measure(given.results, seconds=given.seconds, rounds=given.rounds, only=given.only)


def _compare(given: Arguments) -> None:
    compare_time.measure(given.results, requests=given.requests, times=given.times)


def _replay(given: Arguments) -> None:
    replay_rate.measure(given.results, requests=given.requests)


if __name__ == "__main__":
    main()
