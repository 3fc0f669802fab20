"""An index of wheels for tests: a folder."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path


def index(folder: Path, libraries: Mapping[str, str]) -> dict[str, str]:
    """Make a wheel for each (name → version), the same bytes each time; returns pip's environment."""
    folder.mkdir(exist_ok=True)
    for name, version in libraries.items():
        module = name.replace("-", "_")
        about = f"{module}-{version}.dist-info"
        files = {
            f"{module}/__init__.py": "",
            f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{about}/RECORD": "",
        }
        with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
            for path, content in files.items():
                wheel.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), content)
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
