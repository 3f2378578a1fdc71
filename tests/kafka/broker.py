"""The broker that tests and benchmarks run against: given by ``KAFKA_BOOTSTRAP``, or obtained and started here."""

from __future__ import annotations

import fcntl
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
JARS = HERE.parent.parent / ".cache" / "kafka-libs"
CLUSTER_ID = "adwatchTestBrokerAAAAA"
START_S = 60.0

PROPERTIES = """
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={folder}/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.retention.ms=-1
"""


class BrokerMissing(RuntimeError):
    """No broker can be had; the message names the missing tool."""


@contextmanager
def running_broker() -> Iterator[str]:
    """The bootstrap address of a broker that lives as long as the context. Raises :class:`BrokerMissing`."""
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        yield given
        return
    _check_java()
    jars = _jars()
    folder = Path(tempfile.mkdtemp(prefix="adwatch-kafka-"))
    process = None
    try:
        port, controller = _free_port(), _free_port()
        process = _start(jars, folder, port, controller)
        yield f"127.0.0.1:{port}"
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _check_java() -> None:
    if shutil.which("java") is None:
        raise BrokerMissing("java (17 or later) is not installed")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < 17:
        raise BrokerMissing(f"java 17 or later is needed, this is {said.splitlines()[0] if said else 'unknown'}")


def _jars() -> Path:
    """The folder of jars for the version in ``pom.xml``, fetched by Maven on first use."""
    pom = HERE / "pom.xml"
    JARS.mkdir(parents=True, exist_ok=True)
    with open(JARS / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = JARS / ".pom"
        if stamp.exists() and stamp.read_text() == pom.read_text():
            return JARS
        if shutil.which("mvn") is None:
            raise BrokerMissing("mvn (Maven) is not installed, and neither is a broker named in KAFKA_BOOTSTRAP")
        for old in JARS.glob("*.jar"):
            old.unlink()
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run([*command, f"-DoutputDirectory={JARS}"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BrokerMissing("Maven could not fetch the broker's jars: " + done.stdout.strip()[-500:])
        stamp.write_text(pom.read_text())
    return JARS


def _free_port() -> int:
    """A port below the range that outgoing connections use, so that polling it never meets itself."""
    for _ in range(200):
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BrokerMissing("no free port between 20000 and 32000")


def _start(jars: Path, folder: Path, port: int, controller: int) -> subprocess.Popen[bytes]:
    settings = folder / "server.properties"
    settings.write_text(PROPERTIES.format(port=port, controller=controller, folder=folder))
    java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    format_it = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)]
    done = subprocess.run(format_it, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BrokerMissing("the broker's storage could not be formatted: " + (done.stderr or done.stdout)[-500:])
    with open(folder / "broker.log", "wb") as log:
        process = subprocess.Popen([*java, "kafka.Kafka", str(settings)], stdout=log, stderr=log)
    deadline = time.monotonic() + START_S
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            _stop(process)
            raise BrokerMissing("the broker did not start: " + (folder / "broker.log").read_text()[-500:])
        time.sleep(0.05)
    return process


def _answers(port: int) -> bool:
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2):
            pass
        client = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}", request_timeout_ms=2_000)
    except (OSError, KafkaError):
        return False
    try:
        client.list_topics()
    except KafkaError:
        return False
    finally:
        client.close()
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
