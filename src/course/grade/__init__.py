"""A class: every project in a folder, checked within limits, and the table of results."""
