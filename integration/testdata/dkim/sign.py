# Signs each file *.msg of a folder with dkimpy: the signature fields go into *.py.
# usage: sign.py FOLDER RSA-KEY ED25519-SEED
import glob, sys
import dkim

folder, rsa, ed = sys.argv[1], open(sys.argv[2], 'rb').read(), open(sys.argv[3], 'rb').read()
# dkimpy folds at 72 columns and oversigns From itself.
for name in sorted(glob.glob(folder + '/*.msg')):
    message, fields = open(name, 'rb').read(), b''
    try:
        for header in (b'simple', b'relaxed'):
            for body in (b'simple', b'relaxed'):
                d = dkim.DKIM(message, linesep=b'\r\n')
                fields += d.sign(b'rsa', b'a.example', rsa, canonicalize=(header, body))
        d = dkim.DKIM(message, signature_algorithm=b'ed25519-sha256', linesep=b'\r\n')
        fields += d.sign(b'ed', b'a.example', ed, canonicalize=(b'relaxed', b'simple'))
    except dkim.MessageFormatError:
        fields = b''  # stricter than mail is
    open(name[:-4] + '.py', 'wb').write(fields)
