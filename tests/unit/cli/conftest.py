"""For the tests of commands that ask the gateway."""

from tests.unit.cli.serving import folder, gateway

__all__ = ["folder", "gateway"]
