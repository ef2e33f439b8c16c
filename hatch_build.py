"""Compiles the kernels when the package is built or installed in place.

Without a C compiler the package works all the same, only slower (``lookalike.kernels``).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("src/lookalike/kernels")
FLAGS = ("-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=off")
FREESTANDING = ("-ffreestanding", "-nostdlib", "-D_MM_MALLOC_H_INCLUDED", "-lgcc")
"""For a compiler without the C library's headers, as Debian's alone is; the kernels need none."""


class KernelsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled kernels to a wheel, which is then one for this kind of machine."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        compiled = Path(self.root) / FOLDER / "_kernels.so"
        if not self._compile(Path(self.root) / FOLDER / "kernels.c", compiled):
            return
        build_data["artifacts"].append(f"/{FOLDER.as_posix()}/_kernels.so")
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def _compile(self, source: Path, target: Path) -> bool:
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            self.app.display_warning("no C compiler: searches will be slower")
            target.unlink(missing_ok=True)
            return False
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        for more in (), FREESTANDING:
            command = [*compiler.split(), *FLAGS, "-o", str(temporary), str(source), *more]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
            if done.returncode == 0:
                temporary.replace(target)  # another process may have the old one mapped
                return True
        self.app.display_warning(f"the kernels do not compile here:\n{done.stderr}")
        temporary.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        return False
