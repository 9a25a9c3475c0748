"""The command line: `main` runs one verb and turns every failure into one line and an exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence

from bitwright.errors import BitwrightError
from bitwright.escapes import escaped

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `bitwright ARGUMENTS` and exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted,
    143 or 129 ended by SIGTERM or SIGHUP."""
    from bitwright.cli import process

    gc.disable()  # until process.started(): a tenth of start-up was looking for garbage that it does not make
    try:
        refused = process.prepare()
        sys.exit(exit_code(arguments) if refused is None else complain(refused, 1))
    except SystemExit as ending:  # this one, a signal's, or typer's own after a broken pipe
        sys.exit(process.finish(int(ending.code or 0)))
    except KeyboardInterrupt:  # before or after the verb
        sys.exit(INTERRUPTED)


def exit_code(arguments: Sequence[str] | None = None) -> int:
    """The exit code of `bitwright ARGUMENTS`; results went to stdout, everything else to stderr."""
    try:
        from bitwright.cli.output import shown
        from bitwright.io import inputs

        arguments = sys.argv[1:] if arguments is None else arguments
        with inputs.protected(), shown():
            code = perform(arguments)
        sys.stdout.flush()
        if (said := shortened()) is not None:
            return complain(said, 1)
        return code if isinstance(code, int) else 0
    except BitwrightError as error:
        return complain(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe. Without this, Python complains again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except MemoryError as error:  # NumPy's says what was to be allocated
        return complain(f"not enough memory: {error}".removesuffix(": std::bad_alloc").removesuffix(": "), 1)
    except OSError as error:
        return complain(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    except Exception as error:
        if isinstance(error, RuntimeError) and "start new thread" in str(error):  # Python's own
            return complain("the system starts no more threads: too little memory, or too many processes", 1)
        if hasattr(error, "format_message"):  # typer's own: a wrong option or argument
            return complain(f"{error.format_message().rstrip('.')} (see bitwright {command_of(error)}--help)", 2)
        if os.environ.get("BITWRIGHT_DEBUG"):
            raise
        name = type(error).__name__
        return complain(f"a bug in bitwright: {name}: {error} (BITWRIGHT_DEBUG=1 shows where)", 1)


def perform(arguments: Sequence[str]) -> object:
    """Run the verb, and return an exit code or None. Raises what it raises, and typer's errors."""
    from bitwright.cli import plain

    if (asked := plain.asked(arguments)) is None:
        from bitwright.cli.app import app

        return app(arguments or ["--help"], prog_name="bitwright", standalone_mode=False)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy would start threads, and multiplies nothing here
    from bitwright.cli import answering, begin

    with begin.protecting(asked):
        answering.answer(answering.Asked(**asked))
    return None


def complain(message: str, code: int) -> int:
    """Print on one line what went wrong. A file that became shorter explains whatever else did."""
    if (said := shortened()) is not None:
        message, code = said, 1
    with contextlib.suppress(OSError):  # stderr may be full or gone: the exit code still says it
        print("bitwright: error:", " ".join(escaped(message).split()), file=sys.stderr)
    return code


def shortened() -> str | None:
    """What to say if a mapped file became shorter while it was read."""
    mapping = sys.modules.get("bitwright.kernels.mapping")  # not imported: no file was mapped
    return None if mapping is None else mapping.complaint()


def command_of(error: Exception) -> str:
    """The verb that a usage error belongs to, with a space after it, or nothing."""
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "").split()[1:]
    return "".join(f"{word} " for word in path)
