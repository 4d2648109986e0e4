// Sends a batch by PnP's client of Microsoft Graph and prints what it makes of the answers.
import { pathToFileURL } from "node:url";
const [base, modules] = process.argv.slice(2);
const from = (name) => import(pathToFileURL(modules + "/" + name).href);
const { GraphQueryable } = await from("@pnp/graph/index.js");
const { createBatch } = await from("@pnp/graph/batching.js");
const { DefaultParse, BrowserFetch } = await from("@pnp/queryable/index.js");
const { DefaultHeaders, DefaultInit } = await from("@pnp/graph/index.js");

const root = GraphQueryable(base + "/v1.0");
root.using(DefaultHeaders(), DefaultInit(base + "/v1.0"), BrowserFetch(), DefaultParse());
root.on.auth(async (url, init) => [url, { ...init, headers: { ...init.headers, Authorization: "Bearer token" } }]); // of the envelope only
const [register, execute] = createBatch(root);
const out = {};
const ask = (path) => { const q = GraphQueryable(root, path); q.using(register); return q; };
const all = [ask("me")().then((v) => { out.me = v; }), ask("missing")().catch((e) => { out.missing = e.status; }), ask("users/7")().then((v) => { out.user = v; })];
await execute();
await Promise.all(all);
console.log(JSON.stringify(out));
