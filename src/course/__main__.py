import sys

try:
    from typer._completion_classes import completion_init

    from course.cli.app import app

    completion_init()  # for `./course completion`, and what its script asks at each Tab
    app(prog_name="./course", complete_var="_COURSE_COMPLETE")
except KeyboardInterrupt:
    sys.exit(130)
