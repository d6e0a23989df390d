# What a destination sees of messages: SPF by pyspf, each DKIM signature by dkimpy. Requests
# and answers are lines of JSON; "message" is in base64. "sign" has dkimpy sign instead.
# usage: view.py NAME-SERVER-PORT
import base64, json, sys, warnings

warnings.simplefilter("ignore")
import dkim
import dns.resolver
import spf

r = dns.resolver.Resolver(configure=False)
r.nameservers, r.port, r.cache = ["127.0.0.1"], int(sys.argv[1]), dns.resolver.LRUCache(10000)
dns.resolver.default_resolver = r


def txt(name, timeout=5):
    try:
        answer = r.resolve(name.decode(), "TXT", search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.NoNameservers):
        return None
    return b"".join(answer[0].strings)


def signatures(message):
    found = []
    try:
        n = len([h for h in dkim.DKIM(message).headers if h[0].lower() == b"dkim-signature"])
    except dkim.DKIMException:
        return found
    for i in range(n):
        d = dkim.DKIM(message)
        try:
            if d.verify(idx=i, dnsfunc=txt):
                found.append(d.domain.decode())
        except Exception:
            pass
    return found


for line in sys.stdin:
    q = json.loads(line)
    message = base64.b64decode(q["message"])
    if "sign" in q:
        s = q["sign"]
        field = dkim.sign(message, b"s", s["domain"].encode(), open(s["key"], "rb").read(), canonicalize=(b"relaxed", b"simple"),
                          include_headers=[h.encode() for h in s["headers"]], length=s["length"])
        print(json.dumps({"field": base64.b64encode(field).decode()}), flush=True)
        continue
    result = spf.check2(i=q["ip"], s=q["from"], h=q["helo"], receiver="mx.receiver.example")[0]
    print(json.dumps({"spf": result, "dkim": signatures(message)}), flush=True)
