"""Names and outputs that others have chosen, made safe to show."""


def printable(text: str) -> str:
    """The text with its control characters escaped, so that none gives orders to a terminal.

    Newlines and tabs stay. Bytes that are no UTF-8, as file names may have them, are escaped, too.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else escape(c) for c in text)


def escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
