// Runnel over rpc-websockets, which connects again by itself: every session that runs goes on where it was.
import { Client } from "rpc-websockets";
import { Runnel } from "./session.js";

const events = ["started", "output", "gap", "paused", "resumed", "canceled", "completed"].map((e) => `process.${e}`);

export interface Connection {
  runnel: Runnel;
  rpc: Client;
}

export async function connect(url: string, token: string): Promise<Connection> {
  const rpc = new Client(url, {
    headers: { Authorization: `Bearer ${token}` },
    reconnect: false, // a first connection that fails is the caller's to try again
    reconnect_interval: 200,
    max_reconnects: 0, // no bound
  });
  const runnel = new Runnel((method, params) => rpc.call(method, params));
  for (const event of events) rpc.on(event, (params) => runnel.notified(event, params));

  await new Promise<void>((resolve, reject) => {
    rpc.once("open", resolve);
    rpc.on("error", ({ error }) => reject(error)); // later: a close and another attempt follow
  });
  rpc.setAutoReconnect(true);
  rpc.on("close", () => runnel.disconnected());
  rpc.on("open", () => {
    // One that is not there any more rejects its own `completed`.
    for (const session of runnel.sessions.values()) session.attach(runnel).catch(() => {});
  });
  await rpc.subscribe(events); // Runnel sends them without, and takes the call
  return { runnel, rpc };
}
