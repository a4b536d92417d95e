"""The newsletter project: a page, a form, a Celery task behind it, and a WebSocket."""
