import sys

try:
    from course.cli import app

    app(prog_name="./course")
except KeyboardInterrupt:
    sys.exit(130)
