"""What generated requests cannot know: passwords, secrets, and names of things that are there right now.

Half of the well-formed writes get real ones, made a moment before. What the run itself stands on is kept
out of its reach. And every answer is counted: HEDDLE_COUNTS names the file.
"""

import atexit
import base64
import collections
import functools
import hmac
import itertools
import json
import os
import pathlib
import random
import re
import struct
import threading
import time
import urllib.parse

import requests
import schemathesis
from browser import sent_back
from schemathesis import GenerationMode
from schemathesis.engine import observations
from schemathesis.generation.meta import TestPhase

URL = os.environ["HEDDLE_URL"]
ORG = f"{URL}/v1/orgs/-"
# The mesh whose objects these hooks hand out; the test keeps Envoys joining it.
KEPT = "kept"
# The run's own token, the member that it belongs to, that member's role, and the mesh.
OWN = set(os.environ["HEDDLE_OWN"].split(","))
SPLIT = {"weights": [{"version": "v1", "weight": 100}]}
# A time to wait, in whole seconds, and what goes on for ever without one.
WAIT = "(0|[1-9][0-9]{0,4})s"
EVENTS = "GET /v1/orgs/{org}/meshes/{mesh}/events"
PASSWORD = os.environ["HEDDLE_PASSWORD"]
# Where the server puts its mail.
MAIL = pathlib.Path(os.environ["HEDDLE_MAIL"])
# The connection to the test's own identity provider.
CONNECTION = "workforce"
MANAGER = 'terraform; ref="app.terraform.io/acme/payments"'
# How many of the well-formed requests get something real.
SHARE = 0.5
# How often the long run wants each write accepted, at least.
ENOUGH = 20

same_origin_path = observations._same_origin_path


def path_of(value, origin):
    """The tool looks for addresses in answers, and ends at a text like "http://[", which is none."""
    try:
        return same_origin_path(value, origin)
    except ValueError:
        return None


observations._same_origin_path = path_of

dice = random.Random(int(os.environ["HEDDLE_SEED"]))
numbers = itertools.count(1)
lock = threading.Lock()
counts = collections.Counter()

api = requests.Session()
api.headers["Authorization"] = f"Bearer {os.environ['HEDDLE_TOKEN']}"


def fresh():
    with lock:
        return f"fresh-{next(numbers)}"


def sent(method, url, body, headers=None):
    answer = api.request(method, url, json=body, headers=headers, timeout=30)
    # With the server's own words: what these hooks ask for is never to be refused.
    assert answer.ok, f"{method} {url}: {answer.status_code} {answer.text}"
    return answer


def post(path, body, base=ORG):
    return sent("POST", f"{base}{path}", body).json()


def token():
    return post("/tokens", {"name": fresh(), "expires_in": "1h"})["name"]


def account():
    return post("/service-accounts", {"name": fresh()})["name"]


def binding():
    given = {"role": "viewer", "service_account": account()}
    return post("/role-bindings", given)["meta"]["uid"]


def member():
    return post("/members", {"email": f"{fresh()}@example.com", "role": "viewer"})


def address():
    return member()["email"]


@functools.cache
def org_name():
    return api.get(f"{URL}/v1/whoami", timeout=30).json()["org"]["name"]


def credentials():
    made = member()
    return {"org": org_name(), "email": made["email"], "password": made["initial_password"]}


def session():
    return post("/v1/sessions", credentials(), base=URL)


class FromElsewhere(requests.adapters.HTTPAdapter):
    """Another address of this machine for each request: how often one may ask to be let in is limited."""

    def send(self, request, **kwargs):
        number = next(numbers)
        self.poolmanager.connection_pool_kw["source_address"] = (f"127.1.{number // 250 % 250}.{number % 250 + 1}", 0)
        self.poolmanager.clear()
        return super().send(request, **kwargs)


elsewhere = requests.Session()
elsewhere.mount("http://", FromElsewhere())


def device():
    answer = elsewhere.post(f"{URL}/v1/device-authorizations", json={"client": "hooks"}, timeout=30)
    answer.raise_for_status()
    return answer.json()


def mailed(to):
    """The secret of the link in the newest mail to somebody, once it is there."""
    for _ in range(200):
        for file in sorted(MAIL.glob("*.eml"), reverse=True):
            text = file.read_text()
            if f"To: {to}\n" in text:
                return re.search(r"#(heddle_\w+)", text)[1]
        time.sleep(0.05)
    raise TimeoutError(to)


def forgotten():
    """A member who has asked for another password."""
    found = credentials()
    answer = elsewhere.post(f"{URL}/v1/password-resets", json={"org": found["org"], "email": found["email"]}, timeout=30)
    answer.raise_for_status()
    return {"org": found["org"], "secret": mailed(found["email"]), "new_password": PASSWORD}


def invited():
    return post("/invitations", {"email": f"{fresh()}@example.com", "role": "viewer"})


def invitation():
    return invited()["meta"]["uid"]


def invitation_link():
    email = invited()["email"]
    return {"org": org_name(), "secret": mailed(email)}, email


def acceptance():
    link, email = invitation_link()
    return {**link, "email": email, "password": PASSWORD}


def owner_signed_in():
    made = post("/members", {"email": f"{fresh()}@example.com", "role": "owner"})
    who = {"org": org_name(), "email": made["email"], "password": made["initial_password"]}
    return {"Authorization": f"Bearer {post('/v1/sessions', who, base=URL)['access_token']}"}


def signed_in():
    return {"Authorization": f"Bearer {session()['access_token']}"}


def code_of(secret, steps=0):
    """What an authenticator shows (RFC 6238), so many half minutes from now."""
    key = base64.b32decode(secret)
    at = struct.pack(">Q", int(time.time()) // 30 + steps)
    digest = hmac.digest(key, at, "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def begun():
    """A member who is setting up a second factor: how they call, and its key."""
    headers = signed_in()
    return headers, sent("POST", f"{ORG}/second-factor/enrolments", {}, headers).json()["secret"]


def guarded():
    """A member with a second factor: who they are, how they call, its recovery codes."""
    who = credentials()
    headers = {"Authorization": f"Bearer {post('/v1/sessions', who, base=URL)['access_token']}"}
    secret = sent("POST", f"{ORG}/second-factor/enrolments", {}, headers).json()["secret"]
    shown = {"code": code_of(secret)}
    made = sent("POST", f"{ORG}/second-factor/confirmations", shown, headers).json()
    return who, headers, made["recovery_codes"]


def enrolling(case):
    case.body = {}
    case.headers.update(signed_in())


def confirming(case):
    headers, secret = begun()
    case.body = {"code": code_of(secret)}
    case.headers.update(headers)


def showing(case):
    _, headers, codes = guarded()
    case.body = {"code": codes[0]}
    case.headers.update(headers)


# Who signs in in two steps, and the recovery codes that are left: making one takes long.
waiting = []


def second_step():
    with lock:
        who, code = waiting.pop() if waiting else (None, None)
    if who is None:
        who, _, codes = guarded()
        code = codes.pop()
        with lock:
            waiting.extend((who, left) for left in codes)
    asked = elsewhere.post(f"{URL}/v1/sessions", json=who, timeout=30)
    assert asked.status_code == 401, asked.text
    return {"org": who["org"], "challenge": asked.json()["challenge"], "code": code}


def asking_no_more(case):
    """By somebody who signed in. Nobody else here has a second factor."""
    case.body = {"require_mfa": False}
    case.headers.update(owner_signed_in())


def new_connection():
    return {"name": fresh(), "issuer": "https://id.example.com", "client_id": fresh()}


def connection():
    return post("/sso-connections", new_connection())["name"]


def new_webhook():
    return {"name": fresh(), "url": "https://hooks.example.com/heddle", "topics": ["revision"]}


def webhook():
    return post("/webhooks", new_webhook())["name"]


def sent_again(case):
    name = webhook()
    case.path_parameters["webhook"] = name
    case.path_parameters["delivery"] = post(f"/webhooks/{name}/pings", {})["meta"]["uid"]
    case.body = {}


def back_from(begun, account):
    """What somebody comes back with who was sent to the provider and is that account."""
    query = sent_back(begun["authorization_url"], account)
    return {"org": begun["org"], "connection": begun["connection"]["name"], "secret": begun["secret"], **query}


def begun_linking(headers):
    return sent("POST", f"{ORG}/identities/requests", {"connection": CONNECTION}, headers).json()


def asking_to_link(case):
    case.body = {"connection": CONNECTION}
    case.headers.update(signed_in())


def linking(case):
    headers = signed_in()
    case.body = back_from(begun_linking(headers), fresh())
    case.headers.update(headers)


def linked(account):
    """A member who is that account at the provider."""
    headers = signed_in()
    return sent("POST", f"{ORG}/identities", back_from(begun_linking(headers), account), headers).json()


def identity():
    return linked(fresh())["meta"]["uid"]


def sso_sign_in():
    return {"org": org_name(), "connection": CONNECTION}


def sso_completion():
    account = fresh()
    linked(account)
    begun = elsewhere.post(f"{URL}/v1/sso-sign-ins", json=sso_sign_in(), timeout=30)
    begun.raise_for_status()
    return back_from(begun.json(), account)


def approved():
    asked = device()
    at = f"{ORG}/device-authorizations/{asked['user_code']}/approvals"
    sent("POST", at, {}, signed_in())
    return {"device_code": asked["device_code"]}


def decided(case):
    """By somebody who signed in: a program lets no other in."""
    case.path_parameters["user_code"] = device()["user_code"]
    case.body = {}
    case.headers.update(signed_in())


def join_token():
    wanted = {"name": fresh(), "service": "payments"}
    return post(f"/meshes/{KEPT}/join-tokens", wanted)["name"]


def new_revocation():
    """Of a service that nobody calls: the proxies stay."""
    return {"service": service(), "reason": fresh()}


def revocation():
    return post(f"/meshes/{KEPT}/revocations", new_revocation())["meta"]["uid"]


def proxy():
    listed = api.get(f"{ORG}/meshes/{KEPT}/proxies", params={"limit": 500}, timeout=30)
    items = listed.json()["items"]
    return dice.choice(items)["meta"]["uid"] if items else "none"


def new_service():
    return {"name": fresh(), "ports": [{"name": "http", "port": 80, "protocol": "http"}]}


def new_route():
    return {"name": fresh(), "priority": next(numbers), "backends": [{"version": "v1"}]}


def new_rule():
    return {"name": fresh(), "action": "deny", "from": [{"service": "payments"}]}


def new_profile():
    return {"name": fresh(), "settings": {"timeout": "1s"}}


def new_mesh():
    return {"name": fresh(), "deletion_protection": False}


def asked_call():
    return {"call": {"service": "payments", "method": "GET", "path": f"/{fresh()}"}}


def service():
    return post(f"/meshes/{KEPT}/services", new_service())["name"]


def route():
    return post(f"/meshes/{KEPT}/services/payments/routes", new_route())["name"]


def rule():
    return post(f"/meshes/{KEPT}/services/payments/access-rules", new_rule())["name"]


def profile():
    return post(f"/meshes/{KEPT}/profiles", new_profile())["name"]


def mesh():
    return post("/meshes", new_mesh())["name"]


def split():
    at = f"{ORG}/meshes/{KEPT}/services/payments/routes/{route()}"
    sent("PUT", f"{at}/split", SPLIT)
    return at.rsplit("/", 1)[1]


def rollback(case):
    """Of a mesh of its own: what the hooks build on stays as it is."""
    name = mesh()
    post(f"/meshes/{name}/services", new_service())
    case.path_parameters["mesh"] = name
    case.body = {"to_revision": 1}


ROTATIONS = f"{ORG}/meshes/{KEPT}/rotations"
ROTATION = {"what": "intermediate", "pace": "manual"}


def rotation():
    """One that is under way. Whoever else begins one is in the way, and so is a mesh that nobody has joined yet."""
    for _ in range(50):
        made = api.request("POST", ROTATIONS, json=ROTATION, timeout=30)
        if made.ok:
            return made.json()["meta"]["uid"]
        found = sent("GET", f"{ROTATIONS}?limit=1", None).json()["items"]
        if found and not found[0]["meta"]["ended_at"]:
            return found[0]["meta"]["uid"]
        time.sleep(0.1)
    raise AssertionError(f"no rotation: {made.text}")


# A request for a certificate, of a key that nobody has.
REQUEST = {
    "request": "MIHcMIGEAgEAMCIxIDAeBgNVBAMMF2EtbmFtZS10aGF0LWlzLW5vdC1yZWFkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEStAG"
    "UgZZutfgB+YqabCobMGmiHcBpR+CvKk90JPvqd8EhnmBVqLiXxiM2MMtTdgHoloFrCHPj307XLypQi8/LaAAMAoGCCqGSM49BAMC"
    "A0cAMEQCIEIfYpogZla1R6zgCNMVfm8yuOlO/2roFZY2i8tdegCLAiAgHAe+4+NSPi85kkASBRK0ohTx+/FEFQZ2Kt6KjVpOcA=="
}


def authority_request():
    """A new one, or one of those that there are: a mesh may have ten."""
    address = f"{ORG}/meshes/{KEPT}/authority-requests"
    made = api.request("POST", address, json={}, timeout=30)
    if made.status_code == 201:
        return made.json()["meta"]["uid"]
    return api.request("GET", address, timeout=30).json()["items"][-1]["meta"]["uid"]


def no_rotation():
    """None is under way, if nobody else begins one: a rotation that was only prepared ends when it is turned round."""
    api.request("POST", f"{ROTATIONS}/{rotation()}/actions", json={"action": "reverse"}, timeout=30)
    return dict(ROTATION)


def path(**makers):
    def put(case):
        for name, make in makers.items():
            case.path_parameters[name] = make() if callable(make) else make

    return put


def body(make):
    def put(case):
        case.body = make()

    return put


def both(*puts):
    def put(case):
        for one in puts:
            one(case)

    return put


def without_name(make):
    def made():
        spec = make()
        del spec["name"]
        return spec

    return made


def patch():
    return {"display_name": fresh()}


AT = "/v1/orgs/{org}"
MESH = f"{AT}/meshes/{{mesh}}"
SERVICE = f"{MESH}/services/{{service}}"
PAYMENTS = {"mesh": KEPT, "service": "payments"}


def kind(collection, item, place, name, new, old):
    """The operations on a declarative kind: with an object that can be, or one that is."""
    return {
        f"POST {collection}": both(path(**place), body(new)),
        f"PUT {item}": both(path(**place, **{name: fresh}), body(without_name(new))),
        f"PATCH {item}": both(path(**place, **{name: old}), body(patch)),
        f"DELETE {item}": path(**place, **{name: old}),
    }


REAL = {
    **kind(f"{AT}/meshes", MESH, {}, "mesh", new_mesh, mesh),
    **kind(f"{MESH}/services", SERVICE, {"mesh": KEPT}, "service", new_service, service),
    **kind(f"{MESH}/profiles", f"{MESH}/profiles/{{profile}}", {"mesh": KEPT}, "profile", new_profile, profile),
    **kind(f"{SERVICE}/routes", f"{SERVICE}/routes/{{route}}", PAYMENTS, "route", new_route, route),
    **kind(f"{SERVICE}/access-rules", f"{SERVICE}/access-rules/{{rule}}", PAYMENTS, "rule", new_rule, rule),
    f"PUT {SERVICE}/routes/{{route}}/split": both(path(**PAYMENTS, route=route), body(lambda: dict(SPLIT))),
    f"PATCH {SERVICE}/routes/{{route}}/split": both(path(**PAYMENTS, route=split), body(lambda: dict(SPLIT))),
    f"DELETE {SERVICE}/routes/{{route}}/split": path(**PAYMENTS, route=split),
    f"POST {MESH}/join-tokens": both(path(mesh=KEPT), body(lambda: {"name": fresh(), "service": "payments"})),
    f"DELETE {MESH}/join-tokens/{{token}}": path(mesh=KEPT, token=join_token),
    f"POST {MESH}/revocations": both(path(mesh=KEPT), body(new_revocation)),
    f"DELETE {MESH}/revocations/{{revocation}}": path(mesh=KEPT, revocation=revocation),
    f"POST {MESH}/access/checks": both(path(mesh=KEPT), body(asked_call)),
    f"POST {MESH}/rollbacks": rollback,
    f"DELETE {MESH}/authority-requests/{{request}}": path(mesh=KEPT, request=authority_request),
    f"POST {SERVICE}/certificates": both(path(**PAYMENTS), body(lambda: dict(REQUEST))),
    f"POST {MESH}/rotations": both(path(mesh=KEPT), body(no_rotation)),
    f"POST {MESH}/rotations/{{rotation}}/actions": both(
        path(mesh=KEPT, rotation=rotation), body(lambda: {"action": "reverse"})
    ),
    f"DELETE {MESH}/proxies/{{proxy}}": path(mesh=KEPT, proxy=proxy),
    f"POST {AT}/members": body(lambda: {"email": f"{fresh()}@example.com"}),
    f"PATCH {AT}/members/{{member}}": both(path(member=address), body(patch)),
    f"DELETE {AT}/members/{{member}}": path(member=address),
    f"POST {AT}/members/{{member}}/password-resets": path(member=address),
    f"POST {AT}/members/{{member}}/second-factor-resets": both(
        path(member=lambda: guarded()[0]["email"]), body(dict)
    ),
    f"POST {AT}/second-factor/enrolments": enrolling,
    f"POST {AT}/second-factor/confirmations": confirming,
    f"POST {AT}/second-factor/recovery-codes": showing,
    f"POST {AT}/second-factor/removals": showing,
    f"PATCH {AT}/sign-in-policy": asking_no_more,
    f"POST {AT}/webhooks": body(new_webhook),
    f"PATCH {AT}/webhooks/{{webhook}}": both(path(webhook=webhook), body(lambda: {"topics": ["audit"]})),
    f"DELETE {AT}/webhooks/{{webhook}}": path(webhook=webhook),
    f"POST {AT}/webhooks/{{webhook}}/rotations": both(path(webhook=webhook), body(dict)),
    f"POST {AT}/webhooks/{{webhook}}/pings": both(path(webhook=webhook), body(dict)),
    f"POST {AT}/webhooks/{{webhook}}/deliveries/{{delivery}}/sendings": sent_again,
    f"POST {AT}/sso-connections": body(new_connection),
    f"PATCH {AT}/sso-connections/{{sso_connection}}": both(path(sso_connection=connection), body(patch)),
    f"DELETE {AT}/sso-connections/{{sso_connection}}": path(sso_connection=connection),
    f"POST {AT}/sso-connections/{{sso_connection}}/tests": both(path(sso_connection=CONNECTION), body(dict)),
    f"POST {AT}/identities/requests": asking_to_link,
    f"POST {AT}/identities": linking,
    f"DELETE {AT}/identities/{{identity}}": path(identity=identity),
    "POST /v1/sso-sign-ins": body(sso_sign_in),
    "POST /v1/sso-sign-ins/completions": body(sso_completion),
    "POST /v1/sessions/second-factors": body(second_step),
    f"POST {AT}/invitations": body(lambda: {"email": f"{fresh()}@example.com", "role": "viewer"}),
    f"DELETE {AT}/invitations/{{invitation}}": path(invitation=invitation),
    f"POST {AT}/invitations/{{invitation}}/sendings": both(path(invitation=invitation), body(dict)),
    "POST /v1/invitations/lookups": body(lambda: invitation_link()[0]),
    "POST /v1/invitations/acceptances": body(acceptance),
    "POST /v1/password-resets/completions": body(forgotten),
    f"POST {AT}/service-accounts": body(lambda: {"name": fresh()}),
    f"PATCH {AT}/service-accounts/{{service_account}}": both(path(service_account=account), body(patch)),
    f"DELETE {AT}/service-accounts/{{service_account}}": path(service_account=account),
    f"POST {AT}/role-bindings": body(lambda: {"role": "viewer", "service_account": account()}),
    f"DELETE {AT}/role-bindings/{{role_binding}}": path(role_binding=binding),
    f"POST {AT}/tokens": body(lambda: {"name": fresh()}),
    f"DELETE {AT}/tokens/{{api_token}}": path(api_token=token),
    f"POST {AT}/tokens/{{api_token}}/rotations": both(path(api_token=token), body(dict)),
    "POST /v1/sessions": body(credentials),
    "POST /v1/sessions/refreshes": body(lambda: {"refresh_token": session()["refresh_token"]}),
    f"DELETE {AT}/sessions/{{session}}": path(session=lambda: session()["session"]["uid"]),
    f"POST {AT}/device-authorizations/{{user_code}}/approvals": decided,
    f"POST {AT}/device-authorizations/{{user_code}}/denials": decided,
}
# Where what is well-formed and wrong is slowed down (passwords), or is 400 by the standard that it follows (RFC 8628).
ALWAYS = {
    "POST /v1/device-authorizations/tokens": body(approved),
    f"POST {AT}/password-changes": body(
        lambda: {"current_password": PASSWORD, "new_password": PASSWORD}
    ),
}


def is_wellformed(case):
    return case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE


ORG_NAME = re.compile("-|[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[a-z]{2,6}_[0-7][0-9a-hjkmnp-tv-z]{25}")


@schemathesis.hook
def before_call(context, case, kwargs):
    label = case.operation.label
    # The token's own organisation: no other one can be reached. What is no name of one stays, to be refused.
    if ORG_NAME.fullmatch(str((case.path_parameters or {}).get("org", ""))):
        case.path_parameters["org"] = "-"
    for name, value in list((case.path_parameters or {}).items()):
        if urllib.parse.unquote(str(value)).lower() in OWN:
            case.path_parameters[name] = "none"
    # What is under way here stays so: nobody waits for it. An answer without end is no answer to the tool.
    query = case.query if isinstance(case.query, dict) else {}
    if re.fullmatch(WAIT, str(query.get("wait", "0s" if label == EVENTS else ""))):
        case.query = {**query, "wait": "0s"}
    if not is_wellformed(case):
        return
    # The tool has no value of its own where the form of a header demands punctuation, and sends this.
    if case.headers.get("Heddle-Manager") == "0":
        case.headers["Heddle-Manager"] = MANAGER
    # It takes what was only tried for done: what was deleted would still be there.
    if case.meta is not None and case.meta.phase.name == TestPhase.STATEFUL:
        case.query.pop("dry_run", None)
    if label in ALWAYS:
        ALWAYS[label](case)
    elif label in REAL:
        with lock:
            chosen = dice.random() < SHARE
        # The document's own examples come first and once: then it is always something real.
        if chosen or (case.meta is not None and case.meta.phase.name == TestPhase.EXAMPLES):
            REAL[label](case)
            # Only tried is not accepted, and each is to be accepted often enough.
            if counts[f"{label} 2xx"] < ENOUGH:
                case.query.pop("dry_run", None)
            # What was made a moment ago is not what a made-up precondition names, and not what was asked for before.
            for header in ("If-Match", "If-None-Match", "Idempotency-Key"):
                case.headers.pop(header, None)


@schemathesis.hook
def after_call(context, case, response):
    # What was only tried was not accepted. As it was sent: what the tool makes of a case is decided after the other hook.
    sent = urllib.parse.urlsplit(response.request.url).query
    tried = "true" in urllib.parse.parse_qs(sent).get("dry_run", ())
    with lock:
        counts[f"{case.operation.label} {'tried' if tried else ''}{response.status_code // 100}xx"] += 1


@atexit.register
def report():
    with open(os.environ["HEDDLE_COUNTS"], "w", encoding="utf-8") as file:
        json.dump(counts, file, indent=1, sort_keys=True)
