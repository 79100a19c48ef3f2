"""Runs client.py and run.py through the uses of Runnel, against a real server. It fails if they do not get what
docs/protocol.md promises.

    RUNNEL_URL=ws://127.0.0.1:8003/ws RUNNEL_TOKEN=… python3 scenarios.py
"""
import asyncio, hashlib, os, re, sys, time, traceback, uuid
import websockets
from client import Runnel, RunnelError

URL, TOKEN = os.environ["RUNNEL_URL"], os.environ["RUNNEL_TOKEN"]


class Sink:
    """Collects the output of a session; a test can wait for a part of it."""

    def __init__(self, seen=lambda: None):
        self.stdout = self.stderr = ""
        self._changed, self._seen = asyncio.Event(), seen

    def __call__(self, output):
        setattr(self, output["type"], getattr(self, output["type"]) + output["data"])
        self._changed.set()
        self._seen()

    async def until(self, pattern):
        while not re.search(pattern, self.stdout):
            self._changed.clear()
            await self._changed.wait()


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def alive(pid):
    """Reports whether the process exists and is not a zombie."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return not re.search(r"^State:\s+Z", status.read(), re.M)
    except (FileNotFoundError, ProcessLookupError):
        return False


def equal(got, expected, what="value"):
    assert got == expected, f"{what}: {got!r}, expected {expected!r}"


async def expect_end(session, **expected):
    record = await session.completed
    for field, value in expected.items():
        equal(record[field], value, field)


async def streams(runnel):
    sink = Sink()
    session = await runnel.execute("echo one; echo oops >&2; read line; echo got $line; exit 3", sink, stdin="pipe")
    await sink.until(r"one\n")  # it can't have ended: it waits for what is written only now
    await session.write("two\n")
    await expect_end(session, status="failed", exit_code=3, signal=None, reason="exited")
    equal((sink.stdout, sink.stderr), ("one\ngot two\n", "oops\n"))


async def takes_stdin(runnel):
    sink = Sink()
    session = await runnel.execute("sha256sum; echo done", sink, stdin="pipe")
    part = "fünf Bücher 📚\n" * 10_000
    for i in (1, 2, 3):
        equal((await session.write(part))["stdin_bytes"], i * len(part.encode()))
    equal((await session.write("end", eof=True))["stdin_bytes"], 3 * len(part.encode()) + 3)
    await expect_end(session, status="completed", exit_code=0)
    equal(sink.stdout, f"{sha256(part * 3 + 'end')}  -\ndone\n")


async def pauses(runnel):
    sink = Sink()
    session = await runnel.execute("while :; do echo tick; sleep 0.02; done", sink)
    await sink.until(r"(tick\n){3}")
    equal((await session.pause())["status"], "paused")
    await asyncio.sleep(0.15)  # what was in the pipe still comes
    before = sink.stdout
    await asyncio.sleep(0.4)
    equal(sink.stdout, before, "output of a paused session")
    equal((await session.resume())["status"], "resumed")
    await sink.until("^" + before + r"(tick\n){3}")
    await session.cancel()
    await expect_end(session, reason="canceled")


async def cancels(runnel):
    sink = Sink()
    session = await runnel.execute(
        "sleep 300 & echo $!; (sleep 300 & echo $!; wait) & echo $!; echo $$; wait", sink)
    await sink.until(r"(\d+\n){4}")  # each of the four has said its id
    result = await session.cancel()
    equal((result["status"], result["survivors"]), ("canceled", []))
    pids = re.findall(r"\d+", sink.stdout)
    equal((len(pids), [pid for pid in pids if alive(pid)]), (4, []), "processes that outlived the cancel")
    await expect_end(session, status="canceled", reason="canceled", survivors=[])


async def tells_errors(runnel):
    session_id = str(uuid.uuid4())
    try:
        await runnel.call("status", session_id=session_id)
    except RunnelError as error:
        equal((error.code, error.data), (-32002, {"kind": "session_not_found", "session_id": session_id}))
    else:
        raise AssertionError("no error")


async def outlives_connections(runnel):
    """Aborts the socket repeatedly in the middle of output, without a close frame."""
    cuts = iter([100_000, 100_001, 250_000])
    cut = next(cuts)

    def seen():
        nonlocal cut
        transport = runnel.ws.transport  # one that was aborted still gives what it had read
        if cut and len(sink.stdout) >= cut and not transport.is_closing():
            cut = next(cuts, None)
            transport.abort()

    sink = Sink(seen)
    session = await runnel.execute(
        'for i in $(seq 100 179); do seq -f "$i.%.0f Grüße 🙂" 300; sleep 0.01; done', sink, on_disconnect="keep")
    connections = 1
    while not session.completed.done():
        await asyncio.wait([runnel.closed, session.completed], return_when=asyncio.FIRST_COMPLETED)
        if not session.completed.done():
            runnel = await Runnel.connect(URL, TOKEN)
            connections += 1
            await session.attach(runnel)
    await runnel.close()
    await expect_end(session, status="completed", exit_code=0)

    expected = "".join(f"{i}.{j} Grüße 🙂\n" for i in range(100, 180) for j in range(1, 301))
    equal(sha256(sink.stdout), sha256(expected), "what was joined over the connections")
    equal(session.seq, len(expected.encode()) + 2, "the log's end: its bytes, the start and the end")
    equal(connections, 4, "connections")


async def is_refused_without_token(_):
    try:
        await Runnel.connect(URL, "wrong")
    except websockets.InvalidHandshake as error:
        assert "401" in str(error), error
    else:
        raise AssertionError("let in")


async def run(command, url=URL):
    """Runs run.py as a user does."""
    script = os.path.join(os.path.dirname(__file__), "run.py")
    run = await asyncio.create_subprocess_exec(
        sys.executable, script, command, env={**os.environ, "RUNNEL_URL": url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    stdout, stderr = await run.communicate()
    return stdout, stderr, run.returncode


async def runs(_):
    equal(await run("echo hello; echo oops >&2; exit 3"), (b"hello\n", b"oops\n", 3))


async def runs_what_is_killed(_):
    equal(await run("kill -9 $$"), (b"", b"", 1))


async def runs_on_a_server_that_goes_away(_):
    async def go_away(ws, *_):
        await ws.recv()
        await ws.close(1001)

    async with websockets.serve(go_away, "127.0.0.1", 0, subprotocols=["runnel.v1"]) as server:
        host, port = server.sockets[0].getsockname()
        result = await run("true", f"ws://{host}:{port}/ws")
    equal(result, (b"", b"the server closed the connection\n", 1))


async def main():
    failed = 0
    for scenario in (streams, takes_stdin, pauses, cancels, tells_errors, outlives_connections,
                     is_refused_without_token, runs, runs_what_is_killed, runs_on_a_server_that_goes_away):
        began = time.monotonic()
        try:
            runnel = await Runnel.connect(URL, TOKEN)
            await asyncio.wait_for(scenario(runnel), 20)
            await runnel.close()
            print(f"ok   python {scenario.__name__} ({(time.monotonic() - began) * 1000:.0f} ms)", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL python {scenario.__name__}", flush=True)
            traceback.print_exc()
    print(f"{failed} failed" if failed else "all passed")
    return failed > 0


sys.exit(asyncio.run(main()))
