"""A real mail server that keeps what it gets, and answers as a test wants it to.

    python -m team.tests.smtp PORT FILE

runs it as a process of its own, which writes the Message-ID of each mail it took to a file.
"""

from __future__ import annotations

import sys
import threading
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from team.tests.installation import free_port


class Server:
    """`to_rcpt` and `to_data` are the answers to come, the last of them for good; "hang up" takes the mail
    and closes the line without a word."""

    def __init__(self, port: int = 0, file: Path | None = None) -> None:
        self.port = port or free_port()
        self.file = file
        self.received: list[Message] = []
        self.to_rcpt = ["250 OK"]
        self.to_data = ["250 OK"]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Server:
        self.controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.controller.stop()

    def _next(self, answers: list[str]) -> str:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 - its name
        answer = self._next(self.to_rcpt)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - its name
        answer = self._next(self.to_data)
        if answer.startswith("250") or answer == "hang up":
            message = message_from_bytes(envelope.content)
            self.received.append(message)
            if self.file:
                with self.file.open("a") as file:
                    file.write(f"{message['Message-ID']}\n")
        if answer == "hang up":
            server.transport.abort()
        return answer


if __name__ == "__main__":
    with Server(int(sys.argv[1]), Path(sys.argv[2])):
        print("ready", flush=True)  # noqa: T201
        threading.Event().wait()
