"""A process that traces layers for another: ``python -m nas.costs.tracing_worker``.

It writes the digest of its code as a first line. Then, for each line with a JSON request, it writes one with
the traces of each layer in base64, or null for a layer that cannot be traced: whoever asked finds out why.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Sequence
from typing import IO, Any

from nas.costs.trace_codec import decode, encode
from nas.costs.trace_keys import Border, Key, Profile, TraceKeys
from nas.spaces.architecture import Network, network_from_dict, network_to_dict


def request(layers: Sequence[Key], profiles: Sequence[Profile]) -> str:
    """The line that asks for the traces of some layers."""
    networks = (Network(signature, (element,), classes) for element, signature, classes in layers)
    content = {"layers": [network_to_dict(network) for network in networks], "profiles": list(profiles)}
    return json.dumps(content) + "\n"


def reply(line: str) -> str:
    """The line that answers a request."""
    import torch

    torch.set_num_threads(1)
    content = json.loads(line)
    profiles = [
        Profile(size, precision, Border(*border), layout)
        for size, precision, border, layout in content["profiles"]
    ]
    return json.dumps([_traced(network, profiles) for network in content["layers"]]) + "\n"


def read_reply(line: str) -> list[list[Any] | None]:
    """For each layer its traces, or None; ValueError or TypeError for a line that is no reply."""
    found: list[list[Any] | None] = []
    for contents in json.loads(line):
        traces = None if contents is None else [decode(base64.b64decode(content)) for content in contents]
        found.append(traces if traces is not None and None not in traces else None)
    return found


def _traced(content: dict[str, Any], profiles: list[Profile]) -> list[str] | None:
    from nas.costs.deployed import trace_element
    from nas.plugins import default_registry

    network = network_from_dict(content)
    blocks = default_registry().blocks
    try:
        traces = trace_element(network.layers[0], network.input, blocks, network.classes, profiles)
    except Exception:  # the process that asked traces it again and says what is wrong
        return None
    return [base64.b64encode(encode(trace)).decode() for trace in traces]


def serve(requests: IO[str], replies: IO[str]) -> None:
    """Answers requests until there are no more."""
    from nas.plugins import default_registry

    replies.write(f"{TraceKeys(default_registry()).code}\n")
    replies.flush()
    for line in requests:
        replies.write(reply(line))
        replies.flush()


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what plugins print must not come between the lines
    try:
        serve(sys.stdin, out)
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # nobody is left to tell
