"""Every fact that a request can meet has a gRPC status, as it has one of HTTP."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from podium import errors
from podium.errors import InvalidInput, NobodyInTime, PackageError, PodiumError
from podium.gateway import problems
from podium.gateway.grpc_statuses import CODES, DETAILS_BYTES, code_of, details_of
from podium.gateway.problems import INTERNAL_DETAIL


def test_both_tables_know_the_same_errors() -> None:
    assert set(CODES) == set(problems.KINDS)


CLASSES = {
    400: StatusCode.INVALID_ARGUMENT,
    404: StatusCode.NOT_FOUND,
    422: StatusCode.INVALID_ARGUMENT,
    429: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}


@pytest.mark.parametrize("cls", [cls for cls, kind in problems.KINDS.items() if kind.status in CLASSES])
def test_a_status_means_what_https_means(cls: type[PodiumError]) -> None:
    assert CODES[cls] is CLASSES[problems.KINDS[cls].status]


def test_a_subclass_is_what_its_class_is() -> None:
    class NobodyAtAll(NobodyInTime):
        pass

    assert code_of(NobodyAtAll("no")) is StatusCode.DEADLINE_EXCEEDED


def test_details_say_what_where_and_what_was_expected() -> None:
    error = InvalidInput("'bmi' is missing", path="$.inputs[0]", expected="bmi: float")
    assert details_of(error) == "'bmi' is missing (at $.inputs[0], expected bmi: float)"


@pytest.mark.parametrize("error", [PackageError("secret"), errors.MissingExtra("secret", "extra")])
def test_an_owners_error_leaks_nothing(error: PodiumError) -> None:
    assert code_of(error) is StatusCode.INTERNAL
    assert details_of(error) == INTERNAL_DETAIL


def test_details_fit_the_metadata_that_clients_take() -> None:
    cut = details_of(InvalidInput("ü" * 5000))
    assert len(cut.encode()) < DETAILS_BYTES + 10
    assert cut.endswith("ü …")
