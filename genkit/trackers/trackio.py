"""trackio. ``TRACKIO_PROJECT`` (default: genkit) names the project; ``TRACKIO_DIR`` says where it is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from genkit.runs import Run
from genkit.trackers.tracker import Status, Tracker


class Trackio(Tracker):
    """Figures, pictures, sounds and texts as a trackio run."""

    name: ClassVar[str] = "trackio"

    def open(self, run: Run, config: Mapping[str, Any], known: str | None) -> str | None:
        import trackio

        self._run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "genkit"),
            name=run.path.name,
            config=dict(config),
            resume="never" if known is None else "allow",
            embed=False,
        )
        return str(self._run.name)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, path: Path) -> None:
        import trackio

        self._run.log({name: trackio.Image(str(path))}, step=step)

    def sound(self, step: int, name: str, path: Path) -> None:
        import trackio

        self._run.log({name: trackio.Audio(str(path))}, step=step)

    def text(self, step: int, name: str, text: str) -> None:
        import trackio

        self._run.log({name: trackio.Markdown(f"```text\n{text}\n```")}, step=step)

    def close(self, status: Status) -> None:
        import trackio

        trackio.finish()  # not the run's own: that leaves it to be finished again, and told on stdout, at exit
