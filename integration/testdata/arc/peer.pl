# Signs and verifies with Mail::DKIM. Requests and answers are lines of JSON; messages are in
# base64. The argument is the port of a name server at 127.0.0.1.
use strict;
use warnings;
use JSON::PP;
use MIME::Base64;
use Net::DNS;
use Mail::DKIM::DNS;
use Mail::DKIM::ARC::Signer;
use Mail::DKIM::ARC::Verifier;
use Mail::DKIM::Verifier;

$| = 1;
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => ['127.0.0.1'], port => $ARGV[0]));

sub answer {
    my $q = shift;
    my $message = decode_base64($q->{message});
    if ($q->{op} eq 'verify' or $q->{op} eq 'dkim') {
        my $v = $q->{op} eq 'dkim' ? Mail::DKIM::Verifier->new() : Mail::DKIM::ARC::Verifier->new();
        $v->PRINT($message);
        $v->CLOSE;
        return {cv => $v->result, error => $v->result_detail};
    }
    my $s = Mail::DKIM::ARC::Signer->new(
        Algorithm => 'rsa-sha256',
        Chain     => $q->{chain},
        Domain    => $q->{domain},
        SrvId     => $q->{authserv},
        Selector  => $q->{selector},
        KeyFile   => $q->{key},
    );
    $s->PRINT($message);
    $s->CLOSE;
    return {error => 'Mail::DKIM has added nothing: ' . $s->{details}} unless $s->result eq 'sealed';
    return {message => encode_base64(join("\015\012", $s->as_strings) . "\015\012" . $message, '')};
}

while (my $line = <STDIN>) {
    my $a = eval { answer(decode_json($line)) } || {error => "$@"};
    print encode_json($a), "\n";
}
