"""The run directory: what a run leaves behind, and all that is needed to go on with it or to sample from it.

``config.yaml`` (resolved), ``environment.json``, ``status.json``, ``metrics.jsonl``, ``samples/``,
``checkpoints/<step>/``, ``log.txt``. Nothing here imports torch.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Literal

from genkit.errors import CheckpointError, UsageError

LOOKED_AT = 0.5
"""Seconds for which a lock that is held may be no trainer's, but that of a process that looks whether one trains."""

Status = Literal["running", "done", "stopped", "failed", "interrupted"]


@dataclass(frozen=True)
class RunSummary:
    """One line of ``genkit runs``."""

    path: Path
    recipe: str | None
    status: str
    """running, done, stopped (by a signal), failed, or interrupted (its process is gone without a word)."""
    step: int
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)


class Run:
    """A run directory. Create one with `create`, open one with `open`.

    Args:
        path: the directory.
        recipe: the recipe's name; None for a trainer used from Python without one.
        seed: the run's seed.
    """

    def __init__(self, path: Path, *, recipe: str | None, seed: int) -> None:
        self.path = path
        self.recipe = recipe
        self.seed = seed
        self._locked = False
        self._made: list[Path] = []

    @classmethod
    def create(
        cls, path: Path | None, *, recipe: str | None, seed: int, config: str, environment: Mapping[str, Any]
    ) -> Run:
        """Make the directory and write what is known before the first step.

        Args:
            path: where; None makes ``runs/<recipe>-<utc>-<id>``.
            recipe: the recipe's name.
            seed: the run's seed.
            config: the resolved config as YAML.
            environment: versions and machine.

        Raises UsageError when `path` holds a run already or is no directory.
        """
        path = path or fresh_path(recipe)
        if (path / "config.yaml").exists():
            raise UsageError(
                f"{path} holds a run already",
                where="--out",
                fix="--resume auto goes on with it; or name another directory",
            )
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file, not a directory", where="--out")
        run = cls(path, recipe=recipe, seed=seed)
        files = {"environment.json": json.dumps(environment, indent=2) + "\n", "config.yaml": config}
        wanted = [path, run.samples, run.checkpoints, *(path / name for name in (".lock", *files))]
        run._made = [one for one in wanted if not one.exists()]
        try:
            for directory in (run.samples, run.checkpoints):
                directory.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                write_atomically(path / name, text)
        except BaseException:
            run.discard()
            raise
        return run

    def discard(self) -> None:
        """Remove what `create` made here, for a run that could not be set up. What was there before stays."""
        for path in reversed(self._made):
            with suppress(OSError):  # such as a directory that something else was put into
                if path.is_dir():
                    path.rmdir()
                else:
                    path.unlink(missing_ok=True)
        self._made = []

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """An existing run directory. Raises UsageError when it is none."""
        path = Path(path)
        settings = path / "config.yaml"
        if not settings.is_file():
            raise UsageError(
                f"{path} is not a run directory: it has no config.yaml", fix="`genkit runs` lists the runs there are"
            )
        head = _head(settings)
        return cls(path, recipe=head.get("recipe") or None, seed=int(head.get("seed") or 0))

    @property
    def samples(self) -> Path:
        """Where previews go."""
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go, one directory a step."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON object a line: ``{"step": ..., "kind": "train" | "eval" | "scores" | "warning", ...}``. ``scores``
        stands before its ``eval`` and adds floors and protocols."""
        return self.path / "metrics.jsonl"

    def append(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")

    def records(self) -> Iterator[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; a last line that a kill cut short is passed over."""
        if self.metrics.exists():
            with self.metrics.open(encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n"):
                        yield json.loads(line)

    def rewind(self, step: int) -> None:
        """Drop the records after `step`: a resumed run writes them again."""
        kept = [json.dumps(record) + "\n" for record in self.records() if record["step"] <= step]
        if self.metrics.exists():
            write_atomically(self.metrics, "".join(kept))

    def log(self, text: str) -> None:
        """Add a line, with the time, to ``log.txt``."""
        stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {text}\n")

    def set_status(
        self, status: Status, *, step: int, seconds: float, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Write ``status.json``; metrics that are not given are kept."""
        known = self.status()
        kept = dict(metrics) if metrics is not None else known.get("metrics", {})
        state = {"status": status, "step": step, "seconds": round(seconds, 3), "metrics": kept}
        write_atomically(self.path / "status.json", json.dumps(state) + "\n")

    def status(self) -> dict[str, Any]:
        """What ``status.json`` says; empty before the first log."""
        try:
            return dict(json.loads((self.path / "status.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints, ascending."""
        if not self.checkpoints.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in self.checkpoints.iterdir()
            if entry.name.isdecimal() and (entry / "state.json").is_file()
        )

    def checkpoint(self, which: str | int = "latest") -> Path:
        """The checkpoint of a step, or the ``latest`` or ``best`` one. Raises CheckpointError when there is none."""
        if isinstance(which, int) or which.isdecimal():
            path = self.checkpoints / str(int(which))
            if int(which) not in self.steps():
                known = ", ".join(map(str, self.steps())) or "none"
                raise CheckpointError(f"{self.path} has no checkpoint of step {which}", fix=f"there are: {known}")
            return path
        pointer = self.checkpoints / which
        if not pointer.is_file():
            raise CheckpointError(f"{self.path} has no {which} checkpoint yet", where=str(self.checkpoints))
        return self.checkpoint(int(pointer.read_text(encoding="utf-8")))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training here; may be entered again within itself.

        Raises UsageError when another process does. A killed process leaves no lock.
        """
        if self._locked:
            yield
            return
        with (self.path / ".lock").open("w") as file:
            latest = time.monotonic() + LOOKED_AT
            while not _lock(file, alone=True):
                if time.monotonic() > latest:
                    raise UsageError(f"another process is training in {self.path}")
                time.sleep(0.02)
            _held.add(file)
            self._locked = True
            try:
                yield
            finally:
                _held.discard(file)
                self._locked = False

    def is_locked(self) -> bool:
        """True while a process trains here, as far as this user can see. It leaves nothing behind."""
        try:
            with (self.path / ".lock").open() as file:
                return not _lock(file, alone=False)
        except OSError:  # there is none, or it is another user's
            return False


def _lock(file: IO[str], *, alone: bool) -> bool:
    """Lock an open file until it is closed, alone or with others that look. False when another holds it."""
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system: two trainers in one directory stay the user's to avoid
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


_held: set[IO[str]] = set()
"""The open lock files of this process."""


def _let_go() -> None:
    """In a forked child, such as a loader process: close the lock files, or they stay locked until it ends too."""
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def fresh_path(recipe: str | None, root: Path | None = None) -> Path:
    """``runs/<recipe>-<utc>-<id>``, which does not exist yet."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return (root or Path("runs")) / f"{recipe or 'run'}-{stamp}-{secrets.token_hex(2)}"


def check_place(out: str | Path | None, resume: object) -> None:
    """Raise UsageError when there is no directory that ``--resume auto`` could go on with."""
    if resume == "auto" and out is None:
        raise UsageError(
            "--resume auto goes on with what --out holds, and there is no --out: each time it would be a new run",
            where="--resume",
            fix="give --out DIR, or --resume never",
        )


def list_runs(directory: Path) -> list[RunSummary]:
    """The runs in `directory`, oldest first. A directory that is itself a run is listed alone."""
    candidates = [directory] if (directory / "config.yaml").is_file() else sorted(directory.glob("*/config.yaml"))
    runs = [Run.open(path if path.is_dir() else path.parent) for path in candidates]
    runs.sort(key=_made)
    return [summarise(run) for run in runs]


def summarise(run: Run) -> RunSummary:
    """What ``genkit runs`` says of a run."""
    state = run.status()
    status = state.get("status", "running")
    if status == "running" and not run.is_locked():
        status = "interrupted"
    return RunSummary(
        run.path,
        run.recipe,
        status,
        int(state.get("step", 0)),
        float(state.get("seconds", 0.0)),
        state.get("metrics", {}),
    )


def _made(run: Run) -> float:
    """When the run was made; 0 when its ``environment.json`` is gone."""
    try:
        return (run.path / "environment.json").stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _head(settings: Path) -> dict[str, str]:
    """``recipe`` and ``seed`` of a config this module's owner wrote: two plain lines, read without a YAML library."""
    head = {}
    for line in settings.read_text(encoding="utf-8").splitlines():
        key, colon, value = line.partition(":")
        if colon and key in ("recipe", "seed"):
            head[key] = "" if value.strip() in ("null", "~") else value.strip().strip("'\"")
    return head


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text`: a reader sees the old file or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
