"""Who may talk to whom: clients to gateways, everybody to the stream, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from podium.cluster import stream
from podium.cluster.contenders import COMPONENT as WORKER
from podium.cluster.plan import GATEWAY_PORT, HEALTH_PORT, ClusterPlan, Object, metadata

DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
ANYWHERE: Object = {}


def objects(plan: ClusterPlan) -> list[Object]:
    clients = [{"ports": _ports(GATEWAY_PORT)}]
    health = [{"ports": _ports(HEALTH_PORT)}]  # some networks see a kubelet's probes as anybody's
    closed = [*_to_stream(plan), DNS] if plan.own_stream else [ANYWHERE]
    found = [
        _policy(plan, "gateway", clients, closed),
        _policy(plan, WORKER, health, closed),
        _policy(plan, "archiver", health, [ANYWHERE]),  # its tables may be anywhere
    ]
    found += [_outbound(plan, model) for model in sorted(plan.outbound)]
    return found + ([_stream(plan)] if plan.own_stream else [])


def _policy(plan: ClusterPlan, component: str, into: Sequence[Object], out: Sequence[Object]) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(plan, f"{plan.name}-{component}", component),
        "spec": {
            "podSelector": {"matchLabels": plan.labels(component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": list(into),
            "egress": list(out),
        },
    }


def _outbound(plan: ClusterPlan, model: str) -> Object:
    """A model whose server is elsewhere may go there."""
    found = _policy(plan, WORKER, [], [ANYWHERE])
    found["metadata"]["name"] += f"-{model.lower().replace('_', '-')}"
    found["spec"]["podSelector"]["matchLabels"]["podium/model"] = model
    found["spec"]["policyTypes"] = ["Egress"]
    del found["spec"]["ingress"]
    return found


def _stream(plan: ClusterPlan) -> Object:
    everybody = {"podSelector": {"matchLabels": plan.labels()}}
    servers = {"podSelector": {"matchLabels": plan.labels(stream.COMPONENT)}}
    into = [
        {"from": [everybody], "ports": _ports(stream.CLIENTS)},
        {"from": [servers], "ports": _ports(stream.ROUTES)},
        {"ports": _ports(stream.MONITOR)},
    ]
    out = [{"to": [servers], "ports": _ports(stream.ROUTES)}, DNS]
    return _policy(plan, stream.COMPONENT, into, out)


def _to_stream(plan: ClusterPlan) -> list[Object]:
    servers = {"podSelector": {"matchLabels": plan.labels(stream.COMPONENT)}}
    return [{"to": [servers], "ports": _ports(stream.CLIENTS)}]


def _ports(*ports: int) -> list[Object]:
    return [{"protocol": "TCP", "port": port} for port in ports]
