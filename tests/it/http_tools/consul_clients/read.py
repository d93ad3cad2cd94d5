"""Reads the registry with python-consul or py-consul, and tells what it found, an object a line."""

import json
import sys

import consul

port, guarded, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def refused():
    try:
        consul.Consul(port=guarded).catalog.services()
    except Exception as error:  # the two have it in different modules
        return type(error).__name__ == "ACLPermissionDenied"
    return False


def addresses(entries):
    services = [entry["Service"] for entry in entries]
    return [f"{service['Address']}:{service['Port']}" for service in services]


client = consul.Consul(port=port)
index, entries = client.health.service("web", passing=True)
agent = client.agent.services().values()
print(
    json.dumps(
        {
            "refused without a token": refused(),
            "with a token": consul.Consul(port=guarded, token=token).catalog.services()[1],
            "services": client.catalog.services()[1],
            "passing": addresses(entries),
            "tags": entries[0]["Service"]["Tags"],
            "meta": entries[0]["Service"]["Meta"],
            "status": [entry["Checks"][0]["Status"] for entry in entries],
            "blue": addresses(client.health.service("web", tag="blue")[1]),
            "catalog": [
                f"{entry['ServiceAddress']}:{entry['ServicePort']}"
                for entry in client.catalog.service("web")[1]
            ],
            "unknown": client.health.service("none")[1],
            "checks": [check["ServiceName"] for check in client.health.checks("web")[1]],
            "nodes": [node["Node"] for node in client.catalog.nodes()[1]],
            "datacenters": client.catalog.datacenters(),
            "datacenter": client.agent.self()["Config"]["Datacenter"],
            "agent": sorted(addresses([{"Service": service} for service in agent])),
        }
    ),
    flush=True,
)
later, entries = client.health.service("web", passing=True, index=index, wait="60s")
print(
    json.dumps(
        {
            "index": "greater" if int(later) > int(index) else f"{later} after {index}",
            "passing": addresses(entries),
        }
    )
)
