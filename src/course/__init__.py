"""The tool of the course: it runs the chapters, and checks them and the reader's own work."""

__version__ = "1.0.0"
