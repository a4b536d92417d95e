"""The student's own project: its folder, its progress, and the check that judges it."""
