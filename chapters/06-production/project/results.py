"""The result backend of a worker that keeps a result until Redis takes it.

Celery tries again when the connection is lost. A Redis that is full (OOM), cannot save (MISCONF),
is loading (LOADING) or has become a replica (READONLY) answers, and its answer is an error.
"""

from celery.backends.redis import RedisBackend, SentinelBackend
from redis import RedisError


class PatientRedisBackend(RedisBackend):  # type: ignore[misc]
    def exception_safe_to_retry(self, error: Exception) -> bool:
        return isinstance(error, RedisError) or super().exception_safe_to_retry(error)


class PatientSentinelBackend(SentinelBackend):  # type: ignore[misc]
    def exception_safe_to_retry(self, error: Exception) -> bool:
        return isinstance(error, RedisError) or super().exception_safe_to_retry(error)


def patient_backend(url: str) -> str:
    """The URL as Celery takes it, with the class that it is for."""
    is_sentinel = url.startswith("sentinel://")
    name = PatientSentinelBackend.__name__ if is_sentinel else PatientRedisBackend.__name__
    return f"{__name__}:{name}+{url}"
