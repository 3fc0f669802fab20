"""All peers, in the order in which a run takes them."""

from bench.peers.base import Peer
from bench.peers.bentoml.peer import PEER as BENTOML
from bench.peers.fastapi.peer import PEER as FASTAPI
from bench.peers.flask.peer import PEER as FLASK
from bench.peers.granian.peer import CONSTANT, PREDICT
from bench.peers.kserve.peer import PEER as KSERVE
from bench.peers.litserve.peer import PEER as LITSERVE
from bench.peers.mlflow.peer import PEER as MLFLOW
from bench.peers.mlserver.peer import PEER as MLSERVER
from bench.peers.nginx.peer import PEER as NGINX
from bench.peers.podium.peer import PEER as PODIUM
from bench.peers.ray.peer import PEER as RAY

PEERS: tuple[Peer, ...] = (
    PODIUM,
    FASTAPI,
    FLASK,
    BENTOML,
    MLSERVER,
    LITSERVE,
    RAY,
    KSERVE,
    MLFLOW,
    PREDICT,
    CONSTANT,
    NGINX,
)
# The servers that a target calls "them".
MODEL_SERVERS = ("bentoml", "mlserver", "litserve", "ray", "kserve", "mlflow")
