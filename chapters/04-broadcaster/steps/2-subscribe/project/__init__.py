"""The newsletter project: a page, a form, a Celery task behind it, and a WebSocket."""

from broadcaster import Broadcast

from project.config import settings

# For FastAPI alone. The Celery worker is another process, and publishes with one of its own.
broadcast = Broadcast(str(settings.ws_message_queue))
