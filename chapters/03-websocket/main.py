"""Where both processes start: uvicorn takes `app` from here, the Celery worker takes `celery`."""

from project import create_app
from project.celery_utils import create_celery
from project.config import require_redis

require_redis()
celery = create_celery()
app = create_app()
