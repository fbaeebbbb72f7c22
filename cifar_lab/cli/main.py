"""Run the coursework's experiments and notebooks.

Start with `cifar-lab list`, then `cifar-lab run cifar10-mlp`. Exit status: 0 done, 1 an error that
the message says how to fix, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence

from cifar_lab.cli import (
    adopt,
    autograder,
    bench,
    doctor,
    evaluate,
    grade,
    handout,
    listing,
    notebook,
    run,
    table,
)
from cifar_lab.cli.completion import complete_if_asked
from cifar_lab.utils.errors import USER_ERRORS
from cifar_lab.utils.torchrun import is_writer

# Each adds its command with `add_command`. None imports PyTorch before its command runs.
COMMANDS = (
    listing,
    run,
    table,
    evaluate,
    notebook,
    doctor,
    grade,
    handout,
    autograder,
    bench,
    adopt,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    _take_every_character()
    parser = build_parser()
    complete_if_asked(parser)
    options = parser.parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    status: int | None = 0
    try:
        status = _execute(parser, options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has enough, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as interrupt:
        if arguments is None:  # the process ends now: a second Ctrl-C would only spoil that
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        # On a line of its own, after ^C or a progress bar.
        if is_writer():
            print(f"\ncifar-lab: {str(interrupt) or 'Interrupted.'}", file=sys.stderr)
        return 130
    except USER_ERRORS as error:
        print(f"cifar-lab: {error}", file=sys.stderr)
        return 1
    return status or 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands and their options."""
    parser = argparse.ArgumentParser(
        prog="cifar-lab", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        command.add_command(commands)
    return parser


def _execute(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int | None:
    """Run the command, or print the version or the help where none is given."""
    if options.version:
        import cifar_lab

        print(f"cifar-lab {cifar_lab.__version__}")
        return 0
    if options.command is None:
        parser.print_help()
        return 0
    return options.execute(options)


def _take_every_character() -> None:
    """Let a character that the console lacks appear as an escape, in place of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
