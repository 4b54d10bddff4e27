"""A plugin of one's own to begin with: a distribution that installs, passes its tests and trains, with no edit."""

from __future__ import annotations

from genkit.scaffold.names import Names
from genkit.scaffold.writing import TEMPLATES, new_plugin

__all__ = ["TEMPLATES", "Names", "new_plugin"]
