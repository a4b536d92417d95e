"""Publish to whoever follows a task, from any terminal:  python publish.py TASK_ID MESSAGE"""

import asyncio
import sys

from project.celery_utils import TaskStatus
from project.config import settings
from project.ws.views import publish

if len(sys.argv) != 3:
    sys.exit(__doc__)
try:
    asyncio.run(publish(TaskStatus(task_id=sys.argv[1], state="STARTED", progress=sys.argv[2])))
except TimeoutError:
    sys.exit(f"No Redis answers at {settings.ws_message_queue}. REDIS_URL says where it is.")
print("Published. Redis passes it on to each process that has subscribed to this task's channel.")
