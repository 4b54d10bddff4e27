"""Runs the blocks of tutorials, each in a process forked from this one, where torch is loaded already.

A job is a JSON object on a line of standard input: ``folder`` to run in, ``python`` source or a ``command``, and
``limit`` in seconds. Each is answered by a line: ``{"code": N, "output": TEXT}``.
"""

from __future__ import annotations

import json
import os
import runpy
import shlex
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

import torch  # noqa: F401  loaded once for all blocks

import genkit.cli.training
import genkit.session
import genkit.training.trainer  # noqa: F401
from genkit.cli.main import main as genkit_command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SITE = ".site"  # in the tutorial's folder: where its `pip install -e` leaves what pip would


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Run one block to its end."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            run(job, output.fileno())
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return {"code": os.waitstatus_to_exitcode(status), "output": output.read().decode(errors="replace")}


def run(job: dict[str, Any], output: int) -> NoReturn:
    """Be the process of one block."""
    code = 1
    try:
        signal.alarm(job["limit"])
        for stream in (1, 2):
            os.dup2(output, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(job["folder"])
        seen = [str(Path(SITE).resolve()), *(Path(SITE) / "paths").read_text().splitlines()]
        sys.path[:0] = seen
        os.environ["PYTHONPATH"] = os.pathsep.join([*seen, os.environ.get("PYTHONPATH", "")])
        if "python" in job:
            exec(compile(job["python"], job["name"], "exec"), {"__name__": "__main__"})
            code = 0
        else:
            code = obey(job["command"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def obey(command: str) -> int:
    """Carry out a line of a console block: genkit, python and pip without a new interpreter, the rest by the shell."""
    words = shlex.split(command, comments=True)
    if words[0] == "genkit":
        sys.argv = words
        genkit_command(args=words[1:], prog_name="genkit")
    elif words[:2] == ["python", "-m"]:
        sys.argv = words[2:]
        sys.path.insert(0, "")
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    elif words[:2] == ["python", "-c"]:
        exec(words[2], {"__name__": "__main__"})
    elif words[0] == "python":
        sys.argv = words[1:]
        sys.path.insert(0, str(Path(words[1]).parent.resolve()))
        runpy.run_path(words[1], run_name="__main__")
    elif words[:3] == ["pip", "install", "-e"]:
        install(Path(words[3]).resolve())
    else:
        return subprocess.run(["bash", "-c", command], check=False).returncode
    return 0


def install(folder: Path) -> None:
    """What `pip install -e` would leave, without pip: metadata, entry points and the path."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    info = Path(SITE) / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    needs = "".join(f"Requires-Dist: {one}\n" for one in project.get("dependencies", ()))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
    groups = {**project.get("entry-points", {}), "console_scripts": project.get("scripts", {})}
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    packages = project_packages(folder)
    (info / "top_level.txt").write_text("".join(f"{one}\n" for one in packages))
    (info / "RECORD").write_text("".join(f"{one}/__init__.py,,\n" for one in packages))
    with (Path(SITE) / "paths").open("a") as paths:
        paths.write(f"{folder}\n")
    print(f"Successfully installed {name}-{version}")


def project_packages(folder: Path) -> list[str]:
    """The packages that lie in a project's folder."""
    return sorted(one.parent.name for one in folder.glob("*/__init__.py") if one.parent.name != "tests")


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
