// Makes the key set of an issuer, jwks.json, and JSON Web Tokens in the directories accepted and refused, in the
// directory that is its argument.
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";

process.chdir(process.argv[2]);
const now = Math.floor(Date.now() / 1000);
const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const others = generateKeyPairSync("ec", { namedCurve: "P-256" });
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const publicKey = { ...keys.publicKey.export({ format: "jwk" }), kid: "k", alg: "ES256", use: "sig" };
writeFileSync("jwks.json", JSON.stringify({ keys: [publicKey] }));

function write(file, { header = {}, claims = {}, signature = es256(keys.privateKey) }) {
  const all = { iss: "https://issuer.example", aud: "runnel", sub: "alice", exp: now + 3600, ...claims };
  const text = `${encode({ alg: "ES256", kid: "k", ...header })}.${encode(all)}`;
  writeFileSync(file, `${text}.${signature(text)}`, { mode: 0o600 });
}

function es256(key) {
  return (text) => sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
}

write("accepted/jwt", {});
write("refused/jwt-none", { header: { alg: "none" }, signature: () => "" });
write("refused/jwt-hmac", {
  header: { alg: "HS256" }, // of the public key, which everybody knows
  signature: (text) => createHmac("sha256", JSON.stringify(publicKey)).update(text).digest("base64url"),
});
write("refused/jwt-key", { signature: es256(others.privateKey) });
write("refused/jwt-audience", { claims: { aud: "other" } });
write("refused/jwt-issuer", { claims: { iss: "https://other.example" } });
write("refused/jwt-expired", { claims: { exp: now - 3600 } });
write("refused/jwt-early", { claims: { nbf: now + 3600 } });
write("refused/jwt-subject", { claims: { sub: "user" } });
