// Validates docs/openrpc.json: against OpenRPC's own schema, and each example against the schemas of its method.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { parseOpenRPCDocument, validateOpenRPCDocument } = require("@open-rpc/schema-utils-js");
const Ajv = require("ajv");

const text = readFileSync(new URL("../../docs/openrpc.json", import.meta.url), "utf8");
const problems = [];

const valid = validateOpenRPCDocument(JSON.parse(text));
if (valid !== true) problems.push(valid.message);

// Parsing resolves the references and fails if one is invalid.
const document = await parseOpenRPCDocument(text);
const ajv = new Ajv({ allErrors: true, format: "full" });

const check = (where, schema, value) => {
  if (!ajv.validate(schema, value)) problems.push(`${where}: ${ajv.errorsText()}`);
};

let examples = 0;
for (const method of document.methods) {
  for (const { name, params, result } of method.examples ?? []) {
    examples++;
    const where = `${method.name}, ${name}`;
    for (const param of method.params) {
      const given = params.find((p) => p.name === param.name);
      if (given) check(`${where}, ${param.name}`, param.schema, given.value);
      else if (param.required) problems.push(`${where}: ${param.name} is missing`);
    }
    for (const { name } of params) {
      if (!method.params.some((p) => p.name === name)) problems.push(`${where}: ${name} is not a param`);
    }
    if (result) check(`${where}, result`, method.result.schema, result.value);
  }
}

const schemas = document.components.schemas;
for (const [name, { data }] of Object.entries(document.components.errors)) {
  check(`the data of ${name}`, schemas[`${name}Data`], data);
}

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`docs/openrpc.json is valid: ${document.methods.length} methods, ${examples} examples`);
