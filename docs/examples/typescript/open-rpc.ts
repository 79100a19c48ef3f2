// Runnel over @open-rpc/client-js.
import { randomUUID } from "node:crypto";
import { Client, RequestManager, WebSocketTransport } from "@open-rpc/client-js";
import WebSocket from "ws";
import { Runnel } from "./session.js";

// WebSocketTransport takes only a URL, which must not contain the token. This gives it a socket that sends the token.
class TokenTransport extends WebSocketTransport {
  constructor(uri: string, token: string) {
    super(uri);
    this.connection.on("error", () => {});
    this.connection.terminate();
    this.connection = new WebSocket(uri, ["runnel.v1"], { headers: { Authorization: `Bearer ${token}` } });
  }
  override connect() {
    return new Promise((resolve, reject) => {
      this.connection.on("error", reject);
      super.connect().then(resolve);
    });
  }
}

export interface Connection {
  runnel: Runnel;
  rpc: Client;
  /** Resolves when the connection is closed, by either side. */
  closed: Promise<void>;
}

export async function connect(url: string, token: string): Promise<Connection> {
  const transport = new TokenTransport(url, token);
  const manager = new RequestManager([transport], randomUUID);
  const rpc = new Client(manager);
  // No timeout: the default of 5 s is too short for a request that waits for a process.
  const runnel = new Runnel((method, params) => rpc.request({ method, params }, 0));
  rpc.onNotification(({ method, params }) => runnel.notified(method, params));
  const closed = new Promise<void>((resolve) =>
    transport.connection.on("close", () => {
      runnel.disconnected();
      resolve();
    }));

  await manager.connectPromise;
  return { runnel, rpc, closed };
}
