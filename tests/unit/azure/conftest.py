"""For the tests of Azure's templates."""

from __future__ import annotations

import shutil

collect_ignore = [] if shutil.which("terraform") else ["test_terraform.py"]
