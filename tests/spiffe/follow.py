"""Follows the identity of a Workload API for a number of rotations, and writes down what it was given, one JSON object a line."""

import json
import sys
import threading
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from spiffe import SpiffeId, TrustDomain, WorkloadApiClient, X509Source


def shown(svid, bundle):
    # The key belongs to the certificate: what it signs, the certificate verifies.
    signature = svid.private_key.sign(b"proof", ec.ECDSA(hashes.SHA256()))
    svid.leaf.public_key().verify(signature, b"proof", ec.ECDSA(hashes.SHA256()))
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in svid.cert_chain)
    roots = b"".join(one.public_bytes(Encoding.PEM) for one in bundle.x509_authorities)
    return {
        "id": str(svid.spiffe_id),
        "serial": format(svid.leaf.serial_number, "032x"),
        "chain": pem.decode(),
        "roots": roots.decode(),
        "certificates": len(svid.cert_chain),
    }


def main():
    socket, rotations, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with WorkloadApiClient(socket) as client:
        svid = client.fetch_x509_svid(timeout=10)
        bundles = client.fetch_x509_bundles(timeout=10)
        domain = TrustDomain(SpiffeId(str(svid.spiffe_id)).trust_domain.name)
        assert bundles.get_bundle_for_trust_domain(domain).x509_authorities
    news = threading.Event()
    with X509Source(socket_path=socket) as source:
        source.subscribe_for_updates(news.set)
        seen = []
        until = time.monotonic() + patience
        while len(seen) <= rotations:
            assert time.monotonic() < until, f"only {len(seen)} certificates came"
            svid = source.svid
            one = shown(svid, source.get_bundle_for_trust_domain(domain))
            if one["serial"] not in seen:
                seen.append(one["serial"])
                print(json.dumps(one), flush=True)
            news.wait(0.2)
            news.clear()


main()
