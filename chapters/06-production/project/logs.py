"""One line of log an event, with the task's id; as JSON for a machine, as text for a person."""

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Any

from celery import current_task
from celery.signals import setup_logging

from project.config import settings

# What uvicorn and Celery log by themselves goes the same way.
LOGGERS = ("uvicorn", "uvicorn.access", "uvicorn.error", "celery", "kombu")
# Two more lines for each socket, without its path: the line before them has said all of it.
NOISE = ("connection open", "connection closed")


class TaskId(logging.Filter):
    """Find the task that a line is about: it is named, or it is the one that runs."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in NOISE:
            return False
        named = getattr(record, "task_id", None)
        of_celery = record.args.get("id") if isinstance(record.args, dict) else None
        running = current_task.request.id if current_task else None
        record.task_id = named or of_celery or running or "-"
        return True


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if getattr(record, "task_id", "-") != "-":
            line["task_id"] = record.__dict__["task_id"]
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logs() -> None:
    text = "%(asctime)s %(levelname)s %(name)s task=%(task_id)s %(message)s"
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"task_id": {"()": TaskId}},
            "formatters": {"text": {"format": text}, "json": {"()": JsonLines}},
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": settings.log_format,
                    "filters": ["task_id"],
                }
            },
            "root": {"level": "INFO", "handlers": ["stderr"]},
            "loggers": {name: {"handlers": [], "propagate": True} for name in LOGGERS},
        }
    )


@setup_logging.connect
def configure_worker_logs(**kwargs: Any) -> None:
    """Celery leaves its logs alone when somebody listens to this signal."""
    configure_logs()
