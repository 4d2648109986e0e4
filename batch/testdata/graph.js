// Sends a batch by the JavaScript client of Microsoft Graph and prints what it makes of the answers.
const { Client, BatchRequestContent, BatchResponseContent } = require("@microsoft/microsoft-graph-client");

(async () => {
  const base = process.argv[2];
  const client = Client.init({
    baseUrl: base + "/",
    defaultVersion: "v1.0",
    customHosts: new Set(["127.0.0.1"]),
    authProvider: (done) => done(null, "token"),
  });
  const at = (path, init) => new Request(base + "/v1.0" + path, init);
  const content = new BatchRequestContent([
    { id: "1", request: at("/me?$select=name&$top=1", { method: "GET" }) },
    { id: "2", request: at("/echo", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ a: "ä" }) }) },
    { id: "3", request: at("/missing", { method: "GET" }) },
    { id: "4", request: at("/photo", { method: "GET" }) },
  ]);
  const answers = new BatchResponseContent(await client.api("/$batch").post(await content.getContent()));
  const out = {};
  for (const id of ["1", "2", "3"]) {
    const r = answers.getResponseById(id);
    out[id] = [r.status, r.headers.get("Content-Type"), await r.text()];
  }
  const photo = answers.getResponseById("4");
  out["4"] = [photo.status, photo.headers.get("Content-Type"), Buffer.from(await photo.arrayBuffer()).toString("hex")];
  console.log(JSON.stringify(out));
})().catch((e) => { console.error(e); process.exit(1); });
