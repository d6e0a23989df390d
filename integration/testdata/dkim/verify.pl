# Verifies each file *.eml of a folder with Mail::DKIM, and prints "FILE RESULT RESULT ...".
# It knows no Ed25519.
# usage: verify.pl FOLDER NAME-SERVER-PORT
use strict;
use warnings;
use File::Basename;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;
use Net::DNS;

Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => ['127.0.0.1'], port => $ARGV[1], recurse => 0));
for my $file (sort glob("$ARGV[0]/*.eml")) {
    open(my $in, '<:raw', $file) or die "$file: $!";
    my $message = do { local $/; <$in> };
    my $d = Mail::DKIM::Verifier->new;
    $d->PRINT(defined $message ? $message : '');
    $d->CLOSE;
    my @results = map { $_->algorithm && $_->algorithm =~ /ed25519/i ? 'unknown' : $_->result eq 'pass' ? 'pass' : 'not' } $d->signatures;
    print join(' ', basename($file), @results), "\n";
}
