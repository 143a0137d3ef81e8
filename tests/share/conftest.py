"""Servers on loopback, each a process of its own: SSH and S3."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.store.toy_project import SOURCE

S3_SERVER = "REFDIFF_S3_SERVER"
S3_ADVICE = (
    "no S3 server: `python3 -m venv /tmp/moto && /tmp/moto/bin/pip install 'moto[server]'` (its botocore does not go "
    f"with dvc-s3's), then set {S3_SERVER}=/tmp/moto/bin/moto_server"
)


@dataclass(frozen=True, slots=True)
class SshServer:
    """An SSH server.

    Attributes:
        port: On 127.0.0.1.
        key: Private key that it lets in.
        program: What serves: `sshd` or `asyncssh`.
    """

    port: int
    key: Path
    program: str


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """sshd where it is installed and starts, else asyncssh's server; both speak real SSH on loopback."""
    pytest.importorskip("dvc_ssh", reason="dvc-ssh is not installed: pip install -e '.[ssh]'")
    import asyncssh

    folder = tmp_path_factory.mktemp("ssh")
    folder.chmod(0o700)
    for name in ("client", "host"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(folder / name))
        key.write_public_key(str(folder / f"{name}.pub"))
        (folder / name).chmod(0o600)
    started = _start_sshd(folder) or _start_asyncssh(folder)
    process, port, program = started
    print(f"SSH is served by {program}")
    try:
        yield SshServer(port, folder / "client", program)
    finally:
        process.kill()
        process.wait()


def _start_sshd(folder: Path) -> tuple["subprocess.Popen[str]", int, str] | None:
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        return None
    port = free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/client.pub\n"
        f"PidFile none\nStrictModes no\nPermitRootLogin yes\nUsePAM no\nSubsystem sftp internal-sftp\n"
    )
    if subprocess.run([program, "-t", "-f", str(folder / "sshd_config")], check=False, capture_output=True).returncode:
        return None
    process = subprocess.Popen([program, "-D", "-f", str(folder / "sshd_config")], text=True)
    wait_for_port(port)
    return process, port, "sshd"


def _start_asyncssh(folder: Path) -> tuple["subprocess.Popen[str]", int, str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.share.sftp_server", str(folder / "client.pub"), str(folder / "host")],
        cwd=SOURCE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as said:
        return process, int(said.readline()), "asyncssh"


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server; credentials and endpoint are in the environment, as a person would set them."""
    pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed: pip install -e '.[s3]'")
    program = os.environ.get(S3_SERVER) or shutil.which("moto_server")
    if program is None:
        pytest.skip(S3_ADVICE)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    variables = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        try:
            wait_for_port(port)
            make_bucket(address, "refdiff")
            yield address
        finally:
            process.kill()
            process.wait()


def make_bucket(address: str, name: str) -> None:
    """The server checks no signatures."""
    request = urllib.request.Request(f"{address}/{name}", method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")


@pytest.fixture(params=["local", "ssh", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A remote's section of DVC's config."""
    if request.param == "local":
        return f"url = {tmp_path / 'remote'}\n"
    if request.param == "ssh":
        server: SshServer = request.getfixturevalue("ssh_server")
        (tmp_path / "remote").mkdir()
        return (
            f"url = ssh://{getpass.getuser()}@127.0.0.1:{server.port}{tmp_path / 'remote'}\n"
            f"    keyfile = {server.key}\n    allow_agent = false\n"
        )
    endpoint = request.getfixturevalue("s3_endpoint")
    return f"url = s3://refdiff/{tmp_path.name}\n    endpointurl = {endpoint}\n"
