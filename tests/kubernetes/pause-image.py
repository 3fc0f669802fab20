"""Writes pause.tar, a docker archive of a program that sleeps, tagged localhost/pause:1 (needs gcc)."""

import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import tempfile

with tempfile.TemporaryDirectory() as scratch:
    source = pathlib.Path(scratch, "pause.c")
    source.write_text("#include <unistd.h>\nint main(void){for(;;)pause();}\n")
    subprocess.run(["gcc", "-static", "-s", "-O2", "-o", f"{scratch}/pause", str(source)], check=True)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(f"{scratch}/pause", arcname="pause")
digest = hashlib.sha256(layer.getvalue()).hexdigest()
config = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
).encode()
name = hashlib.sha256(config).hexdigest() + ".json"
manifest = json.dumps([{"Config": name, "RepoTags": ["localhost/pause:1"], "Layers": ["layer.tar"]}]).encode()
with tarfile.open("pause.tar", "w") as tar:
    for path, data in ((name, config), ("layer.tar", layer.getvalue()), ("manifest.json", manifest)):
        info = tarfile.TarInfo(path)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
