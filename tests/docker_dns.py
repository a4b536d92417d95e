"""Docker's DNS, for hosts that are no containers: it knows the names in their /etc/hosts.

Of a name that several hosts share it gives every address, in any order, as Docker does.
"""

import random
import socket
from pathlib import Path

from dns import message, rcode, rrset

DOCKERS = ("127.0.0.11", 53)


def addresses(name: str) -> list[str]:
    lines = [line.split() for line in Path("/etc/hosts").read_text().splitlines()]
    found = [address for address, *names in lines if name in names]
    return random.sample(found, len(found))


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(DOCKERS)
    while True:
        data, client = server.recvfrom(512)
        query = message.from_wire(data)
        answer = message.make_response(query)
        (question,) = query.question
        found = addresses(question.name.to_text(omit_final_dot=True))
        if not found:
            answer.set_rcode(rcode.NXDOMAIN)
        elif question.rdtype == 1:  # A; there is no IPv6 here
            answer.answer.append(rrset.from_text_list(question.name, 600, "IN", "A", found))
        server.sendto(answer.to_wire(), client)
