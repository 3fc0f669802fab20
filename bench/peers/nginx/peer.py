"""nginx `return 200`: one worker process."""

from bench.payloads import plain
from bench.peers.base import Launch, Model, Peer, Site

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 '{{"answer":[152.1]}}'; }}
  }}
}}
"""


def launch(site: Site, model: Model, setting: str) -> Launch:
    configuration = site.scratch / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=site.scratch, port=site.port))
    # Debian keeps it in sbin, which is not on everybody's path.
    argv = ("env", "PATH=/usr/sbin:/usr/bin:/bin", "nginx", "-p", str(site.scratch), "-c", str(configuration))
    return Launch(argv=argv, cwd=site.scratch)


PEER = Peer(
    name="nginx",
    title="nginx `return 200`",
    kind="limit",
    settings=("constant",),
    environment=None,
    launch=launch,
    request=lambda model, setting, wire: plain("/", model, wire) if model == "linear" else None,
)
