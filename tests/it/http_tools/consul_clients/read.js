// Reads the registry with the package consul, and tells what it found, an object a line.
"use strict";

const Consul = require("consul");

const [port, guarded, token] = process.argv.slice(2);
const client = new Consul({ port });

const address = (service) => `${service.Address}:${service.Port}`;
const addresses = (entries) => entries.map((entry) => address(entry.Service));

async function isRefused() {
  try {
    await new Consul({ port: guarded }).catalog.service.list();
  } catch (error) {
    return error.statusCode === 403;
  }
  return false;
}

async function read() {
  const { catalog, health } = client;
  const admitted = new Consul({ port: guarded, defaults: { token } });
  const entries = await health.service({ service: "web", passing: true });
  const agent = Object.values(await client.agent.service.list());
  const found = {
    "refused without a token": await isRefused(),
    "with a token": await admitted.catalog.service.list(),
    services: await catalog.service.list(),
    passing: addresses(entries),
    tags: entries[0].Service.Tags,
    meta: entries[0].Service.Meta,
    status: entries.map((entry) => entry.Checks[0].Status),
    blue: addresses(await health.service({ service: "web", tag: "blue" })),
    catalog: (await catalog.service.nodes("web")).map(
      (entry) => `${entry.ServiceAddress}:${entry.ServicePort}`,
    ),
    unknown: await health.service("none"),
    checks: (await health.checks("web")).map((check) => check.ServiceName),
    nodes: (await catalog.node.list()).map((node) => node.Node),
    datacenters: await catalog.datacenters(),
    datacenter: (await client.agent.self()).Config.Datacenter,
    agent: agent.map(address).sort(),
  };

  // Its watch begins with what is there, and then waits for changes.
  const options = { service: "web", passing: true };
  const watch = client.watch({ method: health.service, options });
  let index;
  watch.on("error", (error) => {
    throw error;
  });
  watch.on("change", (entries, answer) => {
    const later = Number(answer.headers["x-consul-index"]);
    if (index === undefined) {
      index = later;
      console.log(JSON.stringify(found));
      return;
    }
    const order = later > index ? "greater" : `${later} after ${index}`;
    console.log(JSON.stringify({ index: order, passing: addresses(entries) }));
    watch.end();
  });
}

read();
