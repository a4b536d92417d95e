"""Where both processes start: uvicorn takes `app` from here, the Celery worker takes `celery`."""

from project.app import create_app
from project.celery_utils import create_celery

celery = create_celery()
app = create_app()
