"""A Runnel client for websockets and asyncio, with sessions that continue after a lost connection.

    pip install websockets==10.4        (which is Debian's python3-websockets)

    runnel = await Runnel.connect(url, token)
    session = await runnel.execute("make test", lambda output: print(output["data"], end=""))
    record = await session.completed
"""
import asyncio, itertools, json, uuid
import websockets


class RunnelError(Exception):
    """An error that the server returned."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code, self.data = error["code"], error.get("data")


class Session:
    """One command on the server."""

    def __init__(self, runnel, on_output):
        # The client chooses the id, so it knows the id even if the reply to execute is lost.
        self.id = str(uuid.uuid4())
        self.completed = asyncio.get_running_loop().create_future()
        self.seq = 0  # the position in the log up to which on_output has been called
        self._runnel, self._on_output = runnel, on_output

    async def write(self, data, eof=False):
        return await self._call("write", data=data, eof=eof)

    async def pause(self):
        return await self._call("control", type="PAUSE")

    async def resume(self):
        return await self._call("control", type="RESUME")

    async def cancel(self):
        """Ends the session; returns when its whole process tree has ended."""
        return await self._call("cancel")

    async def attach(self, runnel):
        """Continues on another connection, after the last event received."""
        self._runnel = runnel
        runnel.sessions[self.id] = self
        return await self._call("attach", after_seq=self.seq)

    def notified(self, method, params):
        self.seq = params["seq"]
        if method == "process.output":
            self._on_output(params)
        elif method == "process.completed" and not self.completed.done():
            self.completed.set_result(params)

    def _call(self, method, **params):
        return self._runnel.call(method, session_id=self.id, **params)


class Runnel:
    """One connection to the server, and the sessions whose events it receives."""

    @classmethod
    async def connect(cls, url, token):
        return cls(await websockets.connect(url, subprotocols=["runnel.v1", "bearer." + token]))

    def __init__(self, ws):
        self.ws, self.sessions = ws, {}
        self._ids, self._waiting = itertools.count(1), {}
        self.closed = asyncio.create_task(self._read())

    async def call(self, method, **params):
        id = next(self._ids)
        self._waiting[id] = reply = asyncio.get_running_loop().create_future()
        try:
            await self.ws.send(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            return await reply
        finally:
            del self._waiting[id]

    async def execute(self, command, on_output, **params):
        """Starts a command. on_output is called with each process.output."""
        session = Session(self, on_output)
        self.sessions[session.id] = session
        try:
            await self.call("execute", command=command, session_id=session.id, **params)
        except BaseException:
            del self.sessions[session.id]
            raise
        return session

    async def close(self):
        await self.ws.close()
        await self.closed

    async def _read(self):
        try:
            async for text in self.ws:
                self._take(json.loads(text))
        except websockets.ConnectionClosedError:
            pass
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(ConnectionError("connection lost"))

    def _take(self, message):
        if "method" in message:
            method, params = message["method"], message["params"]
            session = self.sessions.get(params.get("session_id"))
            if method == "process.completed":
                self.sessions.pop(params["session_id"], None)
            if session:
                session.notified(method, params)
        elif reply := self._waiting.get(message["id"]):
            if reply.done():  # the caller was canceled
                return
            if "error" in message:
                reply.set_exception(RunnelError(message["error"]))
            else:
                reply.set_result(message["result"])
