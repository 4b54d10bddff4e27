"""What all trackers share: a run's records and previews are passed on, each once, and no failure ends a run."""

from __future__ import annotations

import contextlib
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from genkit.hookspecs import hookimpl
from genkit.layers import RESERVED, read_config_file
from genkit.runs import Run, write_atomically

Status = Literal["done", "stopped", "failed"]

NO_FIGURES = frozenset({"step", "kind"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
SOUNDS = frozenset({".wav", ".flac", ".ogg", ".mp3"})
TEXTS = frozenset({".txt"})


class Tracker(ABC):
    """A plugin on the run hooks. It reads what the run directory holds: the lines of ``metrics.jsonl`` as they come and
    the files of ``samples/``, by the kind of the file, so it knows no modality.

    How far it got stands in ``RUN/trackers/NAME.json``: a resumed run is bit-equal, so what was passed on before is not
    passed on again. The first exception ends the tracker with one warning; the run goes on without it.
    """

    name: ClassVar[str]

    # --- what a tracker does ---------------------------------------------------------------------------------------

    @abstractmethod
    def open(self, run: Run, config: Mapping[str, Any], known: str | None) -> str | None:
        """A run begins or goes on.

        Args:
            run: the run.
            config: its settings, dotted keys and plain values.
            known: what this returned when the run began, when it goes on.

        Returns what the tracker's own service calls the run; None where it has no name for it.
        """

    @abstractmethod
    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of a log interval or an evaluation."""

    @abstractmethod
    def picture(self, step: int, name: str, path: Path) -> None:
        """A picture of a preview."""

    @abstractmethod
    def sound(self, step: int, name: str, path: Path) -> None:
        """A sound of a preview."""

    @abstractmethod
    def text(self, step: int, name: str, text: str) -> None:
        """A text of a preview."""

    @abstractmethod
    def close(self, status: Status) -> None:
        """The run ends."""

    # --- the hooks -------------------------------------------------------------------------------------------------

    def __init__(self) -> None:
        self._active = False
        self._known: str | None = None
        self._told: dict[str, int] = {}
        """The last step of each kind of record, and of the previews, that was passed on."""
        self._read = 0
        """Bytes of ``metrics.jsonl`` that were read."""

    @hookimpl
    def genkit_run_start(self, run: Run) -> None:
        state = self._state(run)
        self._known, self._told, self._read = state.get("known"), dict(state.get("told", {})), 0
        self._active = True

        def begin() -> None:
            self._known = self.open(run, settings(run), self._known)
            self._catch_up(run)

        self._try(run, begin)

    @hookimpl
    def genkit_step_end(self, run: Run) -> None:
        self._try(run, lambda: self._catch_up(run))

    @hookimpl
    def genkit_run_end(self, run: Run, status: Status) -> None:
        def end() -> None:
            self._catch_up(run)
            self.close(status)

        self._try(run, end)
        self._active = False

    # --- passing on ------------------------------------------------------------------------------------------------

    def _catch_up(self, run: Run) -> None:
        """Pass on what has come since the last time."""
        before = dict(self._told)
        for record in self._new_records(run):
            kind, step = str(record["kind"]), int(record["step"])
            if kind not in ("train", "eval") or step <= self._told.get(kind, -1):
                continue
            values = {
                key if kind == "train" else f"metric/{key}": float(value)
                for key, value in record.items()
                if key not in NO_FIGURES and isinstance(value, int | float)
            }
            self.figures(step, values)
            self._told[kind] = step
        for step, path in self._new_previews(run):
            self._pass_on(step, path)
            self._told["preview"] = step
        if self._told != before:
            self._keep_state(run)

    def _new_records(self, run: Run) -> Iterator[dict[str, Any]]:
        if not run.metrics.exists():
            return
        with run.metrics.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                yield json.loads(line)

    def _new_previews(self, run: Run) -> list[tuple[int, Path]]:
        files = [path for path in run.samples.iterdir() if path.is_file() and path.stem.isdecimal()]
        last = self._told.get("preview", -1)
        return sorted((int(path.stem), path) for path in files if int(path.stem) > last)

    def _pass_on(self, step: int, path: Path) -> None:
        kind = path.suffix.lower()
        if kind in PICTURES:
            self.picture(step, "preview", path)
        elif kind in SOUNDS:
            self.sound(step, "preview sound", path)
        elif kind in TEXTS:
            self.text(step, "preview text", path.read_text(encoding="utf-8"))

    # --- failing and going on --------------------------------------------------------------------------------------

    def _try(self, run: Run, act: Callable[[], None]) -> None:
        """Do something with the tracker's service. A failure of it must not cost the run: it ends the tracker."""
        if not self._active:
            return
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a service says must not mix with data on stdout
                act()
        except Exception as error:
            self._active = False
            why = " ".join(f"{type(error).__name__}: {error}".split())
            text = f"tracker {self.name} failed and is left out from here on: {why}"
            print(f"warning: {text}", file=sys.stderr)
            run.log(f"warning: {text}")

    def _state(self, run: Run) -> dict[str, Any]:
        try:
            return dict(json.loads(self._place(run).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}  # there was none, or a kill left half of it: at worst something is passed on twice

    def _keep_state(self, run: Run) -> None:
        place = self._place(run)
        place.parent.mkdir(exist_ok=True)
        write_atomically(place, json.dumps({"known": self._known, "told": self._told}) + "\n")

    def _place(self, run: Run) -> Path:
        return run.path / "trackers" / f"{self.name}.json"


def settings(run: Run) -> dict[str, Any]:
    """A run's settings with dotted keys."""

    def flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for key, value in values.items():
            if isinstance(value, Mapping) and value:
                yield from flat(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    config = read_config_file(run.path / "config.yaml")
    own = {key: value for key, value in config.items() if key not in RESERVED}
    return {"recipe": run.recipe, "seed": run.seed, **dict(flat(own, ""))}
