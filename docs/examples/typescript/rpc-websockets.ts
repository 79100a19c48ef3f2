// Runnel over rpc-websockets, which reconnects by itself. Every running session continues where it was.
import { CommonClient, WebSocket } from "rpc-websockets";
import { Runnel } from "./session.js";

const events = ["started", "output", "gap", "paused", "resumed", "canceled", "completed"].map((e) => `process.${e}`);

export interface Connection {
  runnel: Runnel;
  rpc: CommonClient;
}

/**
 * Opens a WebSocket that reports a message as sent at once. The library expects the reply only from then on: without
 * this it would ignore a reply that arrives before, as happens over TLS.
 */
function open(url: string, token: string) {
  const ws = WebSocket(url, { headers: { Authorization: `Bearer ${token}` } });
  const send = ws.send.bind(ws) as (data: string, options: object, sent: (error?: Error) => void) => void;
  ws.send = (data: any, options: any, sent?: (error?: Error) => void) => {
    sent?.();
    send(data, options, (error) => error && sent?.(error));
  };
  return ws as any; // whose types differ from those that the library expects
}

export async function connect(url: string, token: string): Promise<Connection> {
  const rpc = new CommonClient((address) => open(address, token), url, {
    reconnect: false, // if the first connection fails, the caller decides whether to retry
    reconnect_interval: 200,
    max_reconnects: 0, // unlimited
  });
  const runnel = new Runnel((method, params) => rpc.call(method, params));
  for (const event of events) rpc.on(event, (params) => runnel.notified(event, params));

  await new Promise<void>((resolve, reject) => {
    rpc.once("open", resolve);
    rpc.on("error", ({ error }) => reject(error)); // after the first connection, a close and another attempt follow an error
  });
  rpc.setAutoReconnect(true);
  rpc.on("close", () => runnel.disconnected());
  rpc.on("open", () => {
    // A session that no longer exists rejects its own `completed`.
    for (const session of runnel.sessions.values()) session.attach(runnel).catch(() => {});
  });
  await rpc.subscribe(events); // the library requires this; Runnel sends the events anyway
  return { runnel, rpc };
}
