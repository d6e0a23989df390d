# Verifies each file *.eml of a folder with dkimpy, and prints "FILE RESULT RESULT ...", one
# for each signature: pass, or not.
# usage: verify.py FOLDER NAME-SERVER-PORT
import glob, os, sys
import dkim
import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = ['127.0.0.1'], int(sys.argv[2])
answers = {}

def txt(name, timeout=5):
    name = name.decode('ascii') if isinstance(name, bytes) else name
    if name not in answers:
        try:
            answers[name] = [b''.join(r.strings) for r in resolver.resolve(name, 'TXT')]
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            answers[name] = []
    return answers[name][0] if answers[name] else None

for file in sorted(glob.glob(sys.argv[1] + '/*.eml')):
    message, results = open(file, 'rb').read(), []
    try:
        d = dkim.DKIM(message)
        n = len([h for h in d.headers if h[0].lower() == b'dkim-signature'])
    except dkim.DKIMException:
        print(os.path.basename(file), 'unread')
        continue
    for i in range(n):
        try:
            good = dkim.DKIM(message).verify(idx=i, dnsfunc=txt)
        except Exception:
            good = False
        results.append('pass' if good else 'not')
    print(os.path.basename(file), *results)
