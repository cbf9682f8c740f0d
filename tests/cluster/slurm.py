"""A cluster of Slurm on this machine: slurmctld in one network namespace, slurmd in it and in another, one home."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import ClassVar

from tests.cluster.network import AWS, HEAD, OTHER, Cluster

CONF = """\
ClusterName=so8t
SlurmctldHost=head({head})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool-%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd-%n.log
SlurmdTimeout=20
ReturnToService=2
KillWait=5
MinJobAge=5
SchedulerParameters=sched_interval=1,bf_interval=1
GresTypes=b,nobody
NodeName=node-b NodeAddr={other} CPUs=2 RealMemory=8000 Gres=b:1
NodeName=node-c NodeAddr={head} Port=6828 CPUs=2 RealMemory=8000 Gres=b:1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_UP = ("idle", "mixed", "allocated")  # sinfo may call a node mixed long after its last job
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "sinfo", "ip", "unshare")


class Missing(Exception):
    """A program without which these tests cannot be run."""


class Slurm(Cluster):
    """Accounts are kept by nobody, and what has ended is forgotten after seconds, as far as Slurm goes."""

    settings: ClassVar = {"kind": "slurm"}

    def __init__(self, folder: Path, log: Path) -> None:
        if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
            raise Missing(f"{', '.join(missing)}: not on this machine: .ci/slurm installs Slurm and munge")
        super().__init__(folder, log)
        self.place = Path("/tmp", f"so8t-slurm-{secrets.token_hex(4)}")  # a socket's path has 107 letters at most
        self.home = folder / "home"

    @property
    def own(self) -> dict[str, str]:
        """What doit has in its environment, and by sbatch the job too."""
        return {
            "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / ".cache"), "HOUSE_LOG": str(self.log),
            "SLURM_CONF": str(self.place / "slurm.conf"), **AWS,
        }  # fmt: skip

    def start(self) -> None:
        self.home.mkdir()
        (self.place / "state").mkdir(parents=True)
        (self.place / "slurm.conf").write_text(CONF.format(place=self.place, head=HEAD, other=OTHER))
        (self.place / "gres.conf").write_text("NodeName=node-[b-c] Name=b Count=1\n")
        (self.place / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # no other starts where there are none
        key = self.place / "munge.key"
        key.write_bytes(secrets.token_bytes(32))
        key.chmod(0o600)
        self._start_store()
        files = [f"--{name}-file={self.place}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        self._daemon("a", "head", "munged", "--foreground", "--force", f"--socket={self.place}/munge.socket", *files)
        self.wait((self.place / "munge.socket").exists, "munge")
        self.start_head()
        self.start_node()

    def _daemon(self, which: str, host: str, *words: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SLURM_CONF": str(self.place / "slurm.conf")}
        with (self.folder / f"{words[0]}-{host}.log").open("ab") as told:
            started = subprocess.Popen(
                [*self.network.into(which, host), *words], env=environment, stdin=subprocess.DEVNULL, stdout=told,
                stderr=told, cwd=self.folder,
            )  # fmt: skip
        self._started.append(started)
        return started

    def start_head(self) -> None:
        self.head = self._daemon("a", "head", "slurmctld", "-D")
        self.wait(lambda: "UP" in self.ask("scontrol", "ping"), "slurmctld")

    def start_node(self, which: str = "b", name: str = "b") -> None:
        """One that was lost with all that ran on it is missed first: Slurm takes minutes to see it once it is back."""
        if name in self.nodes:
            self.nodes.pop(name).wait(timeout=30)
            self.wait(lambda: "down" in self.state(name), f"the loss of node-{name}", 180)
        self.nodes[name] = self._daemon(which, f"node-{name}", "slurmd", "-D")
        self.wait(lambda: self.state(name) in _UP, f"node-{name}")

    def kill_node(self, name: str) -> None:
        """Its slurmd alone; what that started goes on."""
        self.nodes[name].kill()
        self.nodes.pop(name).wait(timeout=30)

    def calm(self) -> None:
        """As it was in the beginning: node-b alone, and nothing runs."""
        self.ask("scancel", "--user=root")
        if "c" in self.nodes:
            self.kill_node("c")
            self.ask("scontrol", "update", "NodeName=node-c", "State=DOWN", "Reason=test")
        self.wait(lambda: not self.ask("squeue", "--noheader"), "the end of every job")
        self.wait(lambda: self.state("b") in _UP, "node-b", 300)

    def state(self, name: str) -> str:
        return self.ask("sinfo", "--noheader", f"--nodes=node-{name}", "--format=%T").strip()

    def ask(self, *words: str) -> str:
        command = [*self.network.into("a"), *words]
        done = subprocess.run(command, env={**os.environ, **self.own}, capture_output=True, text=True, timeout=60)
        return done.stdout

    def kill_head(self) -> None:
        """Once it has written down what runs, as it does after a change: else it starts that once more."""
        assert self.head
        state, asked = self.place / "state" / "job_state", time.time()
        for number in self.ask("squeue", "--noheader", "--format=%i").split():
            self.ask("scontrol", "update", f"JobId={number}", "Comment=seen")
            self.wait(lambda: state.stat().st_mtime > asked, "the state of what runs")
        self.head.kill()
        self.head.wait(timeout=30)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.place, ignore_errors=True)
