"""The worker processes of a gateway that runs, as the system lists them."""

import subprocess

PROGRAM = "controlplane.worker"


def workers_of(supervisor: int) -> dict[int, int]:
    """A worker's number -> its process id."""
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split() for line in lines]
    return {
        int(row[row.index(PROGRAM) + 1]): int(row[0])
        for row in rows
        if row[1] == str(supervisor) and PROGRAM in row[:-1]
    }


def is_alive(pid: int) -> bool:
    """One that has ended, and that nobody has asked about, is not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")
