"""The commands: they parse, call an engine and print, one module a group of commands."""
