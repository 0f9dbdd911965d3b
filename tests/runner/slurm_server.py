"""A SLURM cluster of one node for tests: the daemons of the system, with their files in a folder of the test."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import let_others_enter

_DAEMONS = ("munged", "slurmctld", "slurmd")
_PORT = 16000 + os.getpid() % 900 * 2
_PATIENCE_SECONDS = 30.0
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=5
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=4000 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path) -> Generator[str]:
    """Run the daemons on the loopback; yield `SLURM_CONF`, by which SLURM's commands find them.

    The test is skipped where SLURM is not installed, and for other users than root, who alone may run the daemons.
    """
    missing = [daemon for daemon in _DAEMONS if shutil.which(daemon) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    if os.getuid() != 0:
        pytest.skip("the daemons of SLURM need root")
    host = socket.gethostname().partition(".")[0]
    for part in ("munge", "state", "spool"):
        (folder / part).mkdir(parents=True)
    values = {"host": host, "folder": folder, "port": _PORT, "node_port": _PORT + 1, "cores": os.cpu_count()}
    configuration = folder / "slurm.conf"
    configuration.write_text(_CONFIGURATION.format(**values))
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    daemons: list[subprocess.Popen[bytes]] = []

    def start(*command: object) -> None:
        log = (folder / f"{command[0]}.log").open("ab")
        words = [*map(str, command)]
        daemons.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log, start_new_session=True))
        log.close()

    try:
        start("munged", "-F", *_munge_options(folder / "munge"))
        _wait_for((folder / "munge/socket").exists, folder)
        start("slurmctld", "-D")
        start("slurmd", "-D", "-N", host)
        _wait_for(lambda: _is_idle(environment), folder)
        yield environment["SLURM_CONF"]
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(_PATIENCE_SECONDS)


def _munge_options(folder: Path) -> list[str]:
    """Return the options of munged, which signs messages with a key that this test makes; its files lie in `folder`."""
    key = folder / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    let_others_enter(folder)  # munged insists on it
    folder.chmod(0o755)
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
    return [f"--{option}={folder / name}" for option, name in files.items()]


def _is_idle(environment: dict[str, str]) -> bool:
    """Return whether the node waits for jobs."""
    command = ["sinfo", "--noheader", "--format=%T"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout == "idle\n"


def _wait_for(condition: Callable[[], bool], folder: Path) -> None:
    """Wait until a condition holds; fail with the logs of the daemons where it does not within half a minute."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, [f"{log.name}: {log.read_text()[-2000:]}" for log in folder.glob("*.log")]
        time.sleep(0.2)
