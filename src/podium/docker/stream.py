"""NATS in a container of its own: one server, whose disk is a volume."""

from __future__ import annotations

from podium.docker.plan import DockerPlan

CONFIG = "nats.conf"
CLIENTS, MONITOR = 4222, 8222
USERS = "nats"
"""The secret with who may connect, in NATS's own format; names in an `include` are relative."""


def config(plan: DockerPlan) -> str:
    sync = '  sync_interval: "always"\n' if plan.sync_always else ""
    return f"""\
server_name: "{plan.name}"
listen: "0.0.0.0:{CLIENTS}"
http: "127.0.0.1:{MONITOR}"
max_payload: 16MB
max_pending: 128MB
write_deadline: "10s"
include "../../run/secrets/{USERS}"
jetstream {{
  store_dir: "/data"
  max_memory_store: 16MB
{sync}}}
"""
