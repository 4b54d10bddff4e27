"""The pytest plugin: ``pytest --genkit-plugin DISTRIBUTION`` adds its checks to the tests, each a test of its own.

pytest imports this in every session, so that nothing heavy stands at its top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from genkit.testing.conformance import PluginCheck


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--genkit-plugin``."""
    parser.getgroup("genkit").addoption(
        "--genkit-plugin",
        action="append",
        default=[],
        metavar="DISTRIBUTION",
        help="Run genkit's checks of an installed distribution; may be repeated.",
    )


@pytest.hookimpl(tryfirst=True)  # so that -k and -m choose among them
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Adds the checks of each distribution asked for. Raises pytest.UsageError where there is nothing to check."""
    asked: list[str] = config.getoption("--genkit-plugin")
    if not asked:
        return
    from genkit.errors import GenkitError
    from genkit.testing.conformance import checks_of

    for distribution in asked:
        try:
            checks = checks_of(distribution)
        except GenkitError as error:
            raise pytest.UsageError(str(error)) from error
        for check in checks:
            item = Conformance.from_parent(session, name=str(check), nodeid=f"{distribution}::{check}")
            item.check = check
            items.append(item)


class Conformance(pytest.Item):
    """One check as a test."""

    check: PluginCheck

    def runtest(self) -> None:
        """Run it."""
        self.check.run()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """What is wrong and its cure, where a check says so; else, as for other tests, the traceback."""
        from genkit.testing.outcome import CheckFailure

        if isinstance(excinfo.value, CheckFailure):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[str, None, str]:
        """How reports name it."""
        return self.nodeid, None, self.nodeid
