"""The newsletter company's own web service: somebody else's, slow, and sometimes unwilling.

What it does depends on the address, as with the test cards of payment providers:

    slow+8@example.com     accepts after 8 seconds
    busy+2@example.com     answers 503 twice, then accepts
    refused@example.com    is refused for good
    any other address      accepts after 3 seconds
"""

import asyncio
import re
from collections import Counter

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

LONGEST_WAIT = 600.0

app = FastAPI(title="Newsletter service")
times_busy: Counter[str] = Counter()


class Subscriber(BaseModel):
    email: str


@app.get("/")
async def ready() -> str:
    return "The newsletter service is running."


@app.post("/subscribers", status_code=201)
async def add_subscriber(subscriber: Subscriber) -> str:
    email = subscriber.email
    name = email.partition("@")[0]

    if name == "refused":
        raise HTTPException(403, "This address is on the block list.")

    if busy := re.fullmatch(r"busy\+(\d+)", name):
        times_busy[email] += 1
        if times_busy[email] <= int(busy[1]):
            raise HTTPException(503, "Too many requests. Try again later.")
        del times_busy[email]
        return f"{email} is subscribed"

    slow = re.fullmatch(r"slow\+(\d+(?:\.\d+)?)", name)
    await asyncio.sleep(min(float(slow[1]), LONGEST_WAIT) if slow else 3)
    return f"{email} is subscribed"
