"""What a new plugin may be called."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from genkit.catalog import MODALITIES, catalog
from genkit.errors import UsageError
from genkit.plugins import DISTRIBUTION

LONGEST_NAME = 40
LONGEST_MODALITY = 20
"""Characters; with longer names the lines of the templates would pass 120."""


@dataclass(frozen=True)
class Names:
    """The names of a plugin, checked."""

    distribution: str
    """What pip installs, such as ``genkit-demo``."""
    modality: str
    """The entry point's name, and what stands before the dot in the names of recipes and parts."""

    @property
    def package(self) -> str:
        """What Python imports: the distribution's name with underscores."""
        return self.distribution.replace("-", "_")

    @classmethod
    def free(cls, name: str, modality: str) -> Names:
        """The names, when they are well formed and nothing that is installed has them.

        Raises UsageError.
        """
        names = cls(name, modality)
        names._check_form()
        names._check_distribution()
        names._check_modality()
        return names

    def _check_form(self) -> None:
        name, modality = self.distribution, self.modality
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > LONGEST_NAME:
            raise UsageError(
                f"{name!r} is no name for a distribution: lower-case letters and digits in words joined by single "
                f"hyphens, a letter first, at most {LONGEST_NAME} characters",
                where="NAME",
                fix=_suggestion(name, "-", LONGEST_NAME),
            )
        if keyword.iskeyword(self.package) or self.package in {*sys.stdlib_module_names, "tests"}:
            raise UsageError(
                f"a package `{self.package}` can not be imported under that name: Python has it",
                where="NAME",
                fix=f"such as genkit-{name}",
            )
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", modality) or len(modality) > LONGEST_MODALITY:
            raise UsageError(
                f"{modality!r} is no name for a modality: lower-case letters and digits in words joined by single "
                f"underscores, a letter first, at most {LONGEST_MODALITY} characters",
                where="--modality",
                fix=_suggestion(modality, "_", LONGEST_MODALITY),
            )

    def _check_distribution(self) -> None:
        another = "choose another name"
        if re.match(rf"{DISTRIBUTION}(?![a-z0-9])", self.distribution):
            raise UsageError(
                f"distributions that begin with {DISTRIBUTION} are genkit's own", where="NAME", fix=another
            )
        try:
            there = distribution(self.distribution)
        except PackageNotFoundError:
            pass
        else:
            raise UsageError(
                f"the distribution {there.name} {there.version} is installed already", where="NAME", fix=another
            )
        found = find_spec(self.package)
        # A bare directory of that name below the working directory is importable too, and takes no name away.
        if found is not None and found.origin is not None:
            raise UsageError(f"the module `{self.package}` is there already: {found.origin}", where="NAME", fix=another)

    def _check_modality(self) -> None:
        found, another = catalog(), "choose another modality; its name stands before the dot in `demo.hello`"
        status = found.plugins.status(self.modality)
        if status is not None:
            raise UsageError(
                f"the plugin `{self.modality}` is installed already, by {status.source}",
                where="--modality",
                fix=another,
            )
        if self.modality in MODALITIES:
            raise UsageError(
                f"`{self.modality}` is the modality of {DISTRIBUTION}-{self.modality}", where="--modality", fix=another
            )
        for offers in found.all_offers():
            for label in offers:
                if label.partition(".")[0] == self.modality:
                    raise UsageError(
                        f"the {offers.kind} `{label}` is there already, from {offers.plugin(label).source}",
                        where="--modality",
                        fix=another,
                    )


def _suggestion(given: str, joint: str, longest: int) -> str | None:
    """A name like the one given that could be one."""
    words = re.findall(r"[a-z0-9]+", given.lower())
    near = joint.join(words).lstrip("0123456789" + joint)[:longest].rstrip(joint)
    return f"such as {near}" if near else None
