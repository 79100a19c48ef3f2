// Runs each client through the uses of Runnel, against a real server. It fails if a client does not get what
// docs/protocol.md promises.
//
//   RUNNEL_URL=ws://127.0.0.1:8003/ws RUNNEL_TOKEN=… npx tsx scenarios.ts
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as dial, createServer, type AddressInfo, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { CancellationTokenSource, ParameterStructures, RequestType } from "vscode-jsonrpc/node";
import WebSocket, { WebSocketServer } from "ws";
import * as openRPC from "./open-rpc.js";
import * as rpcWebsockets from "./rpc-websockets.js";
import type { Completion, ExecuteParams, Output, Runnel, Session } from "./session.js";
import * as vscode from "./vscode-jsonrpc.js";

const url = process.env.RUNNEL_URL!;
const token = process.env.RUNNEL_TOKEN!;
assert(url && token, "RUNNEL_URL and RUNNEL_TOKEN say where the server is");

/** A TCP relay in front of the server, which can break its connections in the middle of a frame. */
class Relay {
  #server = createServer((client) => this.#relay(client));
  #left = Infinity;
  #cut = () => {};
  #sockets = new Set<Socket>();

  static async open() {
    const relay = new Relay();
    await once(relay.#server.listen(0, "127.0.0.1"), "listening");
    return relay;
  }
  get url() {
    return `${new URL(url).protocol}//127.0.0.1:${(this.#server.address() as AddressInfo).port}/ws`;
  }
  /** Resets both sides of the connection after this many more bytes from the server. */
  cutAfter(bytes: number) {
    this.#left = bytes;
    return new Promise<void>((resolve) => (this.#cut = resolve));
  }
  close() {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #relay(client: Socket) {
    const { hostname, port } = new URL(url);
    const server = dial(Number(port), hostname);
    for (const [from, to] of [[client, server], [server, client]] as const) {
      this.#sockets.add(from);
      from.on("error", () => {}).on("close", () => {
        this.#sockets.delete(from);
        to.end();
      });
    }
    client.on("data", (data) => server.write(data));
    server.on("data", (data) => {
      const cut = data.length > this.#left;
      client.write(cut ? data.subarray(0, this.#left) : data);
      this.#left -= data.length;
      if (!cut) return;
      this.#left = Infinity;
      client.resetAndDestroy();
      server.resetAndDestroy();
      this.#cut();
    });
  }
}

/** The messages that the clients have sent. */
const sent: any[] = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (this: WebSocket, data: any, ...rest: any[]) {
  sent.push(JSON.parse(data));
  return (send as any).call(this, data, ...rest);
};

/** Collects the output of a session; a test can wait for a part of it. */
class Sink {
  stdout = "";
  stderr = "";
  #check = () => {};

  readonly take = (output: Output) => {
    if (output.type === "stdout") this.stdout += output.data;
    if (output.type === "stderr") this.stderr += output.data;
    this.#check();
  };
  until(what: RegExp) {
    return new Promise<void>((resolve) => {
      this.#check = () => what.test(this.stdout) && resolve();
      this.#check();
    });
  }
}

const sha256 = (data: string) => createHash("sha256").update(data).digest("hex");

/** Reports whether the process exists and is not a zombie. */
function alive(pid: number) {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function start(runnel: Runnel, params: ExecuteParams): Promise<[Session, Sink]> {
  const sink = new Sink();
  return [await runnel.execute(params, sink.take), sink];
}

async function expectEnd(session: Session, expected: Partial<Completion>) {
  const record = await session.completed;
  for (const [field, value] of Object.entries(expected)) {
    assert.deepEqual(record[field as keyof Completion], value, `${field} of the completion record`);
  }
}

async function expectTreeGone(sink: Sink) {
  const pids = sink.stdout.match(/\d+/g)!.map(Number);
  assert.equal(pids.length, 4);
  assert.deepEqual(pids.filter(alive), [], "processes that outlived the cancel");
}

// Four processes. When `treeIsUp` has been seen, each has printed its id.
const tree = "sleep 300 & echo $!; (sleep 300 & echo $!; wait) & echo $!; echo $$; wait";
const treeIsUp = /(\d+\n){4}/;

// Scenarios of every client.

async function streams(runnel: Runnel) {
  const [session, sink] = await start(runnel, {
    command: "echo one; echo oops >&2; read line; echo got $line; exit 3",
    stdin: "pipe",
  });
  await sink.until(/one\n/); // the command is still running: it waits for the following write
  await session.write("two\n");
  await expectEnd(session, { status: "failed", exit_code: 3, signal: null, reason: "exited" });
  assert.equal(sink.stdout, "one\ngot two\n");
  assert.equal(sink.stderr, "oops\n");
}

async function takesStdin(runnel: Runnel) {
  const [session, sink] = await start(runnel, { command: "sha256sum; echo done", stdin: "pipe" });
  const part = "fünf Bücher 📚\n".repeat(10_000);
  const bytes = Buffer.byteLength(part);
  for (let i = 1; i <= 3; i++) assert.equal((await session.write(part)).stdin_bytes, i * bytes);
  assert.equal((await session.write("end", true)).stdin_bytes, 3 * bytes + 3);
  await expectEnd(session, { status: "completed", exit_code: 0 });
  assert.equal(sink.stdout, `${sha256(part.repeat(3) + "end")}  -\ndone\n`);
}

async function pauses(runnel: Runnel) {
  const [session, sink] = await start(runnel, { command: "while :; do echo tick; sleep 0.02; done" });
  await sink.until(/(tick\n){3}/);
  assert.equal((await session.pause()).status, "paused");
  await sleep(150); // until the output that was in the pipe has arrived
  const before = sink.stdout;
  await sleep(400);
  assert.equal(sink.stdout, before, "output of a paused session");
  assert.equal((await session.resume()).status, "resumed");
  await sink.until(new RegExp(`^${before}(tick\n){3}`));
  await session.cancel();
  await expectEnd(session, { reason: "canceled" });
}

async function cancels(runnel: Runnel) {
  const [session, sink] = await start(runnel, { command: tree });
  await sink.until(treeIsUp);
  const { status, survivors } = await session.cancel();
  assert.equal(status, "canceled");
  assert.deepEqual(survivors, []);
  await expectTreeGone(sink);
  await expectEnd(session, { status: "canceled", reason: "canceled", survivors: [] });
}

async function tellsErrors(runnel: Runnel) {
  const session_id = randomUUID();
  await assert.rejects(runnel.call("status", { session_id }), (error: any) => {
    assert.equal(error.code, -32002);
    assert.deepEqual(error.data, { kind: "session_not_found", session_id });
    return true;
  });
}

/** Breaks the connection repeatedly, within output and within a handshake. `follow` makes new connections. */
async function outlivesConnections(runnel: Runnel, relay: Relay, follow: (session: Session) => Promise<void>) {
  const cuts = [100_000, 1, 150_000, 70_001];
  let cut = relay.cutAfter(cuts[0]!);
  const [session, sink] = await start(runnel, {
    command: "for i in $(seq 100 179); do seq -f \"$i.%.0f Grüße 🙂\" 300; sleep 0.01; done",
    on_disconnect: "keep",
  });
  let ended = false;
  session.completed.then(() => (ended = true));
  const followed = follow(session);
  for (let i = 1; i <= cuts.length; i++) {
    await cut;
    assert(!ended, "the connection was cut while output came");
    if (i < cuts.length) cut = relay.cutAfter(cuts[i]!);
  }
  await expectEnd(session, { status: "completed", exit_code: 0 });
  await followed;

  let expected = "";
  for (let i = 100; i < 180; i++) for (let j = 1; j <= 300; j++) expected += `${i}.${j} Grüße 🙂\n`;
  assert.equal(sha256(sink.stdout), sha256(expected), "what was joined over the connections");
  assert.equal(session.seq, Buffer.byteLength(expected) + 2, "the log's end: its bytes, the start and the end");
}

const common = { streams, takesStdin, pauses, cancels, tellsErrors };

// Scenarios of one client each.

type Scenarios = Record<string, () => Promise<void>>;
type Connect<C> = (url: string, token: string) => Promise<C>;

const vscodeJsonrpc: Scenarios = {
  ...over(vscode.connect, ({ rpc }) => rpc.end()),

  outlivesConnections: () => reattaches(vscode.connect),

  async sendsPositionalParamsFromIdZero() {
    const { rpc } = await vscode.connect(url, token);
    const echo = { command: ["echo", "hello"], wait: true };
    sent.length = 0;
    const byPosition = new RequestType<object, any, void>("execute", ParameterStructures.byPosition);
    assert.equal((await rpc.sendRequest(byPosition, echo)).stdout, "hello\n");
    const auto = new RequestType<object, any, void>("execute", ParameterStructures.auto);
    assert.equal((await rpc.sendRequest(auto, echo)).stdout, "hello\n");
    assert.deepEqual(sent.map(({ id, params }) => [id, params]), [[0, [echo]], [1, echo]]);
    rpc.end();
  },

  async cancelsByToken() {
    const { rpc, runnel } = await vscode.connect(url, token);
    sent.length = 0;

    // A waiting execute with id 0: its tree is ended, and the reply is the completion record.
    const execution = new CancellationTokenSource();
    const session_id = randomUUID();
    const record = rpc.sendRequest<Completion & { stdout: string }>(
      "execute", { command: tree, wait: true, session_id }, execution.token);
    for (let log = ""; !treeIsUp.test(log); ) {
      const read = await rpc.sendRequest<{ events: any[] }>("read", { session_id, timeout: 1 }).catch(() => null);
      log = read?.events.map(({ params }) => params.data ?? "").join("") ?? ""; // null until the session exists
    }
    execution.cancel();
    const { status, reason, stdout } = await record;
    assert.deepEqual({ status, reason }, { status: "canceled", reason: "canceled" });
    await expectTreeGone(Object.assign(new Sink(), { stdout }));
    const cancellations = sent.filter(({ method }) => method === "$/cancelRequest");
    assert.deepEqual(cancellations.map(({ params }) => params), [{ id: 0 }]);

    // Any other waiting request ends with -32800, and the session continues.
    const [session] = await start(runnel, { command: "cat", stdin: "pipe" });
    const waiting = new CancellationTokenSource();
    const waited = rpc.sendRequest("wait", { session_id: session.id }, waiting.token);
    waiting.cancel();
    await assert.rejects(waited, { code: -32800 });
    await session.write("", true);
    await expectEnd(session, { status: "completed", exit_code: 0 });
    rpc.end();
  },
};

const rpcWebSockets: Scenarios = {
  ...over(rpcWebsockets.connect, ({ rpc }) => rpc.close()),

  outlivesConnections: () =>
    relayed(async (relay) => {
      const { rpc, runnel } = await rpcWebsockets.connect(relay.url, token);
      await outlivesConnections(runnel, relay, async () => {}); // it reconnects by itself
      rpc.close();
    }),

  async subscribes() {
    sent.length = 0;
    const { rpc } = await rpcWebsockets.connect(url, token);
    assert.equal(sent[0].method, "rpc.on");
    assert(sent[0].params.includes("process.output"));
    await rpc.unsubscribe("process.output");
    assert.equal(sent[1].method, "rpc.off");
    rpc.close();
  },
};

const openRPCClient: Scenarios = {
  ...over(openRPC.connect, ({ rpc }) => rpc.close()),

  outlivesConnections: () => reattaches(openRPC.connect),

  async sendsStringIds() {
    sent.length = 0;
    const { rpc, runnel } = await openRPC.connect(url, token);
    await Promise.all([runnel.call("list", {}), runnel.call("list", {}), rpc.notify({ method: "pong" })]);
    const ids = sent.map(({ id }) => id).filter((id) => id !== undefined);
    assert(ids.length === 2 && ids.every((id) => typeof id === "string") && ids[0] !== ids[1], `ids ${ids}`);
    assert.equal(sent.length, 3);
    rpc.close();
  },
};

async function run(command: string, env: NodeJS.ProcessEnv = {}) {
  const script = fileURLToPath(new URL("run.ts", import.meta.url));
  const run = spawn(process.execPath, [...process.execArgv, script, command], { env: { ...process.env, ...env } });
  const [stdout, stderr, [code]] = await Promise.all([text(run.stdout), text(run.stderr), once(run, "exit")]);
  return { stdout, stderr, code };
}

const plain: Scenarios = {
  async runs() {
    const expected = { stdout: "hello\n", stderr: "oops\n", code: 3 };
    assert.deepEqual(await run("echo hello; echo oops >&2; exit 3"), expected);
  },
  async runsWhatIsKilled() {
    assert.deepEqual(await run("kill -9 $$"), { stdout: "", stderr: "", code: 1 });
  },
  async runsOnAServerThatGoesAway() {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    server.on("connection", (ws) => ws.once("message", () => ws.close(1001)));
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { stderr, code } = await run("true", { RUNNEL_URL: `ws://127.0.0.1:${port}/ws` });
    server.close();
    assert.match(stderr, /the server closed the connection/);
    assert.equal(code, 1);
  },
};

function over<C extends { runnel: Runnel }>(connect: Connect<C>, close: (connection: C) => void) {
  const scenarios: Scenarios = {};
  for (const [name, scenario] of Object.entries(common)) {
    scenarios[name] = async () => {
      const connection = await connect(url, token);
      await scenario(connection.runnel);
      close(connection);
    };
  }
  scenarios.isRefusedWithoutToken = () => assert.rejects(connect(url, "wrong"), /401/);
  return scenarios;
}

async function relayed(scenario: (relay: Relay) => Promise<void>) {
  const relay = await Relay.open();
  await scenario(relay).finally(() => relay.close());
}

/** For the clients that do not reconnect by themselves. */
function reattaches<C extends { runnel: Runnel; closed: Promise<void> }>(connect: Connect<C>) {
  return relayed(async (relay) => {
    let connection = await connect(relay.url, token);
    await outlivesConnections(connection.runnel, relay, async (session) => {
      let ended = false;
      session.completed.then(() => (ended = true));
      for (;;) {
        await Promise.race([connection.closed, session.completed]);
        if (ended) return;
        try {
          connection = await connect(relay.url, token);
          await session.attach(connection.runnel);
        } catch {
          await sleep(50); // it was broken again before it was established
        }
      }
    });
  });
}

const clients = {
  "vscode-jsonrpc": vscodeJsonrpc,
  "rpc-websockets": rpcWebSockets,
  "@open-rpc/client-js": openRPCClient,
  "run.ts": plain,
};

let failed = 0;
for (const [client, scenarios] of Object.entries(clients)) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    const began = Date.now();
    try {
      await Promise.race([scenario(), sleep(20_000, null, { ref: false }).then(() => assert.fail("not done in 20 s"))]);
      console.log(`ok   ${client} ${name} (${Date.now() - began} ms)`);
    } catch (error) {
      failed++;
      console.log(`FAIL ${client} ${name}`, error);
    }
  }
}
console.log(failed ? `${failed} failed` : "all passed");
process.exit(failed ? 1 : 0);
