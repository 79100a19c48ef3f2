"""Runs a command on a Runnel server and prints its output as it arrives.

    pip install websockets==10.4        (which is Debian's python3-websockets)
    RUNNEL_URL=ws://127.0.0.1:8003/ws RUNNEL_TOKEN=… python3 run.py 'make test'
"""
import asyncio, json, os, sys
import websockets


async def main(command):
    url = os.environ.get("RUNNEL_URL", "ws://127.0.0.1:8003/ws")
    subprotocols = ["runnel.v1", "bearer." + os.environ.get("RUNNEL_TOKEN", "")]
    async with websockets.connect(url, subprotocols=subprotocols) as ws:
        await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "execute", "params": {"command": command}}))
        async for text in ws:
            message = json.loads(text)
            params = message.get("params", {})
            if "error" in message:
                sys.exit(message["error"]["message"])
            if message.get("method") == "process.output":
                print(params["data"], end="", flush=True, file=sys.stderr if params["type"] == "stderr" else sys.stdout)
            if message.get("method") == "process.completed":
                return 1 if params["exit_code"] is None else params["exit_code"]  # None if a signal ended it
    return "the server closed the connection"


sys.exit(asyncio.run(main(sys.argv[1])))
