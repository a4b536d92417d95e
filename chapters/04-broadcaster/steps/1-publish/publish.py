"""Publish to whoever follows a task, from any terminal:  python publish.py TASK_ID MESSAGE"""

import asyncio
import sys

from project.celery_utils import TaskStatus
from project.ws.views import publish

if len(sys.argv) != 3:
    sys.exit(__doc__)
asyncio.run(publish(TaskStatus(task_id=sys.argv[1], state="STARTED", progress=sys.argv[2])))
print("Published. Redis has passed it on to every web process that has a page for this task.")
