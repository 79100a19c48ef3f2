// Presents right and wrong credentials to a server with TLS, with ws. It fails if the server does not tell them apart
// before the WebSocket is open. .ci/clients makes the credentials.
//
//   RUNNEL_URL=wss://127.0.0.1:8003/ws RUNNEL_CREDENTIALS=DIR npx tsx credentials.ts
import { readFileSync, readdirSync } from "node:fs";
import WebSocket, { type ClientOptions } from "ws";

const url = process.env.RUNNEL_URL!;
const dir = process.env.RUNNEL_CREDENTIALS!;
const read = (name: string) => readFileSync(`${dir}/${name}`, "utf8");
const certificate = (name: string) => ({ cert: read(`${name}.pem`), key: read(`${name}.key`) });

/** Returns "connected", the HTTP status of the response, or the code of the error. */
async function outcome(token: string, options: ClientOptions = {}): Promise<string> {
  const headers = { ...(token && { Authorization: `Bearer ${token}` }), ...options.headers };
  const ws = new WebSocket(url, ["runnel.v1"], { ca: read("ca.pem"), ...options, headers });
  const closed = new Promise((resolve) => ws.on("close", resolve));
  const result = await new Promise<string>((resolve) => {
    ws.on("message", (text) => resolve(JSON.parse(text.toString()).method));
    ws.on("unexpected-response", (_, response) => resolve(String(response.statusCode)));
    ws.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  ws.terminate();
  await closed;
  return result;
}

let failed = 0;

async function expect(name: string, want: string | RegExp, token: string, options?: ClientOptions) {
  const got = await outcome(token, options);
  if (typeof want === "string" ? got === want : want.test(got)) return;
  console.log(`FAIL ws, ${name}: ${got}, not ${want}`);
  failed++;
}

const good = read("accepted/token");
for (const name of readdirSync(`${dir}/accepted`)) await expect(name, "connected", read(`accepted/${name}`));
for (const name of readdirSync(`${dir}/refused`)) await expect(name, "401", read(`refused/${name}`));
await expect("no token", "401", "");
await expect("another origin", "403", good, { origin: "https://evil.example" });
await expect("a rebound name", "403", good, { headers: { Host: "rebound.example" } });
await expect("a certificate", "connected", "", certificate("member"));
await expect("a certificate of another authority", /SSL|ECONNRESET/, good, certificate("stranger"));
await expect("a server of another authority", /SELF_SIGNED|UNABLE_TO_VERIFY/, good, { ca: read("others.pem") });
if (failed) process.exit(1);
console.log("all passed");
