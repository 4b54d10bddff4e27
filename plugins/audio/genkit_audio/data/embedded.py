"""`audio.drums` and `audio.prompts`: sounds that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

from genkit_audio.data.config import DrumsConfig, PromptsConfig
from genkit_audio.data.corpus import Corpus, build
from genkit_audio.data.folder import clips_below
from genkit_audio.data.lists import read_list
from genkit_audio.data.sounds import Sounds

DRUMS_LICENCE = "CC0 1.0; authors in genkit_audio/assets/drums.LICENCE.txt"
PROMPTS_LICENCE = "CC BY-SA 3.0: Allison Smith; see genkit_audio/assets/prompts.LICENCE.txt"


def open_drums(config: DrumsConfig) -> Sounds:
    """The embedded one-shots, labelled by class if `config.labels`."""
    return build(find_drums(config), config)


def open_prompts(config: PromptsConfig) -> Sounds:
    """The embedded telephone prompts."""
    return build(find_prompts(config), config)


def find_drums(config: DrumsConfig) -> Corpus:
    """The clips of `audio.drums`."""
    with as_file(files("genkit_audio") / "assets" / "drums") as folder:
        clips, _ = clips_below(folder, "folders" if config.labels else "none")
        return Corpus(source="audio.drums", name="drum one-shots", licence=DRUMS_LICENCE, clips=clips)


def find_prompts(config: PromptsConfig) -> Corpus:
    """The clips of `audio.prompts`, with their words."""
    with as_file(files("genkit_audio") / "assets" / "prompts") as folder:
        clips = read_list(folder / "metadata.csv")
        return Corpus(
            source="audio.prompts", name="telephone prompts", licence=PROMPTS_LICENCE, clips=clips, rate=16_000
        )
