"""The course as data: chapters, ideas, exercises, hints, and the differences between them."""
