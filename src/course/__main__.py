import signal
import sys

try:
    # The launcher has blocked Ctrl-C: up to here it would have been a bare traceback.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    from typer.completion import completion_init  # type: ignore[attr-defined]

    from course.cli.app import app

    completion_init()  # for `./course completion`, and what its script asks at each Tab
    app(prog_name="./course", complete_var="_COURSE_COMPLETE")
except KeyboardInterrupt:
    sys.exit(130)
finally:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: nothing is left to interrupt
