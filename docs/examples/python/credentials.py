"""Presents right and wrong credentials to a server with TLS, with websockets. It fails if the server does not tell them
apart before the WebSocket is open. .ci/clients makes the credentials.

    RUNNEL_URL=wss://127.0.0.1:8003/ws RUNNEL_CREDENTIALS=DIR python3 credentials.py
"""
import asyncio, json, os, pathlib, ssl, sys
import websockets

URL, DIR = os.environ["RUNNEL_URL"], pathlib.Path(os.environ["RUNNEL_CREDENTIALS"])
failed = False


async def outcome(token, ca, certificate, headers, **options):
    """Returns "connected", the HTTP status of the response, or the name of the exception."""
    context = ssl.create_default_context(cafile=DIR / f"{ca}.pem")
    if certificate:
        context.load_cert_chain(DIR / f"{certificate}.pem", DIR / f"{certificate}.key")
    if token:
        headers = {**headers, "Authorization": f"Bearer {token}"}
    options = {"uri": URL, "ssl": context, "subprotocols": ["runnel.v1"], "extra_headers": headers, **options}
    try:
        async with websockets.connect(**options) as ws:
            return json.loads(await ws.recv())["method"]
    except websockets.InvalidStatusCode as refused:
        return str(refused.status_code)
    except (OSError, websockets.WebSocketException) as error:
        return type(error).__name__


async def expect(name, want, token, ca="ca", certificate=None, headers={}, **options):
    global failed
    got = await outcome(token, ca, certificate, headers, **options)
    if got not in want:
        print(f"FAIL websockets, {name}: {got}, not {want}")
        failed = True


async def main():
    good = (DIR / "accepted/token").read_text()
    for file in (DIR / "accepted").iterdir():
        await expect(file.name, ["connected"], file.read_text())
    for file in (DIR / "refused").iterdir():
        await expect(file.name, ["401"], file.read_text())
    await expect("no token", ["401"], "")
    await expect("another origin", ["403"], good, headers={"Origin": "https://evil.example"})
    rebound = {"uri": URL.replace("127.0.0.1", "rebound.example"), "host": "127.0.0.1", "server_hostname": "127.0.0.1"}
    await expect("a rebound name", ["403"], good, **rebound)
    await expect("a certificate", ["connected"], "", certificate="member")
    await expect("a certificate of another authority", ["SSLError", "ConnectionResetError", "InvalidMessage"], good, certificate="stranger")
    await expect("a server of another authority", ["SSLCertVerificationError"], good, ca="others")


asyncio.run(main())
if failed:
    sys.exit(1)
print("all passed")
