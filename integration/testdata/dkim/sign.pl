# Signs each file *.msg of a folder with Mail::DKIM: the signature fields go into *.pl.
# usage: sign.pl FOLDER RSA-KEY
use strict;
use warnings;
use Mail::DKIM::Signer;

for my $name (sort glob("$ARGV[0]/*.msg")) {
    open(my $in, '<:raw', $name) or die "$name: $!";
    my $message = do { local $/; <$in> };
    $message = '' unless defined $message;
    my $fields = '';
    for my $method ('relaxed/relaxed', 'simple/simple') {
        my $d = Mail::DKIM::Signer->new(
            Algorithm => 'rsa-sha256', Method => $method, Domain => 'a.example', Selector => 'rsa', KeyFile => $ARGV[1]);
        $d->PRINT($message);
        $d->CLOSE;
        $fields .= $d->signature->as_string . "\015\012";
    }
    $name =~ s/msg\z/pl/;
    open(my $out, '>:raw', $name) or die "$name: $!";
    print $out $fields;
    close($out) or die "$name: $!";
}
