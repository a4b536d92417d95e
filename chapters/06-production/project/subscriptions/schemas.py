"""What a request must look like."""

from pydantic import BaseModel, EmailStr


class Subscription(BaseModel):
    email: EmailStr


class Accepted(BaseModel):
    task_id: str
