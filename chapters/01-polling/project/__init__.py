"""The newsletter project: a page, a form, and a Celery task behind it."""
