"""How long a newcomer waits: from nothing to an operator of one's own that passes the kit.

    python benchmarks/newcomer.py [--kind linear] [--keep FOLDER]

In a fresh environment: cml is installed with a compiler and the template's tool, then an operator
is begun, installed, listed, checked from float to encryption, and tested. Prints the seconds of
each step. Installation depends on the network and on what pip has cached, and so stands apart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Walk the steps and print how long each took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", default="linear", help="elementwise, movement, linear or custom")
    parser.add_argument("--keep", type=Path, help="work in this new folder, and leave it there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cml-newcomer-") as room:
        folder = (options.keep or Path(room)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        walk(folder, options.kind)


def walk(folder: Path, kind: str) -> None:
    """Take every step in a folder; stop where one fails."""
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [scripts / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt"]
    seconds = {}

    def step(name: str, *command: object) -> str:
        start = time.perf_counter()
        done = subprocess.run(
            list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False
        )
        seconds[name] = time.perf_counter() - start
        print(f"{seconds[name]:7.1f} s  {name}", flush=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return done.stdout

    venv.create(folder / "venv", with_pip=True)
    step("cml is installed", *pip, f"{ROOT}[fhe,new]")
    cml, ops = scripts / "cml", "newcomer-ops"
    begin = (cml, "ops", "new", "Thing", "--domain", "example.org", "--kind", kind, ops)
    step("an operator is begun", *begin)
    step("its package is installed", *pip, "-e", f"{folder / ops}[test]")
    listed = json.loads(step("it is listed", cml, "ops", "list", "--json"))
    if not any(row["op_type"] == "Thing" for row in listed):
        sys.exit("cml ops list does not have it")
    checked = json.loads(step("it is checked", cml, "ops", "check", "newcomer_ops", "--json"))
    if checked["failed"] or not any(
        result["leg"] == "encryption" and result["status"] == "passed"
        for result in checked["results"]
    ):
        sys.exit(f"it was not checked up to encryption: {checked}")
    step("its tests are run", scripts / "python", "-m", "pytest", "-q", ops)
    own = sum(seconds.values()) - seconds["cml is installed"]
    print(f"{own:7.1f} s  in all, once cml is installed; {checked['passed']} checks passed")


if __name__ == "__main__":
    main()
