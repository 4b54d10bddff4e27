"""TensorBoard: event files in ``RUN/tensorboard``, which ``tensorboard --logdir runs`` finds by the run's name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from genkit.runs import Run
from genkit.trackers.tracker import Status, Tracker


class TensorBoard(Tracker):
    """Figures, pictures, sounds (wave files) and texts as TensorBoard's event files."""

    name: ClassVar[str] = "tensorboard"

    def open(self, run: Run, config: Mapping[str, Any], known: str | None) -> str | None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(run.path / "tensorboard"))
        if known is None:
            rows = "\n".join(f"| {key} | `{json.dumps(value)}` |" for key, value in config.items())
            self.text(0, "config", f"| key | value |\n| --- | --- |\n{rows}", markdown=True)
        return "tensorboard"

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._write(step, Summary(value=[Summary.Value(tag=key, simple_value=one) for key, one in values.items()]))

    def picture(self, step: int, name: str, path: Path) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        picture = Summary.Image(encoded_image_string=path.read_bytes(), colorspace=3)
        self._write(step, Summary(value=[Summary.Value(tag=name, image=picture)]))

    def sound(self, step: int, name: str, path: Path) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        if path.suffix.lower() != ".wav":
            return  # TensorBoard plays wave files alone
        sound = Summary.Audio(encoded_audio_string=path.read_bytes(), content_type="audio/wav")
        self._write(step, Summary(value=[Summary.Value(tag=name, audio=sound)]))

    def text(self, step: int, name: str, text: str, *, markdown: bool = False) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        # TensorBoard reads texts as Markdown, in which indented lines are kept as they are.
        shown = text if markdown else "\n".join(f"    {line}" for line in text.splitlines())
        content = TensorProto(dtype=DT_STRING, string_val=[shown.encode()], tensor_shape=TensorShapeProto())
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        self._write(step, Summary(value=[Summary.Value(tag=name, tensor=content, metadata=metadata)]))

    def close(self, status: Status) -> None:
        self._writer.close()

    def _write(self, step: int, summary: Any) -> None:
        import time

        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
