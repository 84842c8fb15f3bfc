#!/usr/bin/env python3
"""Ask this container's own web server whether it is alive: exit 0 or 1. For docker-compose.yml."""

from __future__ import annotations

import http.client
import os
import sys
from urllib.parse import urlsplit


def main() -> int:
    # The server answers only to the host names it knows; the public one is always among them.
    host = urlsplit(os.environ.get("BASE_URL", "http://127.0.0.1:8000")).netloc
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=4)
    try:
        connection.request("GET", "/healthz", headers={"Host": host, "X-Forwarded-Proto": "https"})
        return 0 if connection.getresponse().status == 200 else 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
