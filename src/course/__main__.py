import signal
import sys

try:
    # The launcher has blocked Ctrl-C: up to here it would have been a bare traceback.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    from typer.completion import get_completion_inspect_parameters

    from course.cli.app import app

    # Registers the shells, for `./course completion` and for what its script asks at each Tab. The
    # options that it returns are left out: they install for a command on PATH.
    get_completion_inspect_parameters()
    app(prog_name="./course", complete_var="_COURSE_COMPLETE")
except KeyboardInterrupt:
    sys.exit(130)
finally:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: nothing is left to interrupt
