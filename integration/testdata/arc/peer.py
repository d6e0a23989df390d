# Signs and verifies with dkimpy. Requests and answers are lines of JSON; messages are in
# base64. The argument is a file of JSON: the TXT records by name.
import base64, json, sys
import dkim

zone = json.load(open(sys.argv[1]))


def txt(name, timeout=5):
    record = zone.get(name.decode().rstrip(".").lower())
    return record and record.encode()


def answer(q):
    message = base64.b64decode(q["message"])
    if q["op"] == "verify":
        cv, sets, reason = dkim.arc_verify(message, dnsfunc=txt)
        return {"cv": cv.decode(), "error": str(reason)}
    if q["op"] == "dkim":
        return {"cv": "pass" if dkim.verify(message, dnsfunc=txt) else "fail"}
    key = open(q["key"], "rb").read()
    domain, selector = q["domain"].encode(), q["selector"].encode()
    if q["op"] == "dkim-sign":
        return {"message": base64.b64encode(dkim.sign(message, selector, domain, key, canonicalize=(b"simple", b"simple")) + message).decode()}
    fields = dkim.arc_sign(message, selector, domain, key, q["authserv"].encode())
    if not fields:
        return {"error": "dkimpy has added nothing"}
    return {"message": base64.b64encode(b"".join(fields) + message).decode()}


for line in sys.stdin:
    try:
        print(json.dumps(answer(json.loads(line))), flush=True)
    except Exception as e:
        print(json.dumps({"error": repr(e)}), flush=True)
