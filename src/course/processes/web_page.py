"""How a page is opened in the reader's own browser."""

import threading
import webbrowser


def open_page(url: str) -> None:
    """Open it, and do not wait: a browser of the terminal, such as lynx, runs until it is quit."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
