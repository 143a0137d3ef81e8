"""An SSH server in a process of its own that serves files: `python -m tests.share.sftp_server KEYS HOST_KEY`.

It stands in where no sshd is installed. It prints the port that it listens on.
"""

import asyncio
import sys

import asyncssh


async def serve(keys: str, host_key: str) -> None:
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[host_key], authorized_client_keys=keys, sftp_factory=True, allow_scp=False
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
