// Calls a plugin over NATS with a JSON body, from a client that is not Go.
// Usage: node call.mjs URL SUBJECT JSON
import { connect } from "@nats-io/transport-node";

const [url, subject, body] = process.argv.slice(2);
const nc = await connect({ servers: url });
const reply = await nc.request(subject, body, { timeout: 10_000 });
console.log(JSON.stringify({
  code: reply.headers?.get("Nats-Service-Error-Code") ?? "",
  error: reply.headers?.get("Nats-Service-Error") ?? "",
  contentType: reply.headers?.get("Content-Type") ?? "",
  replica: reply.headers?.get("Pluginhost-Replica") ?? "",
  body: reply.string(),
}));
await nc.close();
