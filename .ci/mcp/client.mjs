// Drives every tool by the official TypeScript SDK, which checks results against the schemas of the tools: of
// `runnel mcp`, or of a server at a URL. usage: client.mjs RUNNEL DIR [ARGUMENT…], or client.mjs URL TOKEN
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

// transport returns the connection that the arguments of the program name.
function transport(program, second, ...args) {
  if (program.startsWith("http:")) {
    return new StreamableHTTPClientTransport(new URL(program), { requestInit: { headers: { Authorization: `Bearer ${second}` } } });
  }
  const env = { ...process.env, XDG_RUNTIME_DIR: second };
  return new StdioClientTransport({ command: program, args: ["mcp", ...args], cwd: second, env });
}

const client = new Client({ name: "runnel-ci", version: "1" });
await client.connect(transport(...process.argv.slice(2)));

async function call(name, args, options) {
  const result = await client.callTool({ name, arguments: args }, undefined, options);
  assert(!result.isError, `${name}: ${result.content[0].text}`);
  assert.equal(result.content[0].type, "text");
  return result.structuredContent;
}

// until reads the output of a session, of which it has a result, until it contains a text.
async function until(result, text) {
  let output = result.text;
  for (let n = 0; !output.includes(text); n++) {
    assert(n < 100 && result.state !== "ended", `${JSON.stringify(output)} has no ${text}`);
    result = await call("read_output", { session_id: result.session_id, after_seq: result.last_seq, wait: 5 });
    output += result.text;
  }
}

const { tools } = await client.listTools();
assert.deepEqual(tools.map((tool) => tool.name).sort(), [
  "list_sessions", "read_output", "run_command", "send_signal", "stop_session", "write_stdin",
]);

const done = await call("run_command", { command: "echo hello; exit 3" });
assert.equal(done.text, "hello\n");
assert.equal(done.exit_code, 3);
assert.equal(done.status, "failed");

const cat = await call("run_command", { command: "exec cat", wait: 0 });
assert.equal(cat.state, "running");
await call("write_stdin", { session_id: cat.session_id, data: "typed\n" });
await until(cat, "typed\n");
await call("write_stdin", { session_id: cat.session_id, data: "", eof: true });
const { exit_code } = await call("read_output", { session_id: cat.session_id, after_seq: 1000, wait: 60 });
assert.equal(exit_code, 0);

const sleeper = await call("run_command", { command: "trap 'echo caught' HUP; echo ready; while :; do sleep 0.1; done", wait: 0 });
await until(sleeper, "ready\n");
await call("send_signal", { session_id: sleeper.session_id, signal: "SIGHUP" });
await until(sleeper, "caught\n");
const { sessions } = await call("list_sessions", {});
assert(sessions.length >= 3);
assert.equal(sessions[0].session_id, sleeper.session_id);
assert.equal((await call("stop_session", { session_id: sleeper.session_id })).reason, "canceled");

const wrong = await client.callTool({ name: "run_command", arguments: { command: "true", shell: "bash" } });
assert(wrong.isError && wrong.content[0].text.includes("shell is an unknown field"), JSON.stringify(wrong));

const lines = [];
const running = call("run_command", { command: "echo begun; sleep 3; echo end", wait: 60 }, {
  onprogress: ({ message }) => lines.push(message),
  resetTimeoutOnProgress: true,
});
assert.equal((await running).text, "begun\nend\n");
assert(lines.includes("begun"), `progress: ${lines}`);

const abort = new AbortController();
const canceled = call("run_command", { command: "sleep 1000", wait: 600 }, { signal: abort.signal });
setTimeout(() => abort.abort(), 500);
await assert.rejects(canceled);

await client.close();
console.log("all passed");
