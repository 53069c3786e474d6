"""Compiles the kernels into the wheel; a wheel without them works too, with the twins, only slower."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs ``python -m monitor.kernels.build`` before anything is packed, and makes the wheel one of this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; where there is no compiler say so and go on."""
        root = Path(self.root)
        built = subprocess.run([sys.executable, "-m", "monitor.kernels.build"], cwd=root, check=False)
        if built.returncode:
            self.app.display_warning("the kernels were not compiled: everything works, about ten times slower")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append("monitor/kernels/*.so")
