// Runnel over vscode-jsonrpc and ws. Two small adapters take the place of the library's streams.
//
//   const { rpc, runnel, closed } = await connect(url, token);
//   const record = await rpc.sendRequest("execute", { command: "make test", wait: true }, cancellationToken);
import WebSocket from "ws";
import {
  AbstractMessageReader, AbstractMessageWriter, createMessageConnection,
  type DataCallback, type Message, type MessageConnection,
} from "vscode-jsonrpc/node";
import { Runnel } from "./session.js";

class Reader extends AbstractMessageReader {
  constructor(private readonly ws: WebSocket) {
    super();
  }
  listen(callback: DataCallback) {
    this.ws.on("message", (text) => callback(JSON.parse(text.toString())));
    this.ws.on("close", () => this.fireClose());
    return { dispose: () => this.ws.removeAllListeners("message") };
  }
}

class Writer extends AbstractMessageWriter {
  constructor(private readonly ws: WebSocket) {
    super();
  }
  write(message: Message) {
    return new Promise<void>((resolve, reject) =>
      this.ws.send(JSON.stringify(message), (error) => (error ? reject(error) : resolve())));
  }
  end() {
    this.ws.close();
  }
}

export interface Connection {
  runnel: Runnel;
  rpc: MessageConnection;
  /** Resolves when the connection is closed, by either side. */
  closed: Promise<void>;
}

export async function connect(url: string, token: string): Promise<Connection> {
  const ws = new WebSocket(url, ["runnel.v1"], { headers: { Authorization: `Bearer ${token}` } });
  const rpc = createMessageConnection(new Reader(ws), new Writer(ws));
  const runnel = new Runnel((method, params) => rpc.sendRequest(method, params));
  rpc.onNotification((method, params) => runnel.notified(method, params));
  rpc.listen(); // before the socket is open, so that no message is missed

  await new Promise((resolve, reject) => ws.once("open", resolve).once("error", reject));
  ws.on("error", () => {}); // a close event follows
  const closed = new Promise<void>((resolve) =>
    rpc.onClose(() => {
      rpc.dispose(); // drop its queue: those events are sent again on the next connection
      runnel.disconnected();
      resolve();
    }));
  return { runnel, rpc, closed };
}
