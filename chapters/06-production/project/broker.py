"""Celery's Redis transport, with two gaps closed through which a task or its worker can get lost.

A message that a worker takes from its queue is in Redis no longer, until the worker has noted it
as not yet acknowledged. And a channel whose connection broke as it waited for a message has to be
closed in full, or the worker ends with an AttributeError (kombu 5.7.0).
"""

import logging
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis import RedisError
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)


class PatientQoS(redis.QoS):
    def append(self, message: Any, delivery_tag: str) -> None:
        """Note the message in Redis. Waits while that is full, away or refuses for other reasons:
        nobody else has the message.
        """
        until_redis_takes_it = Retry(
            ExponentialWithJitterBackoff(cap=1, base=0.05),
            retries=-1,
            supported_errors=(RedisError,),
        )
        until_redis_takes_it.call_with_retry(
            lambda: super(PatientQoS, self).append(message, delivery_tag),  # type: ignore[no-untyped-call]
            lambda error: logger.warning("A message waits for Redis: %s", error),
        )


class ClosesInFull:
    """What both kinds of channel have in common."""

    QoS = PatientQoS

    def close(self: Any) -> None:
        try:
            super().close()  # type: ignore[misc]
        except RedisError:
            if self.closed:
                raise
            # The first time has only read the BRPOP's answer, which does not come.
            super().close()  # type: ignore[misc]


class PatientChannel(ClosesInFull, redis.Channel):
    pass


class PatientTransport(redis.Transport):
    Channel = PatientChannel


class PatientSentinelChannel(ClosesInFull, redis.SentinelChannel):
    pass


class PatientSentinelTransport(redis.SentinelTransport):
    Channel = PatientSentinelChannel


def use_patient_transports() -> None:
    """Give the schemes of the broker's URL these transports."""
    TRANSPORT_ALIASES["redis"] = f"{__name__}:{PatientTransport.__name__}"
    TRANSPORT_ALIASES["rediss"] = TRANSPORT_ALIASES["redis"]
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:{PatientSentinelTransport.__name__}"
