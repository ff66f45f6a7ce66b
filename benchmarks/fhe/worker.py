"""A worker's process as its driver sees it: a job on one line, a result on another."""

from __future__ import annotations

import json
import os
import platform
import select
import subprocess
from pathlib import Path

# Seconds for a job, without and with encryption.
PATIENCE, PATIENCE_ENCRYPTED = 300, 1200


class Worker:
    """A system's process; restarted if a job kills it or takes too long."""

    def __init__(self, python: str, script: Path) -> None:
        self.command = [python, str(script)]
        self.process: subprocess.Popen | None = None
        self.versions: dict = {}
        self._start()

    def _start(self) -> None:
        self.close()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        versions = self._read(PATIENCE)
        if "python" not in versions:
            raise SystemExit(f"{self.command[1]} does not start: {versions['refused']}")
        self.versions = versions

    def _read(self, patience: float) -> dict:
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        return {"refused": "the process died" if ready else f"took more than {patience} s"}

    def answer(self, job: dict) -> dict:
        """Run one job."""
        if self.process.poll() is not None:
            self._start()
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        result = self._read(PATIENCE_ENCRYPTED if job["encrypt"] else PATIENCE)
        if result.get("refused", "").startswith(("took", "the process")):
            self._start()
        return result

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def machine() -> str:
    """Cores and processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0] if names else platform.machine()}"
