"""``genkit doctor``: what is wrong with the installation, and what to do about it."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import click

from genkit import __version__
from genkit.cli.output import print_json
from genkit.plugins import DISTRIBUTION
from genkit.specs import Check

ENVIRONMENT = ("GENKIT_PLUGINS", "GENKIT_STRICT_PLUGINS")
ENOUGH_DISK, LITTLE_DISK = 5 * 2**30, 2**30  # bytes


def examine() -> Iterator[Check]:
    """Every check of this environment and of the plugins' own."""
    yield Check(name="genkit", status="ok", detail=f"{__version__}, Python {platform.python_version()}, {sys.platform}")
    yield check_distributions()
    yield check_command()
    yield from check_environment()
    yield check_torch()
    yield from check_torchaudio()
    yield from check_plugins()
    yield check_disk(Path.cwd())


def check_distributions() -> Check:
    """Whether another distribution owns files of the package `genkit`: Google's SDK of that name does."""
    owners = set(packages_distributions().get("genkit", ())) - {DISTRIBUTION}
    if not owners:
        return Check(name="package", status="ok", detail=f"`genkit` belongs to {DISTRIBUTION} alone")
    return Check(
        name="package",
        status="error",
        detail=f"`genkit` also belongs to {', '.join(sorted(owners))}: each has overwritten files of the other",
        fix=f"pip uninstall {' '.join(sorted(owners))}; pip install --force-reinstall --no-deps {DISTRIBUTION}",
    )


def check_command() -> Check:
    """Whether `genkit` on PATH is this environment's: npm's genkit-cli has a command of that name too."""
    own = [Path(sysconfig.get_path("scripts"))]
    if sys.prefix == sys.base_prefix:  # outside a virtual environment, pip install --user has a place of its own
        own.append(Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))))
    first = shutil.which("genkit")
    always = f"`{sys.executable} -m genkit` always is this one"
    if first is None:
        return Check(name="command", status="warning", detail="`genkit` is not on PATH", fix=always)
    if Path(first).resolve() in [(directory / Path(first).name).resolve() for directory in own]:
        return Check(name="command", status="ok", detail=first)
    return Check(
        name="command",
        status="error",
        detail=f"`genkit` on PATH is {first}, not this environment's in {own[0]}",
        fix=f"put {own[0]} first on PATH; {always}",
    )


def check_environment() -> Iterator[Check]:
    """The environment variables that change what genkit does."""
    for name in ENVIRONMENT:
        if name in os.environ:
            yield Check(name="environment", status="ok", detail=f"{name}={os.environ[name]}")


def check_torch() -> Check:
    """Whether torch can be imported, and what it runs on."""
    try:
        import torch
    except Exception as error:
        fix = "pip install --upgrade --force-reinstall torch"
        return Check(
            name="torch", status="error", detail=f"can not be imported: {type(error).__name__}: {error}", fix=fix
        )
    device = torch.accelerator.current_accelerator(check_available=True)
    if device is not None:
        count = torch.accelerator.device_count()
        name = f" ({torch.cuda.get_device_name()})" if device.type == "cuda" else ""
        return Check(name="torch", status="ok", detail=f"{torch.__version__}, {count} x {device.type}{name}")
    detail = f"{torch.__version__}, no accelerator, {torch.get_num_threads()} CPU threads"
    if shutil.which("nvidia-smi"):
        fix = "nvidia-smi shows the driver's state; https://pytorch.org/get-started lists which torch fits which driver"
        return Check(name="torch", status="warning", detail=f"{detail}, though the machine has nvidia-smi", fix=fix)
    return Check(name="torch", status="ok", detail=detail)


def check_torchaudio() -> Iterator[Check]:
    """Whether torchaudio, where installed, fits torch: one built for another torch fails to load its library."""
    try:
        installed = version("torchaudio")
    except PackageNotFoundError:
        return
    try:
        importlib.import_module("torchaudio")
    except Exception as error:
        yield Check(
            name="torchaudio",
            status="warning",  # the core does without it; a plugin that needs it says so itself
            detail=f"{installed} does not load beside this torch: {type(error).__name__}: {error}",
            fix="install both in one command from one index, such as https://download.pytorch.org/whl/cpu",
        )
    else:
        yield Check(name="torchaudio", status="ok", detail=installed)


def check_plugins() -> Iterator[Check]:
    """The state of each plugin, and what the plugins find themselves."""
    from genkit.catalog import catalog

    found = catalog().plugins
    own = found.collect("genkit_doctor")
    for status in found.statuses:
        problem = None if status.state == "ok" else status.as_error()
        yield Check(
            name=f"plugin {status.name}",
            status="ok" if problem is None else "warning" if status.state == "blocked" else "error",
            detail=status.source if problem is None else f"{status.source} is {status.state}: {status.error}",
            fix=problem.fix if problem else None,
        )
    for line in catalog().conflicts():
        yield Check(name="names", status="error", detail=line, fix="uninstall one of the two")
    for _, check in own:
        yield check


def check_disk(directory: Path) -> Check:
    """Whether runs in `directory` have room for their checkpoints."""
    free = shutil.disk_usage(directory).free
    detail = f"{free / 2**30:.1f} GiB free in {directory}"
    if free >= ENOUGH_DISK:
        return Check(name="disk", status="ok", detail=detail)
    fix = "free some space, or write runs elsewhere with --out"
    return Check(name="disk", status="warning" if free >= LITTLE_DISK else "error", detail=detail, fix=fix)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look for what is wrong with the installation. Exit code 1 when something is."""
    checks = list(examine())
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        colours = {"ok": "green", "warning": "yellow", "error": "red"}
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(
                f"{click.style(f'{check.status:<7}', fg=colours[check.status])}  {check.name:<{width}}  {check.detail}"
            )
            if check.fix and check.status != "ok":
                click.echo(f"{'':<{width + 11}}fix: {check.fix}")
    if any(check.status == "error" for check in checks):
        ctx.exit(1)
