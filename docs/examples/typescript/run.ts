// Runs a command on a Runnel server and prints its output as it arrives.
//
//   npm install ws@8 tsx@4
//   RUNNEL_URL=ws://127.0.0.1:8003/ws RUNNEL_TOKEN=… npx tsx run.ts 'make test'
import WebSocket from "ws";

const ws = new WebSocket(process.env.RUNNEL_URL ?? "ws://127.0.0.1:8003/ws", ["runnel.v1"], {
  headers: { Authorization: `Bearer ${process.env.RUNNEL_TOKEN}` },
});

ws.on("open", () =>
  ws.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "execute", params: { command: process.argv[2] } })));

ws.on("message", (text) => {
  const { method, params, error } = JSON.parse(text.toString());
  if (error) throw new Error(error.message);
  if (method === "process.output") process[params.type === "stderr" ? "stderr" : "stdout"].write(params.data);
  if (method === "process.completed") {
    process.exitCode = params.exit_code ?? 1; // null if a signal ended it
    ws.close();
  }
});

ws.on("close", () => {
  if (process.exitCode === undefined) throw new Error("the server closed the connection");
});
