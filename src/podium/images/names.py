"""What an endpoint's images are called, in a registry's folder."""

from __future__ import annotations

from podium.records import Contender


def gateway(folder: str, release: str) -> str:
    """Of Podium's own version; the archiver's and the decoy's too."""
    return f"{folder}/gateway:{release}"


def worker(folder: str, contender: Contender) -> str:
    """Of a contender's version, the first digits of its digest."""
    return f"{folder}/{contender.model.lower()}:{contender.version}"
