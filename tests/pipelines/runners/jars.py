"""The jars of Flink and of Beam's job server for it, fetched once by Maven."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path

_POM = Path(__file__).with_name("pom.xml")
_CACHE = Path(__file__).parents[3] / "build" / "flink"
_DRIVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"


def classpath() -> Path:
    """A folder with all jars.

    Raises:
        RuntimeError: they cannot be had.
    """
    asked = hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
    folder = _CACHE / asked
    if folder.is_dir():
        return folder
    coming = _CACHE / f"{asked}.coming"
    shutil.rmtree(coming, ignore_errors=True)
    _run_maven("dependency:copy-dependencies", "-DincludeScope=runtime", coming)
    coming.rename(folder)
    return folder


def job_server(jars: Path) -> Path:
    """A jar that starts the job server, as `--flink_job_server_jar` takes it."""
    path = jars / "job-server.jar"
    manifest = f"Manifest-Version: 1.0\nMain-Class: {_DRIVER}\nClass-Path: "
    others = sorted(jar.name for jar in jars.glob("*.jar") if jar != path)
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", manifest + "\n  ".join(others) + "\n")
    return path


def _run_maven(goal: str, option: str, output: Path) -> None:
    line = ["mvn", "--quiet", "--batch-mode", "--file", str(_POM), goal, option]
    if not shutil.which("mvn") or not shutil.which("java"):
        raise RuntimeError("Flink needs Java 17 and Maven: install them (java, mvn on the PATH)")
    done = subprocess.run(
        [*line, f"-DoutputDirectory={output}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = next((each for each in done.stdout.splitlines() if "ERROR" in each), done.stdout)
        raise RuntimeError(f"Maven cannot fetch {_POM.name}'s jars: {said}")
