"""What the programs of this folder have in common: servers, nodes, and load on them."""

import contextlib
import http.client
import json
import os
import pathlib
import platform
import select
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples"
DIGIT = EXAMPLES / "digits" / "digit-seven.json"
MODEL = EXAMPLES / "digits" / "model" / "digits.onnx"
# What every server must say of it, spaces left out.
SEVEN = '"label":[7]'
TICKS = os.sysconf("SC_CLK_TCK")

# How long a server may take until it answers, and a command until it ends.
START_SECONDS = 120
COMMAND_SECONDS = 600


class Failed(Exception):
    """The run cannot give a result; the text says why."""


class Server:
    """A process, its children and what they cost."""

    def __init__(self, argv, log, **more):
        self.argv = [str(part) for part in argv]
        self.log = log
        self.started = time.monotonic()
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=more.pop("stdout", output),
                stderr=output,
                start_new_session=True,
                **more,
            )

    def tree(self):
        """The process and everything below it."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    parents[int(entry)] = int(stat(entry)[1])
        found = {self.process.pid}
        while True:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            if not more:
                return found
            found |= more

    def cpu_seconds(self):
        total = 0
        for pid in self.tree():
            with contextlib.suppress(OSError):
                fields = stat(pid)
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory(self):
        """MiB that are resident, and MiB of them when shared pages count in parts (PSS)."""
        resident = shared_out = 0
        for pid in self.tree():
            with contextlib.suppress(OSError):
                for line in open(f"/proc/{pid}/smaps_rollup"):
                    if line.startswith("Rss:"):
                        resident += int(line.split()[1])
                    elif line.startswith("Pss:"):
                        shared_out += int(line.split()[1])
        return resident / 1024, shared_out / 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                pass
        # What is left of the group, the peer's workers among them.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def ended(self):
        """Why it is no longer there."""
        with open(self.log, errors="replace") as log:
            tail = log.read()[-2000:]
        return f"`{' '.join(self.argv)}` ended with {self.process.returncode}:\n{tail}"


def stat(pid):
    """The fields of /proc/PID/stat after the name."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()


class Target:
    """Where to post what."""

    def __init__(self, name, server, url, key=None, body=DIGIT, expect=SEVEN):
        self.name = name
        self.server = server
        self.url = url
        self.key = key
        self.body = body
        self.expect = expect

    def post(self):
        """Status and body of one request; an OSError while nobody listens."""
        where = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        try:
            connection.request("POST", where.path, self.body.read_bytes(), headers)
            reply = connection.getresponse()
            return reply.status, reply.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def wait(self):
        """Milliseconds from the server's exec to its first 200."""
        last = "no answer"
        while time.monotonic() < self.server.started + START_SECONDS:
            if self.server.process.poll() is not None:
                raise Failed(self.server.ended())
            try:
                status, text = self.post()
                if status == 200 and self.expect in "".join(text.split()):
                    return (time.monotonic() - self.server.started) * 1e3
                last = f"{status} {text[:300]}"
            except (OSError, http.client.HTTPException) as error:
                last = repr(error)
            time.sleep(0.001)
        raise Failed(f"{self.name}: no 200 within {START_SECONDS} s, last: {last}")

    def load(self, connections, seconds, threads=1):
        """One run of wrk; any error ends the program."""
        seen = self.strain(connections, seconds, threads)
        if seen["errors"] or not seen["requests"]:
            raise Failed(f"{self.name} at {connections} connection(s): {seen}")
        return {
            "rate": seen["requests"] / seen["microseconds"] * 1e6,
            "p50": seen["p50"],
            "p99": seen["p99"],
            "cpu": seen["cpu"] / seen["requests"] * 1e6,
        }

    def strain(self, connections, seconds, threads=1):
        """One run of wrk, errors and all."""
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
        command += ["-s", str(HERE / "post.lua"), self.url]
        env = dict(os.environ, LOAD_BODY=str(self.body), LOAD_KEY=self.key or "")
        before = self.server.cpu_seconds()
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=seconds + 60
        )
        cpu = self.server.cpu_seconds() - before
        lines = [line for line in done.stdout.splitlines() if line.startswith("LOAD ")]
        if done.returncode or not lines:
            raise Failed(f"wrk at {self.name}: {done.stdout}{done.stderr}")
        return {**json.loads(lines[0][5:]), "cpu": cpu}

    def at_rate(self, rate, seconds, log):
        """Requests at a fixed rate, whatever the answers take: the rate that was reached,
        and the microseconds of each. With a lower rate than asked for they say too little.

        A hundred requests a second come from each connection, so that one is free when
        its next is due; connections are made a millisecond apart, so that not all are
        due at the same time."""
        clients = rate // 100
        command = ["h2load", "--h1", "-c", clients, "-r", 1, "--rate-period=1ms", "--rps", 100]
        command += ["-n", rate * seconds, "-d", self.body, "--log-file", log]
        command += ["-H", "Content-Type: application/json"]
        if self.key:
            command += ["-H", f"Authorization: Bearer {self.key}"]
        done = subprocess.run(
            [*map(str, command), self.url], capture_output=True, text=True, timeout=seconds + 60
        )
        rows = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
        log.unlink()
        answered = [micros for _, status, micros in rows if status == 200]
        if done.returncode or len(answered) != rate * seconds:
            raise Failed(f"{self.name} at {rate}/s: {len(answered)} answers\n{done.stdout}")
        begun = [start for start, _, _ in rows]
        reached = len(rows) / (max(begun) - min(begun)) * 1e6
        return reached, sorted(answered)


class Node:
    """A lusk node on a data folder, and the commands that reach it."""

    # What a first start compiles, for all that follow: it must not be measured.
    aot = None

    def __init__(self, lusk, data, log, flags=()):
        if Node.aot and not data.exists():
            shutil.copytree(Node.aot, data / "aot")
        command = [lusk, "up", "-o", "json", "--data", data]
        command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *flags]
        self.lusk, self.data = lusk, data
        self.server = Server(command, log, stdout=subprocess.PIPE)
        try:
            ready = json.loads(self.ready_line())
            self.scoring, self.admin = ready["scoring"], ready["admin"]
        except BaseException:
            self.server.stop()
            raise

    def ready_line(self):
        output = self.server.process.stdout
        if not select.select([output], [], [], START_SECONDS)[0]:
            raise Failed(f"lusk was not ready within {START_SECONDS} s, see {self.server.log}")
        line = output.readline()
        if not line:
            self.server.process.wait(timeout=10)
            raise Failed(self.server.ended())
        return line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def run(self, *arguments, folder=EXAMPLES):
        command = [self.lusk, *map(str, arguments), "--data", self.data]
        done = subprocess.run(
            list(map(str, command)),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            raise Failed(f"`{' '.join(map(str, command))}`: {done.stdout}{done.stderr}")
        return done.stdout

    def deploy(self, name, folder, *arguments):
        config = ["--dc", "deploymentconfig.json"]
        if (folder / "inferenceconfig.json").exists():
            config += ["--ic", "inferenceconfig.json"]
        self.run("model", "deploy", "-n", name, *config, *arguments, folder=folder)

    def target(self, row, name, **more):
        key = json.loads(self.run("service", "get-keys", "-n", name, "-o", "json"))["primaryKey"]
        url = f"{self.scoring}/api/v1/service/{name}/score"
        return Target(row, self.server, url, key=key, **more)


def compile_once(lusk, folder):
    """Lets a first node compile what lusk carries; later ones find it."""
    log = folder / "compile.log"
    with Node(lusk, folder / "compile", log):
        until = time.monotonic() + START_SECONDS
        while "Python runner compiled" not in log.read_text(errors="replace"):
            if time.monotonic() > until:
                raise Failed(f"the Python runner was not compiled within {START_SECONDS} s")
            time.sleep(0.1)
    Node.aot = folder / "compile" / "aot"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def machine():
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{model}, {cores} core(s), {memory:.0f} GiB, Linux {platform.release()}"


def need(*programs):
    """Says what is not installed."""
    packages = {"h2load": "nghttp2-client", "nginx": "nginx-light"}
    for program in programs:
        if not shutil.which(program) and not os.path.exists(f"/usr/sbin/{program}"):
            package = packages.get(program, program)
            raise Failed(f"{program} is not installed (apt-get install {package})")


def binary(program):
    """Where it lies; /usr/sbin is not on everybody's path."""
    return shutil.which(program) or f"/usr/sbin/{program}"
