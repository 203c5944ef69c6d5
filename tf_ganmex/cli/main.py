"""Parses the command line and turns the package's errors into one line and exit code 2."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from tf_ganmex import __version__
from tf_ganmex.cli import (
    convert,
    demo,
    evaluate,
    explain,
    prepare_bam,
    reproduce,
    scan,
    test_classifier,
    train,
    train_classifier,
)
from tf_ganmex.errors import GanmexError

COMMANDS = {
    "demo": demo,
    "prepare-bam": prepare_bam,
    "train-classifier": train_classifier,
    "test-classifier": test_classifier,
    "train": train,
    "scan": scan,
    "convert": convert,
    "explain": explain,
    "evaluate": evaluate,
    "reproduce": reproduce,
}
BAD_INPUT, INTERRUPTED = 2, 130


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Prints the line and exits."""
        self.exit(BAD_INPUT, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parser() -> Parser:
    """The parser of the whole command line."""
    top = Parser(
        prog="ganmex",
        description="Why did this Keras classifier say A and not B? Class-targeted GAN baselines and attribution maps.",
    )
    top.add_argument("--version", action="version", version=f"tf-ganmex {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    options = parser().parse_args(arguments)
    try:
        with _warnings_as_notes():
            return COMMANDS[options.command].run(options) or 0
    except (GanmexError, OSError) as error:
        print(f"ganmex {options.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"\nganmex {options.command}: interrupted; what was finished is kept", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """What the user is warned of takes one line, without the line of code that warned."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if category is UserWarning:
                print(f"note: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                shown(message, category, *where, **more)

        warnings.showwarning = show
        yield
